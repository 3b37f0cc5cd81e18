//go:build !unix

package process

import (
	"os"
	"os/exec"
	"time"
)

func terminate(p *os.Process) error  { return p.Kill() }
func freeze(*os.Process) error       { return ErrUnsupported }
func thaw(*os.Process) error         { return ErrUnsupported }
func tie(*exec.Cmd)                  {}
func slacken(time.Duration) error    { return nil }
func detach(*exec.Cmd)               {}
func tryLock(*os.File) (bool, error) { return false, ErrUnsupported }
