package provider

import (
	"cmp"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"restante/relay"
)

func TestWhatMakersSayBySMTPIsUnderstood(t *testing.T) {
	for _, c := range []struct {
		preset string
		at     step
		line   string
		want   relay.Result
		pause  time.Duration
	}{
		{"mailgun-smtp", atMail, "421 Domain example.org is not allowed to send: request limit exceeded, try again after Sat, 01 Jan 2000 00:02:00 UTC", relay.Throttled, 2 * time.Minute},
		{"mailgun-smtp", atDot, "550 5.7.1 Domain example.org is not allowed to send: The domain is unverified", relay.AccountFault, 0},
		{"mailgun-smtp", atDot, "421 not allowed to send large batches yet", relay.Throttled, time.Hour},
		{"mailgun-smtp", atAuth, "535 5.7.0 Mailgun is not loving your login or password", relay.AccountFault, 0},
		{"mailgun-smtp", atRcpt, "550 5.1.1 no such user", relay.BadRecipient, 0},
		{"sendgrid-smtp", atAuth, "451 Authentication failed: Maximum credits exceeded", relay.Throttled, time.Hour},
		{"sendgrid-smtp", atDot, "550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.", relay.AccountFault, 0},
		{"sendgrid-smtp", atRcpt, "452 Too many recipients received this hour", relay.Throttled, 10 * time.Minute},
		{"sendgrid-smtp", atDot, "450 later", relay.Temporary, 0},
		{"ses-smtp", atMail, "454 Throttling failure: Maximum sending rate exceeded.", relay.Throttled, time.Second},
		{"ses-smtp", atMail, "454 Throttling failure: Daily message quota exceeded.", relay.Throttled, time.Hour},
		{"ses-smtp", atGreeting, "421 Too many concurrent SMTP connections", relay.Throttled, time.Second},
		{"ses-smtp", atDot, "451 Temporary service failure", relay.Temporary, 0},
		{"ses-smtp", atDot, "451 Timeout waiting for data from client", relay.Temporary, 0},
		{"ses-smtp", atAuth, "454 Temporary authentication failure", relay.Temporary, 0},
		{"ses-smtp", atMail, "530 Authentication required", relay.AccountFault, 0},
		{"ses-smtp", atAuth, "535 Authentication Credentials Invalid", relay.AccountFault, 0},
		{"ses-smtp", atDot, "552 Message is too long.", relay.BadMessage, 0},
		{"ses-smtp", atDot, "554 Message rejected: Email address is not verified.", relay.AccountFault, 0},
		{"ses-smtp", atDot, "554 Access denied: User is not authorized", relay.AccountFault, 0},
		{"ses-smtp", atDot, "554 Message rejected: the content is bad", relay.BadMessage, 0},
		{"postmark-smtp", atDot, "550 5.7.1 The 'From' address is not a Sender Signature on your account.", relay.AccountFault, 0},
		{"postmark-smtp", atRcpt, "550 5.1.1 Inactive recipient", relay.BadRecipient, 0},
		{"resend-smtp", atMail, "451 Too many requests. You can only make 5 requests per second.", relay.Throttled, time.Second},
		{"resend-smtp", atMail, "451 You have reached your daily email sending quota.", relay.Throttled, time.Hour},
		{"resend-smtp", atDot, "550 The example.org domain is not verified. Please, add and verify your domain.", relay.AccountFault, 0},
		{"sparkpost-smtp", atDot, "451 4.3.2 Exceed Sending Limit (hourly)", relay.Throttled, 10 * time.Minute},
		{"sparkpost-smtp", atDot, "550 5.7.1 Unconfigured Sending Domain <example.org>", relay.AccountFault, 0},
		{"", atDot, "451 4.4.5 rests, try again after Sat, 01 Jan 2000 00:00:21 GMT", relay.Throttled, 21 * time.Second},
		{"", atDot, "451 4.4.5 congested", relay.Throttled, time.Minute},
		{"", atDot, "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go elsewhere", relay.Throttled, time.Hour},
		{"", atData, "550 5.4.5 Daily sending quota exceeded.", relay.Throttled, time.Hour},
		{"", atRcpt, "550 5.4.5 Daily sending quota exceeded.", relay.Throttled, time.Hour},
		{"", atDot, "550 5.7.1 Daily SMTP relay limit exceeded for user.", relay.Throttled, time.Hour},
		{"", atMail, "550 5.7.1 Daily SMTP relay limit exceeded for user.", relay.Throttled, time.Hour},
		{"", atRcpt, "550 5.7.1 Daily SMTP relay limit exceeded for customer.", relay.Throttled, time.Hour},
		{"", atRcpt, "554 5.7.1 <ann@example.net>: Recipient address rejected: Policy Rejection- Quota Exceeded", relay.Throttled, time.Hour},
		{"", atRcpt, "550 Daily quota exceeded", relay.Throttled, time.Hour},
		{"", atRcpt, "550 5.2.1 <ann@example.net> may have no more mail per day", relay.BadRecipient, 0},
		{"", atRcpt, "550 5.1.1 <ann@example.net> daily limit of riddles", relay.BadRecipient, 0},
		{"", atDot, "554 5.2.0 The sender's submission quota was exceeded", relay.Throttled, time.Hour},
		{"", atDot, "550 quota exceeded", relay.Throttled, time.Hour},
		{"", atDot, "554 5.7.1 quota exceeded", relay.BadMessage, 0}, // what an agent heard from a host of one recipient
		{"", atDot, "550 limit exceeded, try again after Sat, 01 Jan 2000 00:02:00 UTC", relay.Throttled, 2 * time.Minute},
		{"", atDot, "552 5.3.4 Message size limit exceeded", relay.BadMessage, 0},
		{"", atDot, "550 message size limit exceeded", relay.BadMessage, 0},
		{"", atDot, "554 5.6.0 nesting limit exceeded", relay.BadMessage, 0},
		{"", atDot, "500 line length limit exceeded", relay.BadMessage, 0},
		{"", atDot, "554 5.4.6 hop limit exceeded", relay.BadMessage, 0},
		{"", atDot, "552 5.2.2 quota exceeded", relay.BadMessage, 0},
		{"", atRcpt, "552 5.2.2 quota exceeded", relay.BadRecipient, 0},
		{"", atRcpt, "550 mailbox quota exceeded", relay.BadRecipient, 0},
		{"", atRequest, "299 what nobody understands", relay.Temporary, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			code, err := strconv.Atoi(c.line[:3])
			if err != nil {
				t.Fatal(err)
			}
			enhanced, text := cutEnhanced(c.line[4:], code)
			o := reply{code: code, enhanced: enhanced, text: text}.outcome(c.at, nil, presets[c.preset].rules, smtpRules)
			want(t, o, c.want)
			if o.Result == relay.Throttled && time.Until(o.Until) != c.pause {
				t.Errorf("%s: pause %v, want %v", c.line, time.Until(o.Until), c.pause)
			}
		})
	}
}

