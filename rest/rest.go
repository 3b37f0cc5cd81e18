// Package rest is the HTTP side of Restante. [Public] is the listener for everybody:
// temporary mailboxes, texts, and submission by those who have an account. [Admin] is
// that of operators, who have the token: accounts, aliases, the queue and the services
// of mail that leaves, health and metrics; agents of services speak to it with tokens of
// their own. [Client] speaks to it. Errors are problem documents (RFC 9457), and the
// operations describe themselves as OpenAPI.
package rest
