package remediate

import (
	"context"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
)

// closing is a gate that is open so often and then closed.
func closing(times int) (Gate, *int) {
	asked := 0
	return Gate{GuardWindow, func(context.Context) []string {
		if asked++; asked > times {
			return []string{"it is closed"}
		}
		return nil
	}}, &asked
}

func TestAGateIsAskedUntilTheFirstEdit(t *testing.T) {
	for open, left := range map[int]string{0: "planned", 1: "under the lock", 2: "before the first edit"} {
		nft, legacy, rows := web()
		o := options(t)
		gate, asked := closing(open)
		o.Gates = []Gate{gate}
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
		if err == nil || r.ExitCode != exitRefused || r.Status != Refused || !strings.Contains(err.Error(), "it is closed (--force window)") ||
			nft.edits+legacy.edits > 0 || *asked != open+1 {
			t.Errorf("%s: asked %d times: %+v %v", left, *asked, r, err)
		}
	}
	nft, legacy, rows := web()
	o := options(t)
	gate, asked := closing(3)
	o.Gates = []Gate{gate}
	if r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o); err != nil || r.Status != Done || *asked != 3 {
		t.Errorf("asked %d times: %+v %v", *asked, r, err)
	}
}

func TestAGateThatIsForcedIsNotAsked(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	gate, asked := closing(0)
	o.Gates, o.Force = []Gate{gate}, []string{GuardWindow}
	if r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o); err != nil || r.Status != Done || *asked != 0 {
		t.Errorf("asked %d times: %+v %v", *asked, r, err)
	}
}

func TestWhereNothingIsToBeDoneNoGateRefuses(t *testing.T) {
	nft, legacy, _ := web()
	o := options(t)
	gate, asked := closing(0)
	o.Gates = []Gate{gate}
	if r, err := Run(context.Background(), nil, nil, here(), []change.Editor{nft, legacy}, o); err != nil || r.Status != Nothing || *asked != 0 {
		t.Errorf("asked %d times: %+v %v", *asked, r, err)
	}
}