func TestWhatMakersSayByHTTPIsUnderstood(t *testing.T) {
	const limit = "Domain example.org is not allowed to send: recipient limit exceeded, try again after Sat, 01 Jan 2000 00:00:21 UTC"
	for _, c := range []struct {
		maker  string
		rules  []rule
		code   int
		detail string
		text   string
		want   relay.Result
		pause  time.Duration
	}{
		{"mailgun", mailgunHTTP, 400, "", "to parameter is not a valid address. please check documentation", relay.BadRecipient, 0},
		{"mailgun", mailgunHTTP, 400, "", "to parameter is missing", relay.BadMessage, 0},
		{"mailgun", mailgunHTTP, 400, "", "Too many recipients, max is 1000", relay.BadMessage, 0},
		{"mailgun", mailgunHTTP, 400, "", "Domain example.org is not allowed to send: The domain is unverified and requires DNS configuration.", relay.AccountFault, 0},
		{"mailgun", mailgunHTTP, 400, "", "Domain sandbox.example.org is not allowed to send: Sandbox subdomains are for test purposes only.", relay.AccountFault, 0},
		{"mailgun", mailgunHTTP, 401, "", "Forbidden", relay.AccountFault, 0},
		{"mailgun", mailgunHTTP, 403, "", "Rejected: IP 192.0.2.1 can't be used to send the message", relay.AccountFault, 0},
		{"mailgun", mailgunHTTP, 403, "", "Domain example.org is not allowed to send large batches yet", relay.Throttled, time.Hour},
		{"mailgun", mailgunHTTP, 404, "", "Domain not found: example.org", relay.AccountFault, 0},
		{"mailgun", mailgunHTTP, 413, "", "request size exceeds 52.4MiB limit", relay.BadMessage, 0},
		{"mailgun", mailgunHTTP, 429, "", limit, relay.Throttled, 21 * time.Second},
		{"mailgun", mailgunHTTP, 420, "", limit, relay.Throttled, 21 * time.Second},
		{"mailgun", mailgunHTTP, 500, "", "Internal Server Error", relay.Temporary, 0},
		{"mailgun", mailgunHTTP, 504, "", "Gateway Timeout", relay.Temporary, 0},
		{"mailgun", mailgunHTTP, 302, "", "Found", relay.Temporary, 0},
		{"mailgun", mailgunHTTP, 408, "", "Request Timeout", relay.Temporary, 0},
		{"mailgun", mailgunHTTP, 409, "", "Conflict", relay.Temporary, 0},
		{"mailgun", mailgunHTTP, 425, "", "Too Early", relay.Temporary, 0},

		{"ses", sesHTTP, 429, "TooManyRequestsException", "Too many requests", relay.Throttled, time.Second},
		{"ses", sesHTTP, 400, "ThrottlingException", "Maximum sending rate exceeded.", relay.Throttled, time.Second},
		{"ses", sesHTTP, 400, "ThrottlingException", "Daily message quota exceeded.", relay.Throttled, time.Hour},
		{"ses", sesHTTP, 400, "LimitExceededException", "", relay.Throttled, time.Hour},
		{"ses", sesHTTP, 400, "MessageRejected", "Email address is not verified. The following identities failed the check in region EU-WEST-1: x@example.org", relay.AccountFault, 0},
		{"ses", sesHTTP, 400, "MessageRejected", "The content was rejected", relay.BadMessage, 0},
		{"ses", sesHTTP, 400, "MailFromDomainNotVerifiedException", "", relay.AccountFault, 0},
		{"ses", sesHTTP, 400, "AccountSuspendedException", "", relay.AccountFault, 0},
		{"ses", sesHTTP, 400, "SendingPausedException", "", relay.AccountFault, 0},
		{"ses", sesHTTP, 404, "NotFoundException", "Configuration set x does not exist.", relay.AccountFault, 0},
		{"ses", sesHTTP, 403, "InvalidSignatureException", "The request signature we calculated does not match", relay.AccountFault, 0},
		{"ses", sesHTTP, 400, "BadRequestException", "Local address contains control or whitespace", relay.BadRecipient, 0},
		{"ses", sesHTTP, 400, "BadRequestException", "Missing required header 'From'.", relay.BadMessage, 0},
		{"ses", sesHTTP, 413, "", "Request Entity Too Large", relay.BadMessage, 0},
		{"ses", sesHTTP, 500, "InternalFailure", "", relay.Temporary, 0},
		{"ses", sesHTTP, 400, "RequestExpired", "The request has expired", relay.Temporary, 0},
		{"ses", sesHTTP, 403, "InvalidSignatureException", "Signature expired: 20000101T000000Z is now earlier than 20000101T001000Z", relay.Temporary, 0},
		{"ses", sesHTTP, 403, "InvalidSignatureException", "Signature not yet current: 20000101T003000Z is still later than 20000101T001500Z", relay.Temporary, 0},
		{"ses", sesHTTP, 400, "NotAuthorized", "", relay.AccountFault, 0},
		{"ses", sesHTTP, 400, "IncompleteSignature", "", relay.AccountFault, 0},
		{"ses", sesHTTP, 400, "InvalidClientTokenId", "", relay.AccountFault, 0},
		{"ses", sesHTTP, 400, "AccessDeniedException", "", relay.AccountFault, 0},
		{"ses", sesHTTP, 400, "ValidationError", "", relay.Temporary, 0},
		{"ses", sesHTTP, 400, "", "Bad Request", relay.Temporary, 0},
		{"ses", sesHTTP, 409, "ConflictException", "", relay.Temporary, 0},

		{"sendgrid", sendGridHTTP, 400, "personalizations.0.to.3.email", "Does not contain a valid address.", relay.BadRecipient, 0},
		{"sendgrid", sendGridHTTP, 400, "subject", "The subject is required.", relay.BadMessage, 0},
		{"sendgrid", sendGridHTTP, 401, "", "The provided authorization grant is invalid, expired, or revoked", relay.AccountFault, 0},
		{"sendgrid", sendGridHTTP, 401, "", "Maximum credits exceeded", relay.Throttled, time.Hour},
		{"sendgrid", sendGridHTTP, 403, "from", "The from address does not match a verified Sender Identity.", relay.AccountFault, 0},
		{"sendgrid", sendGridHTTP, 413, "", "Payload too large", relay.BadMessage, 0},
		{"sendgrid", sendGridHTTP, 429, "", "too many requests", relay.Throttled, time.Second},
		{"sendgrid", sendGridHTTP, 503, "", "Service unavailable", relay.Temporary, 0},
		{"sendgrid", sendGridHTTP, 408, "", "Request Timeout", relay.Temporary, 0},
		{"sendgrid", sendGridHTTP, 409, "", "Conflict", relay.Temporary, 0},
		{"sendgrid", sendGridHTTP, 425, "", "Too Early", relay.Temporary, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := reply{code: c.code, detail: c.detail, text: c.text}.outcome(atRequest, nil, c.rules)
			if o.Result != c.want {
				t.Errorf("%s: %d %s %q: %v, want %v", c.maker, c.code, c.detail, c.text, o.Result, c.want)
			}
			if o.Result == relay.Throttled && time.Until(o.Until) != c.pause {
				t.Errorf("%s: %q: pause %v, want %v", c.maker, c.text, time.Until(o.Until), c.pause)
			}
		})
	}
}

