// Package edit deletes tc filters and puts them back from the kernel's own
// bytes. The program of an eBPF filter is pinned before, since nothing else may hold it.
//
// rtnetlink has no transactions: steps are carried out one after another, and
// where one fails those before it are undone at once.
package edit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	bpfedit "github.com/natwarden/natwarden/internal/bpf/edit"
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/tc"
)

// The names of an object.
const (
	pinName = "pin" // where its eBPF program is kept
	devName = "dev"
	noWay   = "unrestorable" // why it cannot be put back
)

// Editor is the change.Editor of tc filters.
type Editor struct{ keep bpfedit.Keep }

// New gives the editor.
func New() Editor { return Editor{bpfedit.DefaultKeep()} }

// Backend is the subsystem's name.
func (Editor) Backend() string { return tc.Backend }

// World lists every filter, in the order in which the kernel asks them.
func (Editor) World(ctx context.Context) (*change.World, error) {
	objects, err := tc.Filters(ctx)
	if err != nil {
		return nil, err
	}
	place := tc.Backend + " " + tc.KindFilter
	w := &change.World{Backend: tc.Backend, Places: map[string][]string{place: {}}, Files: map[string][]byte{}}
	for _, o := range objects {
		if o.Table {
			continue // the kernel makes and ends it with the filters
		}
		w.Places[place] = append(w.Places[place], o.Fingerprint)
		w.Files["tc.raw"] = append(fmt.Appendf(w.Files["tc.raw"], "%s %d\n", o.Text, len(o.Dumped)), append(slices.Clone(o.Dumped), '\n')...)
	}
	return w, nil
}

// Steps makes a deletion for each ref; what is no longer there is an ErrStale.
func (e Editor) Steps(ctx context.Context, refs []host.Ref, ids []string) ([]change.Step, []change.Refusal, error) {
	objects, err := tc.Filters(ctx)
	if err != nil {
		return nil, nil, err
	}
	var steps []change.Step
	taken := map[string]int{}
	for i, ref := range refs {
		key := ref.Chain + "\x00" + ref.Fingerprint
		if n, ok := taken[key]; ok {
			steps[n].IDs = append(steps[n].IDs, ids[i])
			continue
		}
		o, there := find(objects, ref.Chain, ref.Fingerprint)
		if !there {
			return nil, nil, fmt.Errorf("tc filter %s is gone: %w", ref.Text, change.ErrStale)
		}
		taken[key] = len(steps)
		steps = append(steps, e.deletion(o, ref, ids[i]))
	}
	return steps, nil, nil
}

func find(objects []tc.Object, place, fingerprint string) (tc.Object, bool) {
	i := slices.IndexFunc(objects, func(o tc.Object) bool { return o.Place == place && o.Fingerprint == fingerprint })
	if i < 0 {
		return tc.Object{}, false
	}
	return objects[i], true
}

func (e Editor) deletion(o tc.Object, ref host.Ref, id string) change.Step {
	b := &change.Object{Kind: tc.KindFilter, Netns: ref.Netns, Backend: tc.Backend, Table: tc.KindFilter, Chain: o.Place,
		Fingerprint: o.Fingerprint, Text: o.Text, Raw: o.Raw, Names: map[string]string{devName: o.Dev}}
	s := change.Step{IDs: []string{id}, Action: change.Delete, Reversible: true, Before: b}
	if o.Program != 0 {
		b.Names[pinName] = e.keep.Path(fmt.Sprintf("%s-%d", o.Fingerprint, o.Program))
		b.Handle = uint64(o.Program)
		s.SideEffects = e.keep.Effects()
	}
	if o.Unrestorable != "" {
		b.Names[noWay] = o.Unrestorable
	}
	if o.Shared {
		s.SideEffects = append(s.SideEffects, "the filter belongs to a block that several devices share")
	}
	return s
}

// Check proves what can be proven without changing anything: that the bytes
// suffice to put a filter back, that its program can be kept, or is.
func (e Editor) Check(_ context.Context, steps []change.Step) (map[int]string, error) {
	failed := map[int]string{}
	for i, s := range steps {
		o := s.Object()
		var err error
		switch {
		case o.Names[noWay] != "":
			err = errors.New(o.Names[noWay])
		case o.Names[pinName] == "":
		case s.After == nil:
			err = e.keep.Possible()
		default:
			err = bpfedit.Present(o.Names[pinName])
		}
		if err != nil {
			failed[i] = err.Error()
		}
	}
	return failed, nil
}

// Edit carries the steps out in order. When one fails, those before it are
// undone, and nothing remains changed unless that fails too.
func (e Editor) Edit(ctx context.Context, _ uint32, steps []change.Step) (change.Outcome, error) {
	for i, s := range steps {
		if err := e.carryOut(ctx, s); err != nil {
			return change.Outcome{}, change.Half(fmt.Errorf("%s tc filter %s: %w", s.Action, s.Object().Text, err), e.undo(ctx, steps[:i]))
		}
	}
	return change.Outcome{}, nil
}

func (e Editor) undo(ctx context.Context, steps []change.Step) error {
	ctx = context.WithoutCancel(ctx)
	for _, s := range change.Invert(steps) {
		if err := e.carryOut(ctx, s); err != nil {
			return fmt.Errorf("putting %s back: %w", s.Object().Text, err)
		}
	}
	return nil
}

func (e Editor) carryOut(ctx context.Context, s change.Step) error {
	if s.After == nil {
		return e.remove(ctx, s)
	}
	return e.restore(ctx, s.After)
}
