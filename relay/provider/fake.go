package provider

import (
	"context"
	"fmt"
	"io"
	"time"

	"restante/relay"
)

// A Fake reads mail and forgets it. It is for rehearsals: with the URL fake:// mail is
// taken, with fake://RESULT it has another result, such as fake://bad-recipient, and with
// fake://?slow=200ms everything takes so long.
type Fake struct {
	Result relay.Result
	Text   string
	Slow   time.Duration
}

var _ relay.Provider = (*Fake)(nil)

// Send has the same outcome for all.
func (f *Fake) Send(ctx context.Context, m relay.Mail) []relay.Outcome {
	content, err := open(ctx, m)
	if err != nil {
		return all(len(m.Recipients), transport(textContent))
	}
	defer content.Close()
	if _, err := io.Copy(io.Discard, content); err != nil {
		return all(len(m.Recipients), transport(textContent))
	}
	if err := m.Commit(); err != nil {
		return all(len(m.Recipients), transport(textBrokenOff))
	}
	return all(len(m.Recipients), f.outcome(ctx, fmt.Sprintf("fake-%s", m.Message)))
}

func (f *Fake) outcome(ctx context.Context, id string) relay.Outcome {
	slow := time.NewTimer(f.Slow)
	defer slow.Stop()
	select {
	case <-slow.C:
	case <-ctx.Done():
		return ambiguous(textUnanswered)
	}
	o := relay.Outcome{Result: f.Result, Text: f.Text}
	switch f.Result {
	case relay.Success:
		o.RemoteID = id
	case relay.Throttled:
		o.Until = time.Now().Add(time.Minute)
	}
	return o
}

// Probe has the result of mails, where that is about the service.
func (f *Fake) Probe(ctx context.Context) relay.Outcome {
	switch f.Result {
	case relay.Transport, relay.AccountFault:
		return f.outcome(ctx, "")
	}
	return relay.Outcome{Result: relay.Success}
}

// Limits are none.
func (f *Fake) Limits() relay.Limits { return relay.Limits{} }

// Close does nothing.
func (f *Fake) Close() error { return nil }
