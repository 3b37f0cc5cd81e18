package relaytest_test

import "testing"

func TestMemoryPassesEverySuite(t *testing.T) { memory().suites(t) }
