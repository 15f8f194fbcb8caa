package remediate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
)

// kernel is a subsystem in memory: an editor that really removes and puts
// back, and whose failures a test chooses.
type kernel struct {
	backend    string
	generation uint32
	places     map[string][]string // as change.World.Places
	handles    map[string]uint64   // fingerprint to handle
	edits      int
	flows      []string // that were cut

	staleTimes int                                // Edit answers ErrStale so often
	onEdit     func(n int, s []change.Step) error // before the n-th Edit (from 1): an error, nothing done
	afterEdit  func(n int) error                  // after the n-th Edit: an error though it is done
	onWorld    func(n int)
	worlds     int
	unprovable map[string]string // fingerprint to reason
	refusals   map[string]string // fingerprint to reason
	forced     bool              // a refusal comes with a step
	undone     map[string]string // fingerprint to reason, when it is put back
}

func newKernel(backend string, places map[string][]string) *kernel {
	k := &kernel{backend: backend, places: places, handles: map[string]uint64{}, generation: 7}
	if backend == "x_tables" {
		k.generation = 0
	}
	return k
}

func (k *kernel) Backend() string { return k.backend }

func (k *kernel) copy() map[string][]string {
	out := maps.Clone(k.places)
	for p := range out {
		out[p] = slices.Clone(out[p])
	}
	return out
}

func (k *kernel) World(ctx context.Context) (*change.World, error) {
	k.worlds++
	if k.onWorld != nil {
		k.onWorld(k.worlds)
	}
	return &change.World{Backend: k.backend, Generation: k.generation, Places: k.copy(),
		Files: map[string][]byte{"tables.txt": []byte(fmt.Sprint(k.places)), "../odd/na\nme": {1}}}, ctx.Err()
}

func (k *kernel) Steps(_ context.Context, refs []host.Ref, ids []string) (steps []change.Step, refused []change.Refusal, err error) {
	at := map[string]int{}
	for i, r := range refs {
		o := &change.Object{Kind: "rule", Backend: k.backend, Family: r.Family, Table: r.Table, Chain: r.Chain,
			Handle: r.Handle, Fingerprint: r.Fingerprint, Text: "rule " + r.Fingerprint, Raw: []byte(r.Fingerprint)}
		if r.Set != "" {
			o.Kind, o.Set, o.Chain, o.Fingerprint, o.Text = "element", r.Set, "", string(r.Key), "element "+string(r.Key)
		}
		place := k.places[placeOf(o)]
		index := slices.Index(place, o.Fingerprint)
		if r.Index > 0 && r.Index <= len(place) && place[r.Index-1] == o.Fingerprint {
			index = r.Index - 1
		}
		if why := k.refusals[o.Fingerprint]; why != "" {
			refused = append(refused, change.Refusal{Ref: r, Why: why})
			if !k.forced {
				continue
			}
		}
		if index < 0 {
			return nil, nil, fmt.Errorf("%s: %w", o.Fingerprint, change.ErrGone)
		}
		id := fmt.Sprint(placeOf(o), o.Fingerprint, index)
		if n, known := at[id]; known {
			steps[n].IDs = append(steps[n].IDs, ids[i])
			continue
		}
		if k.backend == xTables { // it counts as the chain is when the step's turn comes
			for _, s := range steps {
				if placeOf(s.Before) == placeOf(o) && s.Place.Index <= index {
					index--
				}
			}
		}
		at[id] = len(steps)
		steps = append(steps, change.Step{IDs: []string{ids[i]}, Action: change.Delete, Before: o, Reversible: k.refusals[o.Fingerprint] == "", Place: change.Place{Index: index + 1}})
	}
	return steps, refused, nil
}

func (k *kernel) Check(_ context.Context, steps []change.Step) (map[int]string, error) {
	failed := map[int]string{}
	for i, s := range steps {
		if why := k.unprovable[s.Object().Fingerprint]; why != "" {
			failed[i] = why
		}
	}
	return failed, nil
}

func (k *kernel) Edit(_ context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	if k.staleTimes > 0 {
		k.staleTimes--
		return change.Outcome{}, change.ErrStale
	}
	if generation != 0 && generation != k.generation {
		return change.Outcome{}, change.ErrStale
	}
	k.edits++
	if k.onEdit != nil {
		if err := k.onEdit(k.edits, steps); err != nil {
			return change.Outcome{}, err
		}
	}
	out := change.Outcome{Undone: map[int]string{}}
	for _, i := range k.sendOrder(steps) {
		if why := k.apply(steps[i]); why != "" {
			out.Undone[i] = why
		}
	}
	if k.generation > 0 {
		k.generation++
	}
	if k.afterEdit != nil {
		if err := k.afterEdit(k.edits); err != nil {
			return out, err
		}
	}
	return out, nil
}

