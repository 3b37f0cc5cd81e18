package proc

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

var errNoProcess error = syscall.ESRCH

// A Meter measures processes, the tool itself and the rest of the machine from
// Start to Stop.
type Meter struct {
	system System
	roots  []int
	start  reading
	peak   int64
	stop   chan struct{}
	done   sync.WaitGroup
}

// A Report is what a Meter has seen.
type Report struct {
	Elapsed time.Duration
	Server  time.Duration // CPU of the measured processes, zero if there are none
	Tool    time.Duration // CPU of this process
	// Others is the share of all processors (0 to 1) that neither the server nor
	// this tool has used: what disturbed the measurement.
	Others  float64
	PeakRSS int64
	RSS     int64 // at the end
	PSS     int64 // at the end
}

// Share is the share of all processors (0 to 1) that the server has used.
func (r Report) Share() float64 {
	return float64(r.Server) / float64(max(r.Elapsed, 1)) / float64(runtime.NumCPU())
}

type reading struct {
	at           time.Time
	server, tool time.Duration
	busy         time.Duration
}

// sampling is how often the memory is looked at. Each look reads a file of every
// process of the machine, which must not be felt beside the load.
const sampling = 500 * time.Millisecond

// Start begins measuring the trees of the given processes, none of them being
// fine. Stop must be called.
func Start(system System, roots ...int) (*Meter, error) {
	m := &Meter{system: system, roots: roots, stop: make(chan struct{})}
	var err error
	if m.start, err = m.read(); err != nil {
		return nil, err
	}
	if len(roots) > 0 {
		m.done.Go(m.watch)
	}
	return m, nil
}

// watch follows the memory for its peak; what it cannot see it leaves out.
func (m *Meter) watch() {
	ticker := time.NewTicker(sampling)
	defer ticker.Stop()
	for {
		if u, err := m.system.Tree(m.roots...); err == nil {
			m.peak = max(m.peak, u.RSS)
		}
		select {
		case <-m.stop:
			return
		case <-ticker.C:
		}
	}
}

// Stop ends the measurement. It is called once.
func (m *Meter) Stop() (Report, error) {
	end, err := m.read()
	close(m.stop)
	m.done.Wait()
	if err != nil {
		return Report{}, err
	}
	r := Report{
		Elapsed: end.at.Sub(m.start.at),
		Server:  end.server - m.start.server,
		Tool:    end.tool - m.start.tool,
	}
	others := end.busy - m.start.busy - r.Server - r.Tool
	capacity := r.Elapsed * time.Duration(runtime.NumCPU())
	r.Others = max(0, min(1, float64(others)/float64(max(capacity, 1))))
	if len(m.roots) > 0 {
		u, err := m.system.TreePSS(m.roots...)
		if err != nil {
			return r, err
		}
		r.RSS, r.PSS, r.PeakRSS = u.RSS, u.PSS, max(m.peak, u.RSS)
	}
	return r, nil
}

func (m *Meter) read() (reading, error) {
	r := reading{at: time.Now()}
	var err error
	if r.tool, err = self(); err != nil {
		return r, err
	}
	if r.busy, err = m.system.Busy(); err != nil {
		return r, err
	}
	if len(m.roots) > 0 {
		u, err := m.system.Tree(m.roots...)
		if err != nil {
			return r, err
		}
		r.server = u.CPU
	}
	return r, nil
}

// self is this process's user and system time.
func self() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
