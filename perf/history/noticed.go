package history

import "time"

// Noticed is what the clients of one data centre noticed of a spell, or of a whole history.
type Noticed struct {
	Datacenter string `json:"datacenter"`
	// The longest times without a mail that was acknowledged, and without a login that
	// was answered by a listing.
	NoDelivery time.Duration `json:"no_delivery"`
	NoLogin    time.Duration `json:"no_login"`
	// Answers that asked to try again later, and connections that were lost or not to be
	// had; Trouble is the longest stretch of these, without a second in which there is none.
	Later   int           `json:"later"`
	Broken  int           `json:"broken"`
	Trouble time.Duration `json:"trouble"`
}

// pause is how long nothing has to go wrong for a stretch of errors to be over.
const pause = time.Second

// A watch follows the clients of one data centre.
type watch struct {
	delivered, listed time.Duration // the last success, zero at first
	begun, last       time.Duration // of the stretch of errors
	wrong             bool          // there was such a stretch
}

// success is how long there was none.
func (w *watch) success(e Entry) (gap time.Duration) {
	last := &w.delivered
	if e.Op == List {
		last = &w.listed
	}
	gap = e.To - *last
	*last = e.To
	return gap
}

// failure is when the stretch of errors has begun to which e belongs.
func (w *watch) failure(e Entry) (begun time.Duration) {
	if !w.wrong || e.To-w.last > pause {
		w.begun = e.To
	}
	w.last, w.wrong = e.To, true
	return w.begun
}

// notice adds an entry to what was noticed.
func (n *Noticed) notice(e Entry, gap, begun time.Duration) {
	switch {
	case e.Result == OK && e.Op == List:
		n.NoLogin = max(n.NoLogin, gap)
		return
	case e.Result == OK && e.Op == Deliver:
		n.NoDelivery = max(n.NoDelivery, gap)
		return
	case e.Result == Temporary:
		n.Later++
	case e.Result == Unknown:
		n.Broken++
	default:
		return
	}
	n.Trouble = max(n.Trouble, e.To-begun)
}