// sendOrder deletes from the end and adds from the beginning, so that the
// places of the plan hold while the steps run.
func (k *kernel) sendOrder(steps []change.Step) []int {
	var out []int
	for i := range steps {
		out = append(out, i)
	}
	if k.backend == xTables {
		return out
	}
	slices.SortStableFunc(out, func(a, b int) int {
		if d := steps[a].Place.Index - steps[b].Place.Index; steps[a].After != nil {
			return d
		} else {
			return -d
		}
	})
	return out
}

func (k *kernel) apply(s change.Step) string {
	if s.Action == change.Cut {
		k.flows = append(k.flows, s.Before.Text)
		return ""
	}
	place := placeOf(s.Object())
	here := k.places[place]
	if s.After == nil {
		i := slices.Index(here, s.Before.Fingerprint)
		if s.Place.Index > 0 && s.Place.Index <= len(here) && here[s.Place.Index-1] == s.Before.Fingerprint {
			i = s.Place.Index - 1
		}
		if i < 0 {
			return "it is not there"
		}
		k.places[place] = slices.Delete(slices.Clone(here), i, i+1)
		return ""
	}
	if why := k.undone[s.After.Fingerprint]; why != "" {
		return why
	}
	if _, known := k.places[place]; !known {
		return "its chain is gone"
	}
	i := min(max(s.Place.Index-1, 0), len(here))
	k.places[place] = slices.Insert(slices.Clone(here), i, s.After.Fingerprint)
	return ""
}

// row is a violation of a rule at a place "ip nat PREROUTING".
func row(id, backend, place, print string, index int) host.Redirect {
	w := strings.SplitN(place, " ", 3)
	ref := &host.Ref{Backend: backend, Family: host.Family(w[0]), Table: w[1], Chain: w[2], Handle: uint64(100 + index), Index: index, Fingerprint: print}
	if backend == "x_tables" {
		ref.Handle = 0
	}
	return host.Redirect{ID: id, Mechanism: "rule", Kind: "dnat", State: host.Active, Verdict: host.Violation, Ref: ref,
		Rule: &host.RuleRef{Text: "text of " + print}}
}

const (
	nat       = "ip nat PREROUTING"
	legacyNat = "legacy " + nat
)

// web is a host with two backends: a b c d in nft, v w in legacy; b, c and w are violations.
func web() (nft, legacy *kernel, rows []host.Redirect) {
	nft = newKernel("nf_tables", map[string][]string{nat: {"a", "b", "c", "d"}, "ip nat POSTROUTING": {"m"}})
	legacy = newKernel("x_tables", map[string][]string{legacyNat: {"v", "w"}})
	rows = []host.Redirect{
		row("id-b", "nf_tables", nat, "b", 2), row("id-c", "nf_tables", nat, "c", 3), row("id-w", "x_tables", nat, "w", 2),
	}
	return nft, legacy, rows
}

func options(t *testing.T) Options {
	t.Helper()
	return Options{StateDir: t.TempDir() + "/state", Version: "test", Patience: 300 * time.Millisecond, Now: func() time.Time { return time.Date(2026, 11, 23, 5, 20, 0, 0, time.UTC) }}
}

func here() []Space { return []Space{{}} }

func resolveHere(context.Context, string) (netns.Handle, error) { return netns.Handle{}, nil }

var errTest = errors.New("the test made this fail")

func wantPlaces(t *testing.T, k *kernel, place string, want ...string) {
	t.Helper()
	if !slices.Equal(k.places[place], want) {
		t.Errorf("%s %s holds %q, want %q", k.backend, place, k.places[place], want)
	}
}

func wantResult(t *testing.T, r *Result, err error, status string, code int) {
	t.Helper()
	if r.Status != status || r.ExitCode != code {
		t.Fatalf("status %s, exit code %d, error %v; want %s, %d\n%+v", r.Status, r.ExitCode, err, status, code, r)
	}
	if (err != nil) != (code != 0 && code != 2 && code != 3) {
		t.Fatalf("exit code %d with error %v", code, err)
	}
}
