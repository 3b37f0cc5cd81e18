package provider

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"restante/relay"
)

// HTTPOptions are common to the HTTP providers.
type HTTPOptions struct {
	URL      string       // instead of the maker's, as in "http://127.0.0.1:8025"
	Limits   relay.Limits // zero fields: those of the maker
	Timeouts Timeouts
	Dial     Dial // nil: the network, through a proxy where the environment names one
}

const (
	answerMost   = 64 << 10         // octets of an answer that are read
	requestsIdle = 16               // connections that are kept
	requestTime  = 15 * time.Minute // a whole request
)

// An endpoint is a maker's HTTP interface.
type endpoint struct {
	base   string
	limits relay.Limits
	client *http.Client
	rules  []rule

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
}

func newEndpoint(o HTTPOptions, base string, limits relay.Limits, rules []rule) *endpoint {
	if o.URL != "" {
		base = o.URL
	}
	for _, l := range []struct{ ours, theirs *int64 }{{&o.Limits.Octets, &limits.Octets}, {&o.Limits.PerDay, &limits.PerDay}} {
		if *l.ours > 0 && (*l.theirs == 0 || *l.ours < *l.theirs) {
			*l.theirs = *l.ours
		}
	}
	if n := o.Limits.Recipients; n > 0 && n < limits.Recipients {
		limits.Recipients = n
	}
	limits.Concurrency, limits.PerSecond = o.Limits.Concurrency, o.Limits.PerSecond

	times := o.Timeouts.orDefault(makerReply)
	transport := &http.Transport{
		MaxIdleConnsPerHost:   requestsIdle,
		IdleConnTimeout:       idleFor,
		TLSHandshakeTimeout:   times.Connect,
		ResponseHeaderTimeout: times.Reply,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			c, err := o.Dial.connect(ctx, addr, times)
			return progress{c, times.Command}, err
		},
		// One mail, one connection: what breaks breaks one mail.
		Protocols: new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(true)
	if o.Dial == nil {
		transport.Proxy = http.ProxyFromEnvironment
	}
	e := &endpoint{
		base: base, limits: limits, rules: rules,
		client: &http.Client{
			Transport: transport,
			// Keys and mail are for this server, not for where it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// progress is a connection that breaks when what is written does not move.
type progress struct {
	net.Conn
	within time.Duration
}

func (p progress) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.within)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// Limits are those of the maker, or lower ones of the options.
func (e *endpoint) Limits() relay.Limits { return e.limits }

// Close closes what is idle. A Send that runs ends at once: with Transport, or with
// Ambiguous where the content was complete.
func (e *endpoint) Close() error {
	e.cancel()
	e.client.CloseIdleConnections()
	return nil
}

// A body is that of a request. Its last octet waits for Commit. Whoever writes it may
// still do so when the answer is there.
type body struct {
	mu     sync.Mutex
	src    io.Reader
	left   int64 // octets that were not read
	commit func() error
	over   bool   // nothing more is given out
	why    string // it broke off
}

var errOver = errors.New("provider: the request is over")

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over:
		return 0, errOver
	case b.left == 0:
		return 0, io.EOF
	case b.left == 1:
		if err := b.commit(); err != nil {
			b.over, b.why = true, textBrokenOff
			return 0, err
		}
	}
	n, err := b.src.Read(p[:min(int64(len(p)), max(1, b.left-1))])
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		b.over, b.why = true, textContent
		return 0, err
	}
	return n, nil // io.EOF comes with the next Read
}

// end gives nothing more out, and reports whether all was, or why not.
func (b *body) end() (whole bool, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.left == 0, b.why
}

// A request is one to send a mail: what to write around the content.
type request struct {
	url         string
	contentType string
	authorise   func(r *http.Request)
	length      int64
	open        func(ctx context.Context) (io.ReadCloser, error)
}

// A response is an answer that was read.
type response struct {
	status int
	header http.Header
	body   []byte
	cut    bool // the end of the body is missing
}

