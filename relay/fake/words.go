package fake

// words are what a smarthost says.
type words struct {
	auth       string // mechanisms
	accepted   string // %s is the id of the mail
	throttled  string
	authFail   string
	unverified string
	tooLarge   string
}

var wordsOf = map[string]words{
	"": {
		auth:       "PLAIN LOGIN",
		accepted:   "250 2.0.0 OK: queued as %s",
		throttled:  "451 4.7.1 Too many messages, try again later",
		authFail:   "535 5.7.8 Authentication credentials invalid",
		unverified: "550 5.7.1 Sender address rejected: not owned by user",
		tooLarge:   "552 5.3.4 Message size exceeds fixed limit",
	},
	"mailgun": {
		auth:       "PLAIN LOGIN",
		accepted:   "250 Great success",
		throttled:  "421 Domain example.org is not allowed to send: request limit exceeded, try again later",
		authFail:   "535 5.7.0 Mailgun is not loving your login or password",
		unverified: "550 5.7.1 Domain example.org is not allowed to send: The domain is unverified and requires DNS configuration.",
		tooLarge:   "552 5.3.4 Message size exceeds fixed limit",
	},
	"sendgrid": {
		auth:       "PLAIN LOGIN",
		accepted:   "250 Ok: queued as %s",
		throttled:  "452 Too many recipients received this hour",
		authFail:   "535 Authentication failed: Bad username / password",
		unverified: "550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.",
		tooLarge:   "552 Message exceeds fixed size limit",
	},
	"ses": {
		auth:       "PLAIN LOGIN",
		accepted:   "250 Ok %s",
		throttled:  "454 Throttling failure: Maximum sending rate exceeded.",
		authFail:   "535 Authentication Credentials Invalid",
		unverified: "554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: example.org",
		tooLarge:   "552 Message is too long.",
	},
	"postmark": {
		auth:       "PLAIN LOGIN",
		accepted:   "250 2.0.0 Ok: queued as %s",
		throttled:  "451 4.7.1 Too many messages, try again later",
		authFail:   "535 5.7.8 Error: authentication failed",
		unverified: "550 5.7.1 The 'From' address you supplied is not a Sender Signature on your account.",
		tooLarge:   "552 5.3.4 Message size exceeds fixed limit",
	},
	"resend": {
		auth:       "PLAIN LOGIN",
		accepted:   "250 2.0.0 OK: queued as %s",
		throttled:  "451 Too many requests. You can only make 5 requests per second.",
		authFail:   "535 API key is invalid",
		unverified: "550 The example.org domain is not verified. Please, add and verify your domain.",
		tooLarge:   "552 5.3.4 Message size exceeds fixed limit",
	},
	"sparkpost": {
		auth:       "LOGIN PLAIN",
		accepted:   "250 2.0.0 OK %s",
		throttled:  "451 4.3.2 Exceed Sending Limit (hourly)",
		authFail:   "535 5.7.8 Sorry",
		unverified: "550 5.7.1 Unconfigured Sending Domain <example.org>",
		tooLarge:   "552 5.3.4 message too long",
	},
}
