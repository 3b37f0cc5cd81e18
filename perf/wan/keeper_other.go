//go:build !linux

package wan

import "fmt"

// Permitted says why this process may not make a network.
func Permitted() error { return fmt.Errorf("%w: this is not Linux", ErrNotPermitted) }

func clean(int) error { return nil }
