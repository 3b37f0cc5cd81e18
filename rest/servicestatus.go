package rest

import (
	"time"

	"restante/relay/pool"
)

// A Service is what a node knows of a service.
type Service struct {
	Document pool.Document `json:"document" doc:"what it is, as the operator changed it"`
	Static   bool          `json:"static" doc:"in the configuration; others have registered"`
	Steering pool.Steering `json:"steering" doc:"what the operator said"`
	Revision int64         `json:"revision" doc:"another after each change and each registration"`
	Epoch    string        `json:"epoch,omitempty" format:"uuid" doc:"of its registration"`

	State  string    `json:"state" enum:"up,suspect,trial,throttled,probing,down,misconfigured,draining,maintenance"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`

	LastBeat  *int64            `json:"last_beat_ms,omitempty" doc:"since the last beat; absent, if none was heard"`
	Note      string            `json:"note,omitempty" doc:"what it says about itself"`
	Weight    float64           `json:"weight" doc:"just now; 0: it is given no mail"`
	Share     float64           `json:"share" doc:"of the recipients of the last minute, from 0 to 1"`
	Sending   int               `json:"in_flight" doc:"mails"`
	Room      int               `json:"room" doc:"for mails at a time"`
	Resting   *time.Time        `json:"resting_until,omitempty"`
	NextTrial *time.Time        `json:"next_trial,omitempty" doc:"of one whose mail failed"`
	Minute    int64             `json:"last_minute" doc:"recipients"`
	Day       int64             `json:"last_day" doc:"recipients of the last 24 hours"`
	Results   map[string]uint64 `json:"results" doc:"recipients by what came of the attempt"`
	P50       float64           `json:"p50_ms" doc:"of the last mails that were taken"`
	P99       float64           `json:"p99_ms"`
}

func serviceOf(s pool.Status) Service {
	out := Service{
		Document: s.Document, Static: s.Static, Steering: s.Steering, Revision: s.Revision,
		State: s.State.String(), Reason: s.Reason, Since: s.Since.UTC(), Note: s.Note, Weight: s.Weight,
		Sending: s.Sending, Room: s.Room, Resting: timeOrNil(s.Resting), NextTrial: timeOrNil(s.NextTrial),
		Minute: s.Minute, Day: s.Day, Results: s.Results, P50: milliseconds(s.P50), P99: milliseconds(s.P99),
	}
	if !s.Epoch.IsZero() {
		out.Epoch = s.Epoch.String()
	}
	if s.BeatAge >= 0 {
		age := s.BeatAge.Milliseconds()
		out.LastBeat = &age
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
