package web_test

import (
	"errors"
	"time"
)

// await waits for something outside of the browser.
func await(done func() bool) error {
	for range 1000 {
		if done() {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("it did not come within 10 s")
}
