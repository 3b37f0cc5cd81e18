package history

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// ErrBroken tells that a server has broken its word.
var ErrBroken = errors.New("the server broke its word")

// A Rule names what is looked for.
type Rule string

// What breaks the server's word.
const (
	Lost        Rule = "lost"        // acknowledged, never asked to go, and a data centre ends without it
	Resurrected Rule = "resurrected" // removed, and listed again
	Duplicated  Rule = "duplicated"  // there more often than it was sent, or twice in one listing
	Reordered   Rule = "reordered"   // listings are not in one order
	WrongBytes  Rule = "wrong bytes" // not what was sent, not sent there, or not of the size that is listed
	ChangedUID  Rule = "changed uid" // a unique-id was one letter and is another
	NotVisible  Rule = "not visible" // a login after the 250, in its data centre, does not list it
	Unread      Rule = "unread"      // a maildrop or a message was not to be had in the end
	Refused     Rule = "refused"     // a permanent error, to clients that did nothing wrong
)

// What is counted and breaks nothing.
const (
	Repeated      Rule = "repeated, as sent again"    // copies of a mail whose earlier attempts had no good answer
	LateElsewhere Rule = "late elsewhere"             // a data centre has lacked it longer than it should
	Hidden        Rule = "not visible, in trouble"    // NotVisible where the rules are relaxed, or what GoneWith is in the end
	GoneWith      Rule = "lost with a data centre"    // acknowledged by one that was destroyed before others had to have it
	BackWithout   Rule = "back without a data centre" // removed by one that was destroyed before others had to know
)

var (
	faults = []Rule{Lost, Resurrected, Duplicated, Reordered, WrongBytes, ChangedUID, NotVisible, Unread, Refused}
	counts = []Rule{Repeated, LateElsewhere, Hidden, GoneWith, BackWithout}
)

// maxExamples bounds what a verdict tells of one rule.
const maxExamples = 5

// A Finding is how often something was found, with the first examples. Numbers in
// parentheses are lines of the history.
type Finding struct {
	Rule     Rule     `json:"rule"`
	Fault    bool     `json:"fault,omitempty"`
	Count    int      `json:"count"`
	Examples []string `json:"examples,omitempty"`
}

// A Verdict is what a history comes to.
type Verdict struct {
	Seconds      float64 `json:"seconds"`
	Mails        int     `json:"mails"`        // letters, once for each maildrop
	Acknowledged int     `json:"acknowledged"` // of those
	Later        int     `json:"later"`        // attempts that were to be repeated later
	Unknown      int     `json:"unknown"`      // attempts without an answer
	Listings     int     `json:"listings"`
	Retrieved    int     `json:"retrieved"`
	Removed      int     `json:"removed"` // messages, by a QUIT that was answered +OK
	Remaining    int     `json:"remaining"`

	Findings []Finding `json:"findings"`
	// LostWindow is the longest time between the acknowledgement of a mail and the
	// destruction of the only data centre that had it.
	LostWindow time.Duration `json:"lost_window,omitempty"`

	Noticed []Noticed `json:"noticed"` // in the whole history, by data centre
	Spells  []*Spell  `json:"spells"`
}

func newVerdict() *Verdict {
	v := &Verdict{}
	for _, r := range faults {
		v.Findings = append(v.Findings, Finding{Rule: r, Fault: true})
	}
	for _, r := range counts {
		v.Findings = append(v.Findings, Finding{Rule: r})
	}
	return v
}

func (v *Verdict) found(r Rule, format string, args ...any) {
	f := v.finding(r)
	f.Count++
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, fmt.Sprintf(format, args...))
	}
}

func (v *Verdict) finding(r Rule) *Finding {
	return &v.Findings[slices.IndexFunc(v.Findings, func(f Finding) bool { return f.Rule == r })]
}

// Count is how often something was found.
func (v *Verdict) Count(r Rule) int { return v.finding(r).Count }

// Faults is how often the server broke its word.
func (v *Verdict) Faults() int {
	n := 0
	for _, f := range v.Findings {
		if f.Fault {
			n += f.Count
		}
	}
	return n
}

// Write prints the verdict.
func (v *Verdict) Write(w io.Writer) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "%v: %d mails, %d acknowledged, %d times to come again, %d times no answer; %d logins, %d messages retrieved, %d removed, %d remain\n\n",
		seconds(v.Seconds), v.Mails, v.Acknowledged, v.Later, v.Unknown, v.Listings, v.Retrieved, v.Removed, v.Remaining)
	for _, f := range v.Findings {
		fmt.Fprintf(out, "%8d %s%s\n", f.Count, f.Rule, window(f.Rule, v.LostWindow))
		for _, e := range f.Examples {
			fmt.Fprintf(out, "         - %s\n", e)
		}
	}
	out.WriteString("\n")
	v.table(out)
	_, err := io.WriteString(w, out.String())
	return err
}

func window(r Rule, d time.Duration) string {
	if r != GoneWith || d == 0 {
		return ""
	}
	return fmt.Sprintf(", of the last %v before its end", d.Round(time.Millisecond))
}

// table has a line for each spell and data centre, and those of the whole history.
func (v *Verdict) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "begin\ttrouble\twhere\tfor\tseen from\tno delivery\tno login\tto come again\tbroken\terrors for")
	line := func(begin, name, where, length string, n Noticed) {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%v\t%v\t%d\t%d\t%v\n", begin, name, where, length, n.Datacenter,
			n.NoDelivery.Round(time.Millisecond), n.NoLogin.Round(time.Millisecond), n.Later, n.Broken, n.Trouble.Round(time.Millisecond))
	}
	for _, s := range v.Spells {
		for _, n := range s.Noticed {
			line(s.Begin.Round(time.Second).String(), s.Name, cmp.Or(s.Where, "-"), (s.End - s.Begin).Round(100*time.Millisecond).String(), n)
		}
	}
	for _, n := range v.Noticed {
		line("-", "all of it", "-", seconds(v.Seconds).String(), n)
	}
	_ = w.Flush() // to memory
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}
