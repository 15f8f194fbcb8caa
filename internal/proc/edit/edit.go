// Package edit ends what relays: the unit or container of a process, or else
// the process itself, through a pidfd and after comparing who it is.
//
// Units and containers can be started again; a process never is from its old
// command line, so ending one is not reversible.
package edit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// Backend is the subsystem's name in refs, objects and steps.
const Backend = "process"

// The kinds of objects.
const (
	kindUnit    = "unit"
	kindProcess = "process"
)

// Editor is the change.Editor of processes.
type Editor struct{}

// New gives the editor.
func New() Editor { return Editor{} }

// Backend is the subsystem's name.
func (Editor) Backend() string { return Backend }

// World is empty: processes come and go, and are not compared.
func (Editor) World(context.Context) (*change.World, error) {
	return &change.World{Backend: Backend, Places: map[string][]string{}, Files: map[string][]byte{}}, nil
}

// Steps ends each process that refs name: its unit where systemd holds it,
// else the process with its helpers.
func (Editor) Steps(ctx context.Context, refs []host.Ref, ids []string) ([]change.Step, []change.Refusal, error) {
	var steps []change.Step
	done := map[string]int{}
	for i, ref := range refs {
		o, err := object(ctx, ref)
		if err != nil {
			return nil, nil, err
		}
		if n, ok := done[o.Fingerprint]; ok {
			steps[n].IDs = append(steps[n].IDs, ids[i])
			continue
		}
		done[o.Fingerprint] = len(steps)
		steps = append(steps, change.Step{IDs: []string{ids[i]}, Action: change.Stop, Before: o, Reversible: o.Kind == kindUnit})
	}
	return steps, nil, nil
}

// object says what is to be ended for a ref.
func object(ctx context.Context, ref host.Ref) (*change.Object, error) {
	pid := int(ref.Handle)
	life, err := proc.LifeOf(pid)
	if err != nil || life.Fingerprint() != ref.Fingerprint {
		return nil, fmt.Errorf("%s has ended, or is another process now: %w", ref.Text, change.ErrStale)
	}
	o := &change.Object{Netns: ref.Netns, Backend: Backend, Raw: []byte(ref.Fingerprint)}
	if p, err := proc.NewDescriber(nil).Describe(ctx, pid); err == nil && p.SystemUnit && strings.HasSuffix(p.Unit, ".service") && systemctl() != "" {
		o.Kind, o.Text, o.Fingerprint = kindUnit, p.Unit, "unit "+p.Unit
		o.Names = map[string]string{"unit": p.Unit}
		return o, nil
	}
	group, err := groupOf(ctx, life)
	if err != nil {
		return nil, err
	}
	prints := make([]string, 0, len(group))
	for _, l := range group {
		prints = append(prints, l.Fingerprint())
	}
	o.Kind, o.Text, o.Fingerprint = kindProcess, groupText(ref.Text, group), strings.Join(prints, "\n")
	o.Names = map[string]string{"processes": o.Fingerprint}
	return o, nil
}

// Check says which steps have no way back.
func (Editor) Check(_ context.Context, steps []change.Step) (map[int]string, error) {
	failed := map[int]string{}
	for i, s := range steps {
		if s.Object().Kind == kindProcess {
			failed[i] = "a process is never started again from its old command line: --irreversible ends it"
		}
	}
	return failed, nil
}

// Edit ends or starts what the steps say, one after another.
func (Editor) Edit(ctx context.Context, _ uint32, steps []change.Step) (change.Outcome, error) {
	var errs []error
	out := change.Outcome{Undone: map[int]string{}}
	for i, s := range steps {
		var err error
		switch o := s.Object(); {
		case o.Kind == kindUnit:
			err = runUnit(ctx, s.Action, o.Names["unit"])
		case s.Action == change.Stop:
			err = endAll(ctx, strings.Split(o.Names["processes"], "\n"))
		default:
			err = errors.New("a process is not started again from its old command line; start its service")
		}
		if err != nil {
			out.Undone[i] = err.Error()
			errs = append(errs, fmt.Errorf("%s %s: %w", s.Action, s.Object().Text, err))
		}
	}
	return out, errors.Join(errs...)
}

func groupText(first string, group []proc.Life) string {
	var more []string
	for _, l := range group[1:] {
		more = append(more, fmt.Sprint(l.PID))
	}
	if len(more) == 0 {
		return first
	}
	slices.Sort(more)
	return first + " with " + strings.Join(more, ", ")
}
