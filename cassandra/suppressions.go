package cassandra

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"restante/mailbox"
	"restante/relay"
)

var (
	insertSuppression = &statement{
		name: "relay_suppression insert",
		cql:  "INSERT INTO relay_suppression (account, address, since, until, outcome) VALUES (?, ?, ?, ?, ?) USING TTL ?",
	}
	selectSuppressed = &statement{
		name: "relay_suppression select",
		cql:  "SELECT address, since, until, outcome FROM relay_suppression WHERE account = ? AND address IN ?",
	}
	selectSuppressions = &statement{
		name: "relay_suppression select all",
		cql:  "SELECT address, since, until, outcome FROM relay_suppression WHERE account = ?",
	}
	selectSuppressionTime = &statement{
		name: "relay_suppression select time",
		cql:  "SELECT WRITETIME(outcome) FROM relay_suppression WHERE account = ? AND address = ?",
	}
	deleteSuppression = &statement{
		name: "relay_suppression delete",
		cql:  "DELETE FROM relay_suppression WHERE account = ? AND address = ?",
	}
)

// suppressedAtOnce is how many addresses one statement looks for. Few messages have
// more recipients.
const suppressedAtOnce = 100

// suppressions are relay.Suppressions.
type suppressions struct {
	*session
	writes    succession
	inquiries inquiries
}

func newSuppressions(s *session) *suppressions {
	l := &suppressions{session: s}
	l.inquiries = inquiries{look: l.look, underWay: make(map[string]*inquiry)}
	return l
}

func (l *suppressions) Suppress(ctx context.Context, account mailbox.Address, s relay.Suppression) error {
	outcome, err := json.Marshal(s.Outcome)
	if err == nil {
		now := l.options.Now()
		err = l.write(ctx, insertSuppression, LocalQuorum, l.writes.after(now, 0),
			plain(account), plain(s.Address), s.Since, s.Until, string(outcome), lifetime(s.Until.Sub(now)))
	}
	if err != nil {
		return fmt.Errorf("cassandra: suppress %s for %s: %w", s.Address, account, err)
	}
	return nil
}

func (l *suppressions) Suppressed(ctx context.Context, account mailbox.Address, at time.Time, addresses []mailbox.Address) ([]relay.Suppression, error) {
	wanted := make([]string, len(addresses))
	for i, a := range addresses {
		wanted[i] = plain(a)
	}
	slices.Sort(wanted)
	var found []relay.Suppression
	for some := range slices.Chunk(slices.Compact(wanted), suppressedAtOnce) {
		rows, err := l.inquiries.ask(ctx, plain(account), some)
		if err != nil {
			return nil, fmt.Errorf("cassandra: look for the suppressed of %s: %w", account, err)
		}
		for _, s := range rows {
			if _, asked := slices.BinarySearch(some, plain(s.Address)); asked && at.Before(s.Until) {
				found = append(found, s)
			}
		}
	}
	return found, nil
}

// look is what the table has of some addresses of an account.
func (l *suppressions) look(ctx context.Context, account string, addresses []string) ([]relay.Suppression, error) {
	var found []relay.Suppression
	for s, err := range l.suppressed(l.read(ctx, selectSuppressed, LocalQuorum, account, addresses), time.Time{}) {
		if err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, nil
}

func (l *suppressions) List(ctx context.Context, account mailbox.Address, at time.Time) iter.Seq2[relay.Suppression, error] {
	return func(yield func(relay.Suppression, error) bool) {
		for s, err := range l.suppressed(l.read(ctx, selectSuppressions, LocalQuorum, plain(account)), at) {
			if err != nil {
				err = fmt.Errorf("cassandra: list the suppressed of %s: %w", account, err)
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

// suppressed goes through those rows that count at a time.
func (l *suppressions) suppressed(rows *rows, at time.Time) iter.Seq2[relay.Suppression, error] {
	return func(yield func(relay.Suppression, error) bool) {
		for {
			var s relay.Suppression
			var address, outcome string
			if !rows.scan(&address, &s.Since, &s.Until, &outcome) {
				break
			}
			if !at.Before(s.Until) {
				continue
			}
			s.Address = parsePlain(address)
			if err := json.Unmarshal([]byte(outcome), &s.Outcome); err != nil {
				yield(relay.Suppression{}, fmt.Errorf("what was said of %s: %w", address, err))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
		if err := rows.err(); err != nil {
			yield(relay.Suppression{}, err)
		}
	}
}

// Allow reads first when the address was put on the list, so that it is off whatever the
// clocks say; and most often nothing has to be deleted.
func (l *suppressions) Allow(ctx context.Context, account, address mailbox.Address) error {
	var at int64
	found, err := l.read(ctx, selectSuppressionTime, LocalQuorum, plain(account), plain(address)).one(&at)
	if err == nil && found {
		err = l.write(ctx, deleteSuppression, LocalQuorum, l.writes.after(l.options.Now(), writeTime(at)), plain(account), plain(address))
	}
	if err != nil {
		return fmt.Errorf("cassandra: allow %s for %s: %w", address, account, err)
	}
	return nil
}

// plain is an address as it is, without the quotes that SMTP asks for.
func plain(a mailbox.Address) string { return a.Local + "@" + a.Domain }

// parsePlain is the inverse of plain.
func parsePlain(text string) mailbox.Address {
	at := strings.LastIndexByte(text, '@')
	return mailbox.Address{Local: text[:max(at, 0)], Domain: text[at+1:]}
}
