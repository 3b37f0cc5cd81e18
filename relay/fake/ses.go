package fake

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"restante/relay/internal/sigv4"
)

// SESOptions configures [NewSES].
type SESOptions struct {
	KeyID, Secret string
	Region        string
}

// An SES takes raw messages as version 2 of Amazon's interface does, and checks the
// signatures of the requests:
//
//	POST /v2/email/outbound-emails
//	GET /v2/email/account
type SES struct {
	*Control
	opts SESOptions
	mux  *http.ServeMux
}

// Limits of Amazon SES.
const (
	sesMessage    = 40 << 20 // in base64
	sesRecipients = 50
	sesEnvelope   = 64 << 10 // what a request is longer than its message
)

// NewSES returns an SES.
func NewSES(o SESOptions) *SES {
	f := &SES{Control: newControl(), opts: o, mux: http.NewServeMux()}
	f.mux.Handle("/", f.Control)
	f.mux.HandleFunc("POST /v2/email/outbound-emails", f.send)
	f.mux.HandleFunc("GET /v2/email/account", f.account)
	return f
}

func (f *SES) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

// stranger is why the signature of a request is not taken, or nil.
func (f *SES) stranger(r *http.Request, body []byte) error {
	c := sigv4.Credentials{KeyID: f.opts.KeyID, Secret: f.opts.Secret, Region: f.opts.Region, Service: "ses"}
	return sigv4.Verify(r, sha256.Sum256(body), c, time.Now())
}

func (f *SES) account(w http.ResponseWriter, r *http.Request) {
	enabled := f.now("").kind != unverified
	good := answer{status: http.StatusOK, body: map[string]any{
		"EnforcementStatus": "HEALTHY", "ProductionAccessEnabled": true, "SendingEnabled": enabled,
		"SendQuota": map[string]float64{"Max24HourSend": 50000, "MaxSendRate": 14, "SentLast24Hours": float64(f.Stats().Accepted)},
	}}
	if !enabled {
		good.write(w)
		return
	}
	f.probe(w, r, f, f.stranger(r, nil) != nil, good)
}

func (f *SES) send(w http.ResponseWriter, r *http.Request) {
	var p parcel
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, sesMessage+sesEnvelope))
	if err != nil {
		p.err = err
	} else {
		f.read(&p, body)
		if err := f.stranger(r, body); err != nil {
			p.stranger = true
			if errors.Is(err, sigv4.ErrSignature) {
				a := sesSays(http.StatusForbidden, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
				p.stranger, p.problem = false, &a
			}
		}
	}
	f.hand(w, r, f, p)
}

func (f *SES) read(p *parcel, body []byte) {
	wrong := func(kind, text string) { a := sesSays(http.StatusBadRequest, kind, text); p.problem = &a }
	var in struct {
		FromEmailAddress               string
		FeedbackForwardingEmailAddress string
		Destination                    *struct{ ToAddresses, CcAddresses, BccAddresses []string }
		Content                        struct{ Raw *struct{ Data string } }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		wrong("SerializationException", "Could not parse request body")
		return
	}
	p.from = in.FeedbackForwardingEmailAddress
	if in.Destination != nil {
		p.to = append(append(append(p.to, in.Destination.ToAddresses...), in.Destination.CcAddresses...), in.Destination.BccAddresses...)
	}
	if in.Content.Raw == nil {
		wrong("BadRequestException", "Content must be one of Raw, Simple, or Template.")
		return
	}
	data, err := base64.StdEncoding.DecodeString(in.Content.Raw.Data)
	p.content = newContent()
	_, _ = p.content.Write(data)
	switch {
	case err != nil:
		wrong("SerializationException", "Base64 is not valid")
	case len(data) == 0:
		wrong("BadRequestException", "Missing required field 'Data'")
	case len(in.Content.Raw.Data) > sesMessage:
		a := f.tooLarge()
		p.problem = &a
	case len(p.to) == 0:
		wrong("BadRequestException", "Missing final '@domain'")
	case len(p.to) > sesRecipients:
		wrong("BadRequestException", "Recipient count exceeds 50.")
	case !bytes.Contains(bytes.ToLower(data), []byte("from:")):
		wrong("BadRequestException", "Missing required header 'From'.")
	}
}

func sesSays(status int, kind, text string) answer {
	return answer{status: status, header: map[string]string{"x-amzn-ErrorType": kind}, body: map[string]string{"message": text}}
}

func (f *SES) authFail() answer {
	return sesSays(http.StatusForbidden, "UnrecognizedClientException", "The security token included in the request is invalid.")
}

func (f *SES) unverified(from string) answer {
	return sesSays(http.StatusBadRequest, "MessageRejected", "Email address is not verified. The following identities failed the check in region "+f.opts.Region+": "+from)
}

// throttled does not say until when: the real one does not either.
func (f *SES) throttled(time.Time) answer {
	return sesSays(http.StatusTooManyRequests, "TooManyRequestsException", "Maximum sending rate exceeded.")
}

func (f *SES) tooLarge() answer {
	return sesSays(http.StatusBadRequest, "MessageRejected", "Message length is more than 41943040 bytes long.")
}

func (f *SES) refused(status int, text string) answer {
	kind, text := cut(text)
	switch {
	case kind != "":
	case status >= 500:
		kind = "InternalFailure"
	default:
		kind = "BadRequestException"
	}
	return sesSays(status, kind, text)
}

func (f *SES) newID() string { return "0100" + newID() + "-000000" }

func (f *SES) accepted(id string) answer {
	return answer{status: http.StatusOK, body: map[string]string{"MessageId": id}}
}
