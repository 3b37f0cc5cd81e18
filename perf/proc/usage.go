// Package proc reads from /proc what a tree of processes and the whole machine
// have used (proc(5)). It sees only Linux.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A Usage is what processes have used until now.
type Usage struct {
	Processes int
	// CPU is user and system time, of processes that ended only where their
	// parent in the tree has waited for them.
	CPU time.Duration
	RSS int64 // octets resident; pages that processes share count in each
	PSS int64 // octets resident, shared pages divided among their users; if asked for
}

// tick is the unit of /proc's times: USER_HZ is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// A System is a /proc file system. The zero value is this machine's.
type System struct {
	Root string // "/proc" if empty
}

func (s System) path(parts ...string) string {
	root := s.Root
	if root == "" {
		root = "/proc"
	}
	return filepath.Join(append([]string{root}, parts...)...)
}

// A stat is what is used of one line of /proc/PID/stat.
type stat struct {
	pid, parent int
	name        string
	zombie      bool
	cpu         time.Duration // with that of children that were waited for
	own         time.Duration
	rss         int64
}

// Tree adds up the processes of the given ids and all their descendants. A
// process that ends meanwhile is left out. It fails if none of the ids is there.
func (s System) Tree(roots ...int) (Usage, error) {
	var u Usage
	members, err := s.members(roots)
	if err != nil {
		return u, err
	}
	for _, p := range members {
		u.Processes++
		u.CPU += p.cpu
		u.RSS += p.rss
	}
	return u, nil
}

// TreePSS is Tree with PSS, which costs the kernel a walk over every page.
func (s System) TreePSS(roots ...int) (Usage, error) {
	u, err := s.Tree(roots...)
	if err != nil {
		return u, err
	}
	members, err := s.members(roots)
	for _, p := range members {
		n, e := s.pss(p.pid)
		if e != nil && !gone(e) {
			return u, e
		}
		u.PSS += n
	}
	return u, err
}

// Members are the ids of the given processes that live and of their
// descendants.
func (s System) Members(roots ...int) ([]int, error) {
	members, err := s.members(roots)
	ids := make([]int, len(members))
	for i, p := range members {
		ids[i] = p.pid
	}
	return ids, err
}

// Living is how many of the given processes have not ended; one that only waits
// for its parent to notice has.
func (s System) Living(pids ...int) (int, error) {
	living := 0
	for _, pid := range pids {
		p, err := s.stat(pid)
		if err != nil && !gone(err) {
			return living, err
		}
		if err == nil && !p.zombie {
			living++
		}
	}
	return living, nil
}

// A Thread is known by its name and its work. The kernel keeps 15 octets of a name, which
// the thread may change.
type Thread struct {
	Name string
	CPU  time.Duration // user and system time until now
}

// Threads are those of the given processes and all their descendants, by their ids.
func (s System) Threads(roots ...int) (map[int]Thread, error) {
	members, err := s.members(roots)
	if err != nil {
		return nil, err
	}
	threads := map[int]Thread{}
	for _, p := range members {
		tasks := filepath.Join(strconv.Itoa(p.pid), "task")
		entries, err := os.ReadDir(s.path(tasks))
		if err != nil && !gone(err) {
			return nil, fmt.Errorf("proc: %w", err)
		}
		for _, e := range entries {
			t, err := s.statOf(filepath.Join(tasks, e.Name()))
			if gone(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			threads[t.pid] = Thread{t.name, t.own}
		}
	}
	return threads, nil
}

func (s System) members(roots []int) ([]stat, error) {
	children, byID, err := s.all()
	if err != nil {
		return nil, err
	}
	var members []stat
	seen := map[int]bool{}
	var visit func(pid int)
	visit = func(pid int) {
		p, lives := byID[pid]
		if !lives || seen[pid] {
			return
		}
		seen[pid] = true
		members = append(members, p)
		for _, child := range children[pid] {
			visit(child)
		}
	}
	for _, pid := range roots {
		visit(pid)
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("proc: none of the processes %v is there", roots)
	}
	return members, nil
}

// all reads every process of the machine.
func (s System) all() (children map[int][]int, byID map[int]stat, err error) {
	entries, err := os.ReadDir(s.path())
	if err != nil {
		return nil, nil, fmt.Errorf("proc: %w", err)
	}
	children, byID = map[int][]int{}, map[int]stat{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := s.stat(pid)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		byID[pid] = p
		children[p.parent] = append(children[p.parent], pid)
	}
	return children, byID, nil
}

func (s System) stat(pid int) (stat, error) { return s.statOf(strconv.Itoa(pid)) }

// statOf reads the stat of a process or a thread, whose directory that is.
func (s System) statOf(dir string) (stat, error) {
	raw, err := os.ReadFile(s.path(dir, "stat"))
	if err != nil {
		return stat{}, fmt.Errorf("proc: %w", err)
	}
	// The second field is the program's name in brackets and may hold anything,
	// so fields are counted from the last bracket.
	begin, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	fields := bytes.Fields(raw[end+1:])
	if begin < 0 || end < begin || len(fields) < 22 {
		return stat{}, fmt.Errorf("proc: stat of %s reads %.200q", dir, raw)
	}
	var n numbers
	p := stat{
		pid: int(n.parse(bytes.TrimSpace(raw[:begin]))), parent: int(n.parse(fields[1])),
		name: string(raw[begin+1 : end]), zombie: fields[0][0] == 'Z',
	}
	for i, f := range fields[11:15] { // utime, stime and those of waited-for children
		p.cpu += time.Duration(n.parse(f)) * tick
		if i < 2 {
			p.own += time.Duration(n.parse(f)) * tick
		}
	}
	p.rss = n.parse(fields[21]) * int64(os.Getpagesize())
	return p, n.err
}

// pss reads the one line of smaps_rollup that counts.
func (s System) pss(pid int) (int64, error) {
	raw, err := os.ReadFile(s.path(strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0, fmt.Errorf("proc: %w", err)
	}
	for line := range bytes.Lines(raw) {
		if fields := bytes.Fields(line); len(fields) >= 2 && string(fields[0]) == "Pss:" {
			var n numbers
			kib := n.parse(fields[1])
			return kib << 10, n.err
		}
	}
	return 0, fmt.Errorf("proc: no Pss in smaps_rollup of %d", pid)
}

// Busy is how long the machine's processors have worked, all added up, since it
// started.
func (s System) Busy() (time.Duration, error) {
	raw, err := os.ReadFile(s.path("stat"))
	if err != nil {
		return 0, fmt.Errorf("proc: %w", err)
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("proc: stat begins with %.100q", line)
	}
	var n numbers
	var busy time.Duration
	for i, f := range fields[1:9] { // user nice system idle iowait irq softirq steal
		if i != 3 && i != 4 {
			busy += time.Duration(n.parse(f)) * tick
		}
	}
	return busy, n.err
}

// numbers keeps the first error of many.
type numbers struct{ err error }

func (n *numbers) parse(field []byte) int64 {
	v, err := strconv.ParseInt(string(field), 10, 64)
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("proc: %w", err)
	}
	return v
}

// gone tells that a process ended while it was looked at: its directory is gone,
// or reading from it says ESRCH.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoProcess)
}