// recipient is how those of these replies look.
var recipient = regexp.MustCompile(`("[^"]*"|[a-z]+)@(relay\.nosuch\.example|example\.net)`)

// Anybody may have an address that looks like what a server says of us.
func TestWhatAUserWritesBreaksNoAccount(t *testing.T) {
	for _, c := range []struct {
		preset   string
		at       step
		line     string
		want     relay.Result
		ofSender bool
	}{
		{"", atRcpt, "550 5.1.1 <x@relay.nosuch.example>: Recipient address rejected: User unknown in relay recipient table", relay.BadRecipient, false},
		{"", atRcpt, "550 5.7.1 <x@relay.nosuch.example>: Recipient address rejected: no", relay.BadRecipient, false},
		{"", atRcpt, "550 relay.example.net: no such user", relay.BadRecipient, false},
		{"", atRcpt, `550 5.7.1 <"relaying denied"@example.net>: no`, relay.BadRecipient, false},
		{"", atRcpt, `550 5.7.1 no "relaying denied"@example.net`, relay.BadRecipient, false},
		{"", atRcpt, "553 5.1.8 <fred@nosuch.example>: Sender address rejected: Domain not found", relay.BadMessage, false},
		{"", atRcpt, "553 5.7.1 <fred@example.org>: Sender address rejected: not owned by user ann", relay.AccountFault, true},
		{"", atRcpt, "554 5.7.1 <ann@example.net>: Relay access denied", relay.AccountFault, true},
		{"", atRcpt, "550 5.7.1 <ann@example.net>... Relaying denied", relay.AccountFault, true},
		{"", atRcpt, "550 relay not permitted", relay.AccountFault, true},
		{"", atRcpt, "550 5.7.1 Unable to relay", relay.AccountFault, true},
		{"", atRcpt, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", relay.AccountFault, true},
		{"", atRcpt, "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", relay.AccountFault, true},
		{"", atRcpt, "554 Client host rejected: Access denied", relay.AccountFault, true},
		{"", atRcpt, "554 5.7.1 <relay.example.org>: Helo command rejected: Access denied", relay.AccountFault, true},
		{"", atRcpt, "504 5.5.2 <relay>: Helo command rejected: need fully-qualified hostname", relay.AccountFault, true},
		{"", atRcpt, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using dnsbl.example", relay.AccountFault, true},
		{"", atRcpt, "550 5.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", relay.AccountFault, true},
		{"", atRcpt, "554 5.7.1 <fred@example.org>: Sender address rejected: Access denied", relay.AccountFault, true},
		{"", atRcpt, "550 5.1.0 <fred@example.org>: Sender address rejected: User unknown in local recipient table", relay.AccountFault, true},
		{"", atRcpt, "554 5.7.1 <x@example.net>: Recipient address rejected: Access denied", relay.AccountFault, true},
		{"", atRcpt, "550 5.7.1 your address has a bad name, see https://example.net/", relay.AccountFault, true},
		{"", atRcpt, "550 5.7.26 SPF fails; ask postmaster@smarthost.example", relay.AccountFault, true},
		{"", atRcpt, "550 5.7.1 x@example.net takes no mail of yours", relay.BadRecipient, false},
		{"", atRcpt, "550 5.7.1 <X@Example.NET>: no", relay.BadRecipient, false},
		{"", atRcpt, "550 5.7.1 no such user", relay.BadRecipient, false},
		{"", atRcpt, "550 5.7.1 recipient takes mail of his company only", relay.BadRecipient, false},
		{"", atRcpt, "550 5.4.1 Recipient address rejected: Access denied", relay.BadRecipient, false},
		{"", atRcpt, `550 5.7.1 <"client host rejected"@example.net>: no`, relay.BadRecipient, false},
		{"", atMail, "550 5.7.1 you may not", relay.AccountFault, true},
		{"", atMail, "535 5.7.1 who are you", relay.AccountFault, false},
		{"ses-smtp", atRcpt, `550 5.1.1 <"not verified"@example.net> no such user`, relay.BadRecipient, false},
		{"ses-smtp", atRcpt, `450 4.2.1 <"daily message quota exceeded"@example.net> later`, relay.Temporary, false},
		{"resend-smtp", atRcpt, "550 5.1.1 x@quota.example", relay.BadRecipient, false},
		{"ses-smtp", atDot, "554 Message rejected: Email address is not verified. The following identities failed the check", relay.AccountFault, true},
		{"ses-smtp", atDot, "554 Sending suspended", relay.AccountFault, false},
		{"sendgrid-smtp", atDot, "550 The from address does not match a verified Sender Identity.", relay.AccountFault, true},
		{"postmark-smtp", atDot, "550 5.7.1 The 'From' address is not a Sender Signature on your account.", relay.AccountFault, true},
		{"resend-smtp", atDot, "550 The example.org domain is not verified.", relay.AccountFault, true},
		{"sparkpost-smtp", atDot, "550 5.7.1 Unconfigured Sending Domain <example.org>", relay.AccountFault, true},
		{"mailgun-smtp", atDot, "550 5.7.1 Domain example.org is not allowed to send: The domain is unverified", relay.AccountFault, false},
		{"resend-smtp", atAuth, "535 API key is invalid", relay.AccountFault, false},
	} {
		code, err := strconv.Atoi(c.line[:3])
		if err != nil {
			t.Fatal(err)
		}
		enhanced, text := cutEnhanced(c.line[4:], code)
		to := cmp.Or(recipient.FindString(text), "x@example.net")
		o := reply{code: code, enhanced: enhanced, text: text, to: to}.outcome(c.at, nil, presets[c.preset].rules, smtpRules)
		if o.Result != c.want || o.OfSender != c.ofSender {
			t.Errorf("%s: %v, of the sender %v", c.line, o.Result, o.OfSender)
		}
	}
	for _, c := range []struct {
		rules    []rule
		said     reply
		ofSender bool
	}{
		{sesHTTP, reply{code: 400, detail: "MessageRejected", text: "Email address is not verified."}, true},
		{sesHTTP, reply{code: 403, detail: "AccessDeniedException", text: "not authorized to perform ses:SendEmail on resource identity/example.com"}, true},
		{sesHTTP, reply{code: 403, detail: "InvalidSignatureException"}, false},
		{sesHTTP, reply{code: 400, detail: "SendingPausedException"}, false},
		{sendGridHTTP, reply{code: 403, detail: "from", text: "The from address does not match a verified Sender Identity."}, true},
		{sendGridHTTP, reply{code: 401, text: "revoked"}, false},
		{mailgunHTTP, reply{code: 401, text: "Forbidden"}, false},
	} {
		if o := c.said.outcome(atRequest, nil, c.rules); o.Result != relay.AccountFault || o.OfSender != c.ofSender {
			t.Errorf("%+v: %v, of the sender %v", c.said, o.Result, o.OfSender)
		}
	}
}

func TestAPauseIsAsLongAsTheNextHopSaysWithinReason(t *testing.T) {
	for _, c := range []struct {
		name, value, text string
		want              time.Duration
	}{
		{"Retry-After", "7", "", 7 * time.Second},
		{"Retry-After", "Sat, 01 Jan 2000 00:00:09 GMT", "", 9 * time.Second},
		{"Retry-After", "soon", "", time.Minute},
		{"Retry-After", "-7", "", time.Minute},
		{"RateLimit-Reset", "11", "", 11 * time.Second},
		{"X-RateLimit-Reset", "946684813", "", 13 * time.Second},
		{"X-RateLimit-Reset", "946684799", "", time.Second}, // it has passed
		{"X-RateLimit-Reset", "99999999999", "", longestPause},
		{"", "", "try again after Sat, 01 Jan 2000 00:00:15 UTC", 15 * time.Second},
		{"", "", "try again after lunch", time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := http.Header{}
			if c.name != "" {
				h.Set(c.name, c.value)
			}
			if got := time.Until(until(h, c.text, time.Minute)); got != c.want {
				t.Errorf("%s: %s %s: %v, want %v", c.name, c.value, c.text, got, c.want)
			}
		})
	}
}
