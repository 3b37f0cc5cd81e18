package pool

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"restante/mailbox"
	"restante/relay"
)

// A Document describes a service. It is what is configured, or what registers.
type Document struct {
	Name        string   `json:"name"`                      // unique; small letters, digits, and within .-_
	Kind        string   `json:"kind"`                      // what speaks to it, such as smtp
	Endpoint    string   `json:"endpoint,omitempty"`        // URL; agents must have one
	TLS         string   `json:"tls,omitempty"`             // none, starttls or implicit; empty: as the kind has it
	Credentials string   `json:"credentials_ref,omitempty"` // what the configuration calls them; not for agents
	Weight      float64  `json:"weight,omitempty"`          // of its share, at most 10,000; 0: 100
	Priority    int      `json:"priority,omitempty"`        // 0 to 63, the lowest first, for schedulers that heed it
	Senders     []string `json:"senders,omitempty"`         // domains that it may carry; none: all
	Tags        []string `json:"tags,omitempty"`            // for people, such as its zone
	Limits      Limits   `json:"limits,omitzero"`

	// Destinations: it speaks to the hosts of each recipient's domain, so that what fails
	// there says nothing about other mail. The kind mx does.
	Destinations bool `json:"destinations,omitempty"`

	// Reassembles: its next hop takes mail apart and puts it together anew. It is given
	// none that is signed or encrypted. What the provider of a service knows of this
	// counts too.
	Reassembles bool `json:"reassembles,omitempty"`
}

// Limits are what a service may be given; zero is none. What its provider knows of the
// next hop counts too, and so do limits of the operator: the narrowest of them.
type Limits struct {
	PerSecond   float64 `json:"rate_per_s,omitempty"`  // recipients
	Burst       float64 `json:"burst,omitempty"`       // recipients at once; 0: what two seconds allow
	PerDay      int64   `json:"per_day,omitempty"`     // recipients in 24 hours, counted since this process started
	Concurrency int     `json:"concurrency,omitempty"` // mails at a time
	Octets      int64   `json:"max_size,omitempty"`    // of a mail
}

const (
	defaultWeight, maxWeight = 100, 10_000
	maxPriority              = 63
	maxSenders               = 1000
	maxTags                  = 32
	maxText                  = 512 // octets of a text in a document
)

var goodName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)

// checked is the document with its defaults, in canonical form. It fails with ErrInvalid.
func (d Document) checked() (Document, error) {
	var wrong []error
	check := func(good bool, format string, args ...any) {
		if !good {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	check(goodName.MatchString(d.Name), "name %.70q: want 1 to 64 small letters, digits, and within them . - _", d.Name)
	check(d.Kind != "" && len(d.Kind) <= 32, "kind %.40q", d.Kind)
	check(len(d.Endpoint) <= maxText && len(d.Credentials) <= maxText, "endpoint or credentials_ref: more than %d octets", maxText)
	if d.Endpoint != "" {
		_, _, err := hostPort(d.Endpoint)
		check(err == nil, "endpoint: %w", err)
	}
	check(slices.Contains([]string{"", "none", "starttls", "implicit"}, d.TLS), "tls %.20q: want none, starttls or implicit", d.TLS)
	if d.Weight == 0 {
		d.Weight = defaultWeight
	}
	check(d.Weight > 0 && d.Weight <= maxWeight, "weight %v: want above 0 and at most %d", d.Weight, maxWeight)
	check(d.Priority >= 0 && d.Priority <= maxPriority, "priority %d: want 0 to %d", d.Priority, maxPriority)
	d.Destinations = d.Destinations || d.Kind == "mx"
	senders, err := checkedSenders(d.Senders)
	check(err == nil, "senders: %w", err)
	d.Senders = senders
	d.Tags = slices.Clone(d.Tags)
	check(len(d.Tags) <= maxTags, "tags: more than %d", maxTags)
	for _, tag := range d.Tags {
		check(tag != "" && len(tag) <= 64, "tag %.70q: want 1 to 64 octets", tag)
	}
	check(d.Limits.valid(), "limits: want no negative number")
	if len(wrong) > 0 {
		return d, fmt.Errorf("pool: service %.70q: %w: %w", d.Name, ErrInvalid, errors.Join(wrong...))
	}
	return d, nil
}

// checkedSenders are the domains in canonical form.
func checkedSenders(domains []string) ([]string, error) {
	if len(domains) > maxSenders {
		return nil, fmt.Errorf("more than %d domains", maxSenders)
	}
	var canonical []string
	for _, domain := range domains {
		a, err := mailbox.ParseAddress("x@" + domain)
		if err != nil {
			return nil, fmt.Errorf("%.80q is no domain", domain)
		}
		canonical = append(canonical, a.Domain)
	}
	slices.Sort(canonical)
	return slices.Compact(canonical), nil
}

func (l Limits) valid() bool {
	rates := l.PerSecond >= 0 && l.PerSecond < math.MaxInt32 && l.Burst >= 0 && l.Burst < math.MaxInt32 // which NaN is not
	return rates && l.PerDay >= 0 && l.Concurrency >= 0 && l.Octets >= 0
}

// with are the narrowest of two limits.
func (l Limits) with(o Limits) Limits {
	return Limits{
		PerSecond:   narrowest(l.PerSecond, o.PerSecond),
		Burst:       narrowest(l.Burst, o.Burst),
		PerDay:      narrowest(l.PerDay, o.PerDay),
		Concurrency: narrowest(l.Concurrency, o.Concurrency),
		Octets:      narrowest(l.Octets, o.Octets),
	}
}

// asunder is how much of a rate is used by several processes, whose mails now and then
// come at the same moment.
const asunder = 0.95

// among is what each of n processes may give, so that together they keep to the limits.
// Room is for each its own: it is about connections, and adapts to what the service says.
func (l Limits) among(n int) Limits {
	if n > 1 {
		l.PerSecond *= asunder / float64(n)
		l.Burst /= float64(n)
		if l.PerDay > 0 {
			l.PerDay = max(1, l.PerDay/int64(n))
		}
	}
	return l
}

// ofProvider are the limits of a next hop that are kept here. That of recipients in one
// transaction is the provider's own to keep.
func ofProvider(l relay.Limits) Limits {
	return Limits{PerSecond: l.PerSecond, PerDay: l.PerDay, Concurrency: l.Concurrency, Octets: l.Octets}
}

// narrowest is the smaller of two limits of which zero is none.
func narrowest[T int | int64 | float64](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// hostPort is where an endpoint is. A URL without port has that of its scheme.
func hostPort(endpoint string) (host, port string, err error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return "", "", fmt.Errorf("%.80q is no URL with a host", endpoint)
	}
	if u.User != nil {
		return "", "", errors.New("a URL with a password is shown to too many")
	}
	ports := map[string]string{"smtp": "25", "smtps": "465", "http": "80", "https": "443"}
	port, known := ports[strings.ToLower(u.Scheme)]
	if !known {
		return "", "", fmt.Errorf("scheme %.20q: want smtp, smtps, http or https", u.Scheme)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if _, err := netip.ParseAddrPort("[::1]:" + port); err != nil {
		return "", "", fmt.Errorf("port %.20q", port)
	}
	return strings.ToLower(u.Hostname()), port, nil
}
