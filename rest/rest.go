// Package rest is the HTTP side of Restante. [Admin] is the listener of
// operators: accounts, aliases, health and metrics, for those who have the
// token. [Client] speaks to it. Errors are problem documents (RFC 9457), and
// the operations describe themselves as OpenAPI.
package rest
