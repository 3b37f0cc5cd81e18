package pool

// A State is what a service is worth just now, from the best to the worst. Where several
// things are the matter it is the worst of them.
type State uint8

const (
	Up            State = iota
	Suspect             // works, but something failed lately
	Trial               // was given one mail, to see whether it works again
	Throttled           // rests until a time, as it was asked to or its day is used up
	Probing             // not known yet
	Down                // does not work
	Misconfigured       // its account is broken; the operator has to reset it
	Draining            // finishes what it has
	Maintenance         // left alone
)

func (s State) String() string {
	return [...]string{"up", "suspect", "trial", "throttled", "probing", "down", "misconfigured", "draining", "maintenance"}[s]
}

// MarshalText writes the name of a state.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
