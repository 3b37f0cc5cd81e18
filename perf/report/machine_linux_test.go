package report

import (
	"strings"
	"testing"
)

func TestTheMachineIsNamed(t *testing.T) {
	if name := Machine(); !strings.Contains(name, "processors") || !strings.Contains(name, "Linux") {
		t.Errorf("the machine is %q", name)
	}
}
