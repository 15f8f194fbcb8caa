package edit

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// Somebody adds a rule on top between reading and planning: every rule behind it
// has another number, and is still the one that was read. Of twins nobody knows
// which is meant, unless it is all of them.
func TestARuleThatMovedIsStillTheOneThatWasRead(t *testing.T) {
	s := space(t)
	alone := refsOf(t, dump(t, s), func(table, c string, i int) bool { return table == "nat" && c == "PREROUTING" && i == 2 })
	twins := refsOf(t, dump(t, s), func(table, c string, i int) bool { return table == "nat" && c == "PREROUTING" && i == 6 })
	both := refsOf(t, dump(t, s), func(table, c string, i int) bool { return table == "nat" && c == "PREROUTING" })
	both = slices.DeleteFunc(both, func(r host.Ref) bool { return r.Fingerprint != twins[0].Fingerprint })
	s.MustRun(t, "", "iptables-legacy", "-t", "nat", "-I", "PREROUTING", "-p", "tcp", "--dport", "9", "-j", "ACCEPT")
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		steps, refused, err := e.Steps(ctx, alone, []string{"x"})
		if err != nil || len(refused) > 0 || len(steps) != 1 || steps[0].Place.Index != 3 || steps[0].Before.Fingerprint != alone[0].Fingerprint {
			t.Errorf("steps %+v, refused %v, %v", steps, refused, err)
		}
		twins[0].Index = 1 // where something else stands now
		if steps, _, err := e.Steps(ctx, twins, []string{"x"}); !errors.Is(err, change.ErrStale) {
			t.Errorf("one of two equal rules: %+v, %v", steps, err)
		}
		steps, _, err = e.Steps(ctx, both, []string{"x", "y"})
		if err != nil || len(steps) != 2 || steps[0].Before.Fingerprint != both[0].Fingerprint || steps[1].Before.Fingerprint != both[0].Fingerprint ||
			steps[0].Place.Index != both[0].Index+1 || steps[1].Place.Index != both[1].Index || steps[0].IDs[0] != "x" {
			t.Errorf("both equal rules: %+v, %v", steps, err)
		}
		return nil
	})
}
