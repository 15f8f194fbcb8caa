// Package edit detaches eBPF programs and attaches them again. A program is
// pinned in a bpffs before it is detached, since the kernel forgets a program that nothing
// holds: the pin is the way back. It never loads code of its own.
//
// Files: edit.go is the change.Editor, steps.go makes steps, detach.go and
// attach.go carry them out, keep.go pins.
package edit

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/change"
)

// Editor is the change.Editor of eBPF attachments.
type Editor struct{ keep Keep }

// New gives the editor.
func New() Editor { return Editor{DefaultKeep()} }

// Backend is the subsystem's name.
func (Editor) Backend() string { return bpf.Backend }

// World lists every attachment that could be detached, in the order in which
// the programs of one place run.
func (Editor) World(ctx context.Context) (*change.World, error) {
	all, err := bpf.Detachable(ctx)
	if err != nil {
		return nil, err
	}
	w := &change.World{Backend: bpf.Backend, Places: map[string][]string{}, Files: map[string][]byte{}}
	for _, kind := range []string{bpf.XDP, bpf.TCX, bpf.Netkit, bpf.SkLookup, bpf.Cgroup} {
		w.Places[bpf.Backend+" "+kind] = []string{} // also where nothing is left
	}
	for _, a := range all {
		place := bpf.Backend + " " + a.Kind
		w.Places[place] = append(w.Places[place], a.Fingerprint())
		line, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("writing %s down: %w", a.Text(), err)
		}
		w.Files["bpf.json"] = append(append(w.Files["bpf.json"], line...), '\n')
	}
	return w, nil
}

// Check proves, without changing anything, that what is to be detached can be
// kept, and that what is to be attached is kept.
func (e Editor) Check(_ context.Context, steps []change.Step) (map[int]string, error) {
	failed := map[int]string{}
	for i, s := range steps {
		var err error
		if s.After == nil {
			err = e.keep.possible()
		} else {
			err = present(s.After.Names[pinName])
		}
		if err != nil {
			failed[i] = err.Error()
		}
	}
	return failed, nil
}

// Edit carries the steps out in order. The kernel knows no transaction over
// several attachments: when one fails, those before it are undone at once.
func (e Editor) Edit(ctx context.Context, _ uint32, steps []change.Step) (change.Outcome, error) {
	var out change.Outcome
	for i, s := range steps {
		notes, err := e.carryOut(ctx, s)
		out.Notes = append(out.Notes, notes...)
		if err != nil {
			return out, change.Half(fmt.Errorf("%s %s: %w", s.Action, s.Object().Text, err), e.undo(ctx, steps[:i]))
		}
	}
	return out, nil
}

func (e Editor) undo(ctx context.Context, steps []change.Step) error {
	ctx = context.WithoutCancel(ctx)
	for _, s := range change.Invert(steps) {
		if _, err := e.carryOut(ctx, s); err != nil {
			return fmt.Errorf("putting %s back: %w", s.Object().Text, err)
		}
	}
	return nil
}

func (e Editor) carryOut(ctx context.Context, s change.Step) ([]string, error) {
	var a bpf.Attachment
	if err := json.Unmarshal(s.Object().Raw, &a); err != nil {
		return nil, fmt.Errorf("reading the step: %w", err)
	}
	if s.After == nil {
		return nil, e.detach(ctx, a, s)
	}
	return e.attach(ctx, a, s.After)
}
