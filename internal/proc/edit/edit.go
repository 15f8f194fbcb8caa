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
	kindUnit      = "unit"
	kindContainer = "container"
	kindProcess   = "process"
)

// noWayBack is the name in an object of why it cannot be started again.
const noWayBack = "no way back"

// Editor is the change.Editor of processes. The fields are the paths of the
// programs that it asks; "" is one that is not there.
type Editor struct {
	Systemctl string
	Docker    string
	Podman    string
}

// New gives the editor with the programs of this host.
func New() Editor {
	return Editor{
		Systemctl: installed("/usr/bin/systemctl", "/bin/systemctl"),
		Docker:    installed("/usr/bin/docker", "/usr/local/bin/docker"),
		Podman:    installed("/usr/bin/podman", "/usr/local/bin/podman"),
	}
}

// Backend is the subsystem's name.
func (Editor) Backend() string { return Backend }

// World is empty: processes come and go, and are not compared.
func (Editor) World(context.Context) (*change.World, error) {
	return &change.World{Backend: Backend, Places: map[string][]string{}, Files: map[string][]byte{}}, nil
}

// Steps ends each process that refs name: its unit where systemd holds it, its
// container, or else the process with its helpers. What may not be ended is refused.
func (e Editor) Steps(ctx context.Context, refs []host.Ref, ids []string) ([]change.Step, []change.Refusal, error) {
	var steps []change.Step
	var refused []change.Refusal
	done := map[string]int{}
	for i, ref := range refs {
		o, err := e.object(ctx, ref)
		if no := (refusal{}); errors.As(err, &no) {
			refused = append(refused, change.Refusal{Ref: ref, Why: no.why})
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if n, ok := done[o.Fingerprint]; ok {
			steps[n].IDs = append(steps[n].IDs, ids[i])
			continue
		}
		done[o.Fingerprint] = len(steps)
		steps = append(steps, change.Step{IDs: []string{ids[i]}, Action: change.Stop, Before: o, Reversible: o.Names[noWayBack] == ""})
	}
	return steps, refused, nil
}

// refusal says why something may not be ended.
type refusal struct{ why string }

// Error says what may not be ended, and why.
func (r refusal) Error() string { return r.why }

func refuse(format string, args ...any) error { return refusal{fmt.Sprintf(format, args...)} }

// object says what is to be ended for a ref: the smallest thing that can be
// started again, or else the processes.
func (e Editor) object(ctx context.Context, ref host.Ref) (*change.Object, error) {
	life, err := proc.LifeOf(int(ref.Handle))
	if err != nil || life.Fingerprint() != ref.Fingerprint {
		return nil, fmt.Errorf("%s has ended, or is another process now: %w", ref.Text, change.ErrStale)
	}
	o := &change.Object{Netns: ref.Netns, Backend: Backend, Raw: []byte(ref.Fingerprint)}
	if ref.Chain != "" {
		return o, e.unit(ctx, o, ref.Chain)
	}
	own := ancestors()
	if err := endable(life, own); err != nil {
		return nil, err
	}
	p, err := proc.NewDescriber(nil).Describe(ctx, life.PID)
	if err != nil {
		return nil, fmt.Errorf("%s has ended: %w", ref.Text, change.ErrStale)
	}
	switch {
	case p.SystemUnit && strings.HasSuffix(p.Unit, ".service") && e.Systemctl != "" && e.isOfUnit(ctx, life, p.Unit, own):
		return o, e.unit(ctx, o, p.Unit)
	case p.Container != "":
		return o, e.container(ctx, o, life.PID)
	}
	return o, processes(ctx, o, ref.Text, life, own)
}

// processes fills an object with a process and what must end with it.
func processes(ctx context.Context, o *change.Object, text string, first proc.Life, own map[int]bool) error {
	group, err := groupOf(ctx, first, own)
	if err != nil {
		return err
	}
	prints := make([]string, 0, len(group))
	for _, l := range group {
		prints = append(prints, l.Fingerprint())
	}
	o.Kind, o.Text, o.Fingerprint = kindProcess, groupText(text, group), strings.Join(prints, "\n")
	o.Names = map[string]string{"processes": o.Fingerprint,
		noWayBack: "a process is never started again from its old command line: --irreversible ends it"}
	return nil
}

// Check says which steps have no way back.
func (Editor) Check(_ context.Context, steps []change.Step) (map[int]string, error) {
	failed := map[int]string{}
	for i, s := range steps {
		if why := s.Object().Names[noWayBack]; why != "" {
			failed[i] = why
		}
	}
	return failed, nil
}

// Edit ends or starts what the steps say, one after another.
func (e Editor) Edit(ctx context.Context, _ uint32, steps []change.Step) (change.Outcome, error) {
	var errs []error
	out := change.Outcome{Undone: map[int]string{}}
	for i, s := range steps {
		if err := e.carryOut(ctx, s); err != nil {
			out.Undone[i] = err.Error()
			errs = append(errs, fmt.Errorf("%s %s: %w", s.Action, s.Object().Text, err))
		}
	}
	return out, errors.Join(errs...)
}

func (e Editor) carryOut(ctx context.Context, s change.Step) error {
	o := s.Object()
	switch {
	case s.Action != change.Stop && s.Action != change.Start:
		return fmt.Errorf("%q is nothing that can be done to a process", s.Action)
	case o.Kind == kindUnit:
		return e.runUnits(ctx, s.Action, strings.Fields(o.Names["units"]))
	case o.Kind == kindContainer:
		return e.runContainer(ctx, s.Action, o.Names["runtime"], o.Names["container"])
	case s.Action == change.Stop:
		return endAll(ctx, strings.Split(o.Names["processes"], "\n"))
	}
	return errors.New("a process is not started again from its old command line; start its service")
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
