package remediate

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
)

// heard is a witness in a test.
type heard []string

func (h heard) Changers() []string { return h }
func (h heard) Close() error       { return nil }

// A refusal for a stale plan says who wrote meanwhile, at each place where one
// can become stale.
func TestARefusalNamesWhoWroteMeanwhile(t *testing.T) {
	for name, alter := range map[string]func(*kernel){
		"before the plan":      func(k *kernel) { k.places[nat] = []string{"a"} },
		"after the plan":       func(k *kernel) { k.onWorld = func(int) { k.places[nat] = append(k.places[nat], "x") } },
		"while it is sent":     func(k *kernel) { k.staleTimes = 1 << 30 },
		"between look and set": func(k *kernel) { k.onWorld = func(n int) { gone(k, n == 3) }; k.staleTimes = 1 },
	} {
		nft, legacy, rows := web()
		o := options(t)
		o.Witness = func() (Witness, error) { return heard{"puppet (pid 7)", "iptables (pid 8)"}, nil }
		alter(nft)
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
		if r.ExitCode != exitRefused || r.Status != Refused || !errors.Is(err, change.ErrStale) || nft.edits+legacy.edits > 0 ||
			!strings.Contains(err.Error(), "the rules were changed meanwhile by iptables (pid 8), puppet (pid 7): try again when that is done") {
			t.Errorf("%s: %+v: %v", name, r, err)
		}
	}
}

func gone(k *kernel, now bool) {
	if now {
		k.places[nat], k.generation = []string{"a", "c"}, k.generation+1
	}
}

// afterwards has others write right after the first transaction.
func afterwards(k *kernel, commits uint32, prints ...string) {
	k.afterEdit = func(n int) error {
		if n == 1 {
			k.places[nat] = append(k.places[nat], prints...)
			k.generation += commits
		}
		return nil
	}
}

// What others write after the transaction is theirs, where the kernel counts it
// and names them: it is told, and not undone; what they put back is left.
func TestWhatOthersWriteAfterwardsStays(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	o.Witness = func() (Witness, error) { return heard{"puppet (pid 7)"}, nil }
	afterwards(nft, 1, "theirs", "b")
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, exitViolations)
	wantPlaces(t, nft, nat, "a", "d", "theirs", "b")
	if len(r.Left) != 1 || r.Left[0] != (Left{"id-b", "it came back right after its removal: put back by puppet (pid 7); stop that first"}) ||
		!strings.Contains(strings.Join(r.Notes, "\n"), "meanwhile puppet (pid 7) changed nf_tables of network namespace the starting one, which is left as it is: ip nat PREROUTING: 0 gone, 2 new") {
		t.Errorf("%+v %q", r.Left, r.Notes)
	}
}

// Where only one of the two tells, the change is undone: it may be our doing.
func TestWhatMayBeOurDoingIsUndone(t *testing.T) {
	for name, c := range map[string]struct {
		commits uint32
		heard   heard
	}{"nobody was counted": {0, heard{"puppet (pid 7)"}}, "nobody was named": {1, nil}} {
		nft, legacy, rows := web()
		o := options(t)
		o.Witness = func() (Witness, error) { return c.heard, nil }
		afterwards(nft, c.commits, "theirs")
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
		wantResult(t, r, err, RolledBack, exitRolledBack)
		wantPlaces(t, nft, nat, "a", "b", "c", "d", "theirs")
		if strings.Contains(err.Error(), "meanwhile by puppet (pid 7)") != (c.heard != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same rules again under another generation are the plan's own world: it is
// sent at once, without a new plan.
func TestTheSameWorldIsWrittenToAtOnce(t *testing.T) {
	nft, legacy, rows := web()
	nft.staleTimes = 5
	nft.onWorld = func(n int) {
		if n > 2 {
			nft.generation++
		}
	}
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, options(t))
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, nft, nat, "a", "d")
}
