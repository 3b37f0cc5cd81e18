package cassandra

import (
	"context"
	"fmt"

	"restante/mailbox"
	"restante/relay"
)

var (
	insertBeat = &statement{
		name: "relay_lane beat",
		cql:  "INSERT INTO relay_lane (datacenter, lane, node, seq, data) VALUES (?, ?, ?, ?, ?)",
	}
	selectBeats = &statement{
		name: "relay_lane select beats",
		cql:  "SELECT lane, node, seq, data FROM relay_lane WHERE datacenter = ?",
	}
	insertClaim = &statement{
		name: "relay_claim insert",
		cql:  "INSERT INTO relay_claim (lane, segment, claimed) VALUES (?, ?, ?)",
	}
	selectClaim = &statement{
		name: "relay_claim select",
		cql:  "SELECT claimed, WRITETIME(claimed) FROM relay_claim WHERE lane = ? AND segment = ?",
	}
)

// relayLanes are relay.Lanes.
type relayLanes struct{ *session }

// beatenAt is the write timestamp of a beat: it grows with the beats and not with a
// clock, so that a lane whose clock is set back does not look dead. An order to adopt a
// lane comes before the first.
func beatenAt(b relay.Beat) writeTime { return insertedAt(b.Lane) + writeTime(min(b.Seq, maxBeats)) }

// maxBeats is how many beats are told apart: more than a lane can have.
const maxBeats = 1 << 62

func (l *relayLanes) Beat(ctx context.Context, b relay.Beat) error {
	if err := l.write(ctx, insertBeat, LocalQuorum, beatenAt(b), l.options.Datacenter, b.Lane, b.Node, int64(b.Seq), notNil(b.Data)); err != nil {
		return fmt.Errorf("cassandra: beat of lane %s: %w", b.Lane, err)
	}
	return nil
}

func (l *relayLanes) Beats(ctx context.Context) ([]relay.Beat, error) {
	var beats []relay.Beat
	rows := l.read(ctx, selectBeats, LocalQuorum, l.options.Datacenter)
	for {
		var b relay.Beat
		var seq *int64
		if !rows.scan(&b.Lane, &b.Node, &seq, &b.Data) {
			break
		}
		if seq != nil {
			b.Seq = uint64(*seq)
			beats = append(beats, b)
		}
	}
	if err := rows.err(); err != nil {
		return nil, fmt.Errorf("cassandra: list the beats: %w", err)
	}
	return beats, nil
}

func (l *relayLanes) Claimed(ctx context.Context, s relay.Segment) (c relay.Claim, err error) {
	if _, err = l.read(ctx, selectClaim, LocalQuorum, s.Lane, s.ID).one(&c.Lane, &c.Version); err != nil {
		return relay.Claim{}, fmt.Errorf("cassandra: read the claim of segment %s: %w", s.ID, err)
	}
	return c, nil
}

// Claim is later than the claim that it is made over, however far ahead the clock was
// that this one was made by.
func (l *relayLanes) Claim(ctx context.Context, s relay.Segment, lane mailbox.MessageID, over relay.Claim) error {
	at := max(writeTime(l.options.Now().UnixMicro()), writeTime(over.Version)+1)
	if err := l.write(ctx, insertClaim, LocalQuorum, at, s.Lane, s.ID, lane); err != nil {
		return fmt.Errorf("cassandra: claim segment %s: %w", s.ID, err)
	}
	return nil
}
