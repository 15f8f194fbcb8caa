package remediate

import (
	"context"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
)

// Whatever the wall clock does between two runs, the newest change stays the
// newest, a wait is neither over too soon nor endless, and the way back is the
// same: a rollback of the older change would open yesterday's hole.
func TestTheClockIsSet(t *testing.T) {
	for name, jump := range map[string]time.Duration{"a year back": -365 * 24 * time.Hour, "an hour back": -time.Hour, "a year on": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			nft, legacy, rows := web()
			o, editors := options(t), []change.Editor{nft, legacy}
			first, err := Run(context.Background(), rows[:1], nil, here(), editors, o)
			if err != nil || first.ExitCode != 0 {
				t.Fatalf("%+v %v", first, err)
			}
			clock := o.Now().Add(jump)
			o.Now = func() time.Time { return clock }
			o.ConfirmWithin, o.Watchdog = time.Hour, func(string, string) error { return nil }
			second, err := Run(context.Background(), rows[2:], nil, here(), editors, o)
			if err != nil || second.Status != Pending {
				t.Fatalf("%+v %v", second, err)
			}
			clock = clock.Add(-jump).Add(-jump)
			if r, err := Recover(context.Background(), resolveHere, editors, o); err != nil || r.Status != Pending {
				t.Fatalf("a wait of an hour is over: %+v %v", r, err)
			}
			if r, err := Confirm(context.Background(), "", resolveHere, editors, o); err != nil || r.ExitCode != 0 || r.Change != second.Change {
				t.Fatalf("%+v %v", r, err)
			}
			clock = clock.Add(jump)
			r, err := Rollback(context.Background(), "", resolveHere, editors, o)
			if err != nil || r.ExitCode != 0 || r.Change != second.Change {
				t.Fatalf("it took another change than the newest: %+v %v", r, err)
			}
			wantPlaces(t, legacy, legacyNat, "v", "w")
			wantPlaces(t, nft, nat, "a", "c", "d")
		})
	}
}
