package remediate

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
)

// staging makes stages that hold copies of kernels, each changed by a test, and
// counts those that were thrown away.
func staging(t *testing.T, closed *int, kernels []*kernel, alter func(*kernel)) func(context.Context, Space, map[string]map[string][]byte) (*Stage, error) {
	t.Helper()
	return func(_ context.Context, _ Space, files map[string]map[string][]byte) (*Stage, error) {
		stage := &Stage{Close: func() error { *closed++; return nil }, Unlike: []string{"interface odd0"},
			Do: func(ctx context.Context, work func(context.Context) error) error { return work(ctx) }}
		for _, k := range kernels {
			if len(files[k.backend]) == 0 {
				t.Errorf("the stage is not told what %s holds", k.backend)
			}
			staged := newKernel(k.backend, k.copy())
			alter(staged)
			stage.Editors = append(stage.Editors, staged)
		}
		return stage, nil
	}
}

func TestARehearsalComesBeforeTheChange(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	closed := 0
	o.Rehearse, o.Stage = true, staging(t, &closed, []*kernel{nft, legacy}, func(k *kernel) {
		k.onEdit = func(int, []change.Step) error {
			if nft.edits+legacy.edits > 0 {
				t.Error("the host was changed before the rehearsal ended")
			}
			return nil
		}
	})
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 0)
	if r.Rehearsal == nil || r.Rehearsal.Steps != 3 || r.Rehearsal.Failed != "" || closed != 1 || len(r.Rehearsal.Unrehearsed) != 1 {
		t.Errorf("%+v, %d stages closed", r.Rehearsal, closed)
	}
	wantPlaces(t, nft, nat, "a", "d")
}

// A rehearsal that fails refuses the change; a dry run only tells.
func TestARehearsalThatFailsChangesNothing(t *testing.T) {
	for name, alter := range map[string]func(*kernel){
		"the steps fail":          func(k *kernel) { k.onEdit = func(int, []change.Step) error { return errTest } },
		"the inverse fails":       func(k *kernel) { k.onEdit = func(n int, _ []change.Step) error { return map[int]error{2: errTest}[n] } },
		"a step is not done":      func(k *kernel) { k.undone = map[string]string{"b": "not today"} },
		"something else changes":  func(k *kernel) { k.afterEdit = func(int) error { k.places["ip nat POSTROUTING"] = nil; return nil } },
		"it comes back elsewhere": func(k *kernel) { k.afterEdit = func(n int) error { return turn(k, n == 2) } },
	} {
		for _, dry := range []bool{false, true} {
			nft, legacy, rows := web()
			o := options(t)
			closed := 0
			o.Rehearse, o.DryRun, o.Stage = true, dry, staging(t, &closed, []*kernel{nft, legacy}, func(k *kernel) {
				if k.backend == "nf_tables" {
					alter(k)
				}
			})
			r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
			if dry {
				wantResult(t, r, err, Pending, exitViolations)
				if !slices.ContainsFunc(r.Notes, func(n string) bool {
					return strings.HasPrefix(n, "would be refused (exit code 7): the rehearsal failed")
				}) {
					t.Errorf("%s: %q", name, r.Notes)
				}
			} else {
				wantResult(t, r, err, Refused, exitRefused)
			}
			if r.Rehearsal == nil || r.Rehearsal.Failed == "" || nft.edits+legacy.edits > 0 || closed != 1 {
				t.Errorf("%s: %+v, %d edits, %d stages closed", name, r.Rehearsal, nft.edits+legacy.edits, closed)
			}
		}
	}
}

func turn(k *kernel, now bool) error {
	if now {
		slices.Reverse(k.places[nat])
	}
	return nil
}

// What a stage does not hold is said, and what it has no editor for.
func TestWhatWasNotRehearsedIsSaid(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	closed := 0
	o.DryRun, o.Rehearse, o.Stage = true, true, staging(t, &closed, []*kernel{nft}, func(k *kernel) { k.places[nat] = []string{"a", "b", "d"} })
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Pending, exitViolations)
	const lost = "the private namespace does not hold it, or not what stands beside it"
	want := []Unrehearsed{
		{"interface odd0", "the private namespace could not be made like it"},
		{"ip nat PREROUTING: 1 gone, 0 new", "the private namespace could not be made like it"},
		{"ip nat PREROUTING handle 102", lost},
		{"ip nat PREROUTING handle 103", lost},
		{"legacy ip nat PREROUTING 2", "no private namespace can be made with x_tables"},
	}
	if !slices.Equal(r.Rehearsal.Unrehearsed, want) || r.Rehearsal.Steps != 0 {
		t.Errorf("%+v", r.Rehearsal)
	}
	for _, u := range want {
		if !slices.Contains(r.Notes, "not rehearsed: "+u.What+": "+u.Why) {
			t.Errorf("%q does not tell %q", r.Notes, u.What)
		}
	}
}

func TestWithoutAStageItIsRefused(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	o.Rehearse = true
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Refused, exitRefused)
	if nft.edits+legacy.edits > 0 {
		t.Error("the host was changed")
	}
}
