package cassandra

import (
	"strings"
	"testing"
)

func TestAMajorityOfAllReplicasIsNoLevelToAcknowledge(t *testing.T) {
	t.Parallel()
	for _, want := range []Consistency{LocalQuorum, EachQuorum} {
		var c Consistency
		if err := c.UnmarshalText([]byte(want.String())); err != nil || c != want {
			t.Errorf("%s is read as %s, %v", want, c, err)
		}
	}
	for text, says := range map[string]string{"QUORUM": "a login would not see", "ALL": "neither LOCAL_QUORUM nor EACH_QUORUM", "LOCAL_ONE": "neither"} {
		var c Consistency
		if err := c.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s is read as %s, %v", text, c, err)
		}
	}
}
