package remediate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/rollback"
)

// crashing is an editor that ends the program at a chosen call.
type crashing struct {
	*kernel
	calls *int
	at    int
}

type crash struct{}

func (c crashing) tick() {
	if *c.calls++; *c.calls == c.at {
		panic(crash{})
	}
}

func (c crashing) World(ctx context.Context) (*change.World, error) {
	c.tick()
	return c.kernel.World(ctx)
}

// Edit may crash before the kernel took the transaction, or after.
func (c crashing) Edit(ctx context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	c.tick()
	out, err := c.kernel.Edit(ctx, generation, steps)
	c.tick()
	return out, err
}

// until runs work and says whether it crashed.
func until(work func()) (crashed bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ours := p.(crash); !ours {
				panic(p)
			}
			crashed = true
		}
	}()
	work()
	return false
}

// A crash at any point of remediate leaves a journal from which rollback makes
// the host what it was; a crash at any point of that rollback, too.
func TestACrashAtAnyPointCanBeRolledBack(t *testing.T) {
	for _, undoAt := range []int{0, 2, 4, 6} {
		for at := 1; ; at++ {
			if !crashOnce(t, at, undoAt) {
				if at < 8 {
					t.Fatalf("only %d points to crash at: the test does not reach the edits", at)
				}
				break
			}
		}
	}
}

func crashOnce(t *testing.T, at, undoAt int) (crashed bool) {
	t.Helper()
	nft, legacy, rows := web()
	o, calls := options(t), 0
	editors := []change.Editor{crashing{nft, &calls, at}, crashing{legacy, &calls, at}}
	crashed = until(func() { _, _ = Run(context.Background(), rows, nil, here(), editors, o) })
	checkJournal(t, o, at, nft, legacy)
	calls = 0
	editors = []change.Editor{crashing{nft, &calls, undoAt}, crashing{legacy, &calls, undoAt}}
	until(func() { _, _ = Rollback(context.Background(), "", resolveHere, editors, o) })
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("crash at %d, then at %d: rollback: %+v %v", at, undoAt, r, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	wantPlaces(t, legacy, legacyNat, "v", "w")
	return crashed
}

// checkJournal sees that whatever is changed on the host was announced before.
func checkJournal(t *testing.T, o Options, at int, kernels ...*kernel) {
	t.Helper()
	begun := map[string]bool{}
	if s, err := rollback.Open(o.StateDir); err == nil {
		defer s.Close()
		c, err := s.Newest()
		if err == nil {
			groups, _ := c.Begun()
			for _, g := range groups {
				begun[g.Backend] = true
			}
		}
	}
	for _, k := range kernels {
		if k.edits > 0 && !begun[k.backend] {
			t.Errorf("crash at %d: %s was changed and the journal does not say so", at, k.backend)
		}
	}
}

// Whatever the chains hold, equal rules too: a run removes exactly the rules
// of the rows, in their places, and the rollback restores every chain.
func TestRandomChains(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		nft := newKernel("nf_tables", map[string][]string{})
		legacy := newKernel("x_tables", map[string][]string{})
		rowsA, wantA := scatter(rng, nft, nat, nat)
		rowsB, wantB := scatter(rng, legacy, nat, legacyNat)
		before := []map[string][]string{nft.copy(), legacy.copy()}
		o, editors := options(t), []change.Editor{nft, legacy}
		r, err := Run(context.Background(), append(rowsA, rowsB...), nil, here(), editors, o)
		if err != nil || r.ExitCode != 0 {
			t.Fatalf("seed %d: %+v %v", seed, r, err)
		}
		wantPlaces(t, nft, nat, wantA...)
		wantPlaces(t, legacy, legacyNat, wantB...)
		if r, err = Rollback(context.Background(), "", resolveHere, editors, o); err != nil || r.ExitCode != 0 {
			t.Fatalf("seed %d: %+v %v", seed, r, err)
		}
		wantPlaces(t, nft, nat, before[0][nat]...)
		wantPlaces(t, legacy, legacyNat, before[1][legacyNat]...)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// scatter fills a chain with rules of few kinds and picks some as violations.
func scatter(rng *rand.Rand, k *kernel, chain, place string) (rows []host.Redirect, rest []string) {
	for i := range rng.IntN(12) {
		print := string(rune('a' + rng.IntN(3)))
		k.places[place] = append(k.places[place], print)
		if rng.IntN(3) > 0 {
			rest = append(rest, print)
			continue
		}
		rows = append(rows, row(fmt.Sprintf("%s-%d", k.backend, i), k.backend, chain, print, i+1))
	}
	if k.places[place] == nil {
		k.places[place] = []string{}
	}
	return rows, slices.Clip(rest)
}
