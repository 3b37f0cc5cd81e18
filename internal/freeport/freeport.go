// Package freeport finds ports of loopback for programs that a test or a measurement
// starts.
package freeport

import (
	"errors"
	"io"
)

// Hold finds n different addresses of 127.0.0.1 that nobody uses. On Linux nobody is
// given one of them until release, unless he asks for it by number with SO_REUSEADDR,
// as servers do. Elsewhere they are only likely to stay free.
func Hold(n int) (addrs []string, release func() error, err error) {
	var held []io.Closer
	release = func() error {
		var errs []error
		for _, h := range held {
			errs = append(errs, h.Close())
		}
		held = nil
		return errors.Join(errs...)
	}
	for range n {
		addr, h, err := hold()
		if err != nil {
			return nil, nil, errors.Join(err, release())
		}
		addrs, held = append(addrs, addr), append(held, h)
	}
	if !shares {
		err = release()
	}
	return addrs, release, err
}