// post makes a request whose end waits for commit. The outcome is set where there was
// no answer.
func (e *endpoint) post(ctx context.Context, q request, commit func() error) (*response, relay.Outcome) {
	ctx, cancel := both(ctx, e.ctx)
	defer cancel()
	ctx, cancelTime := context.WithTimeout(ctx, requestTime)
	defer cancelTime()
	if e.ctx.Err() != nil {
		return nil, transport(textClosed)
	}
	src, err := q.open(ctx)
	if err != nil {
		return nil, transport(textContent)
	}
	b := &body{src: src, left: q.length, commit: commit}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, q.url, io.NopCloser(b))
	if err != nil {
		_ = src.Close()
		return nil, transport(cause(err))
	}
	r.ContentLength = q.length
	r.Header.Set("Content-Type", q.contentType)
	// So that a connection that was closed while it was idle costs nothing; package http
	// asks for it only where nothing was written.
	opened := []io.Closer{src}
	r.GetBody = func() (io.ReadCloser, error) {
		src, err := q.open(ctx)
		if err != nil {
			return nil, err
		}
		b.end()
		opened = append(opened, src)
		b = &body{src: src, left: q.length, commit: commit}
		return io.NopCloser(b), nil
	}
	q.authorise(r)
	answer, err := e.client.Do(r)
	var said *response
	if err == nil {
		said = read(answer)
	}
	cancel() // also what the body waits for
	whole, why := b.end()
	for _, c := range opened {
		_ = c.Close()
	}
	switch {
	case said != nil && (whole || said.status >= 300):
		return said, relay.Outcome{}
	case whole:
		return nil, ambiguous(textUnanswered + ": " + cause(err))
	case why != "":
		return nil, transport(why)
	case said != nil:
		return nil, transport("answered before the end of the content")
	}
	return nil, transport(cause(err))
}

// read takes an answer and closes it.
func read(answer *http.Response) *response {
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerMost))
	return &response{status: answer.StatusCode, header: answer.Header, body: text, cut: err != nil}
}

// get makes a request that sends nothing. The outcome is set where there was no answer.
func (e *endpoint) get(ctx context.Context, path string, authorise func(r *http.Request)) (*response, relay.Outcome) {
	ctx, cancel := both(ctx, e.ctx)
	defer cancel()
	ctx, cancelTime := context.WithTimeout(ctx, probeTimeout)
	defer cancelTime()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+path, http.NoBody)
	if err != nil {
		return nil, transport(cause(err))
	}
	authorise(r)
	answer, err := e.client.Do(r)
	if err != nil {
		return nil, transport(cause(err))
	}
	return read(answer), relay.Outcome{}
}

// refused is the outcome of an answer that is not a success.
func (e *endpoint) refused(said *response, detail, text string) relay.Outcome {
	if text == "" {
		text = http.StatusText(said.status)
	}
	return reply{code: said.status, detail: detail, text: text}.outcome(atRequest, said.header, e.rules)
}

// splits is how many more times a mail is sent at most to find out whom a refusal meant.
const splits = 32

// split sends a mail. Where some recipients were refused together, because of one of them,
// it sends the mail to these again in halves, until it is known whom that was: nobody took
// it. send also returns their places. After too many times the others are for later.
func split(m relay.Mail, send func(m relay.Mail) (out []relay.Outcome, together []int)) []relay.Outcome {
	out, left := send(m)
	var halves [][]int // places of recipients, those that are due next at the end
	push := func(together []int) {
		if half := len(together) / 2; half > 0 {
			halves = append(halves, together[half:], together[:half])
		}
	}
	push(left)
	for n := 0; len(halves) > 0; n++ {
		half := halves[len(halves)-1]
		halves = halves[:len(halves)-1]
		if n >= splits {
			for _, i := range half {
				out[i].Result = relay.Temporary
			}
			continue
		}
		part := m
		part.Recipients = make([]int, len(half))
		for i, place := range half {
			part.Recipients[i] = m.Recipients[place]
		}
		outcomes, together := send(part)
		for i, o := range outcomes {
			out[half[i]] = o
		}
		for i := range together {
			together[i] = half[together[i]]
		}
		push(together)
		if last := outcomes[len(outcomes)-1]; last.Result == relay.Transport || last.Result == relay.Ambiguous {
			for _, place := range slices.Concat(halves...) { // it does not answer any more
				out[place] = transport(last.Text)
			}
			break
		}
	}
	return out
}

// places are the first n.
func places(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// asOne has one outcome for all recipients. A maker that refuses one of them refuses all
// of a request.
func asOne(send func(m relay.Mail) relay.Outcome) func(m relay.Mail) ([]relay.Outcome, []int) {
	return func(m relay.Mail) (out []relay.Outcome, together []int) {
		o := send(m)
		if o.Result == relay.BadRecipient {
			together = places(len(m.Recipients))
		}
		return all(len(m.Recipients), o), together
	}
}
