package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
)

// Stage is a private network namespace that was loaded with what a plan is made
// from. Nothing in it reaches the host.
type Stage struct {
	// Do runs work in the stage.
	Do func(ctx context.Context, work func(context.Context) error) error
	// Editors are those whose subsystems were loaded.
	Editors []change.Editor
	// Unlike says in words what could not be made as it is on the host.
	Unlike []string
	// Close throws the stage away.
	Close func() error
}

// Rehearsal is what became of one: docs/json.md.
type Rehearsal struct {
	// Steps is how many steps ran there and back and left identical fingerprints.
	Steps int `json:"steps"`
	// Unrehearsed is what a namespace cannot rehearse, or not as it is here.
	Unrehearsed []Unrehearsed `json:"unrehearsed"`
	// Failed says why the plan is refused; "" where nothing speaks against it.
	Failed string `json:"failed"`
}

// Unrehearsed is a step that was not rehearsed, or something else that the stage lacks.
type Unrehearsed struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// errRehearsal is refused before any change.
var errRehearsal = errors.New("the rehearsal failed, and nothing was changed")

// rehearse runs the steps of a plan and then their inverse on a private copy of
// the rules: all must be as it was. The host is only read.
func (r *run) rehearse(ctx context.Context) error {
	if !r.o.Rehearse || len(r.planned.groups) == 0 {
		return nil
	}
	out := &Rehearsal{Unrehearsed: []Unrehearsed{}}
	r.result.Rehearsal = out
	for _, s := range r.planned.spaces() {
		if err := r.rehearseIn(ctx, s, out); err != nil {
			out.Failed = err.Error()
			return fmt.Errorf("%w: %w", errRehearsal, err)
		}
	}
	for _, c := range r.planned.cuts {
		for _, s := range c.steps {
			out.leave(where(s), "a flow that is cut does not come back: its client connects again")
		}
	}
	return nil
}

func (out *Rehearsal) leave(what, why string) {
	if u := (Unrehearsed{what, why}); !slices.Contains(out.Unrehearsed, u) {
		out.Unrehearsed = append(out.Unrehearsed, u)
	}
}

// rehearseIn rehearses the groups of one network namespace.
func (r *run) rehearseIn(ctx context.Context, s Space, out *Rehearsal) error {
	if r.o.Stage == nil {
		return errors.New("nothing here can make a stage for it")
	}
	files := map[string]map[string][]byte{}
	var groups []*group
	for _, g := range r.planned.groups {
		if g.space.Label == s.Label {
			groups = append(groups, g)
			files[g.editor.Backend()] = g.world.Files
		}
	}
	stage, err := r.o.Stage(ctx, s, files)
	if err != nil {
		return fmt.Errorf("making a stage for network namespace %s: %w", name(s.Label), err)
	}
	for _, what := range stage.Unlike {
		out.leave(what, "the private namespace could not be made like it")
	}
	for _, g := range groups {
		if err == nil {
			err = stage.rehearse(ctx, g, out)
		}
	}
	return errors.Join(err, stage.Close())
}

// rehearse runs the steps of one group there and back.
func (s *Stage) rehearse(ctx context.Context, g *group, out *Rehearsal) error {
	i := slices.IndexFunc(s.Editors, func(e change.Editor) bool { return e.Backend() == g.editor.Backend() })
	if i < 0 {
		for _, step := range g.steps {
			out.leave(where(step), cannotRehearse(g.editor.Backend()))
		}
		return nil
	}
	err := s.Do(ctx, func(ctx context.Context) error { return g.thereAndBack(ctx, s.Editors[i], out) })
	if err != nil {
		return fmt.Errorf("rehearsing %s: %w", g.label(), err)
	}
	return nil
}

// cannotRehearse says why a namespace is no stage for a subsystem.
func cannotRehearse(backend string) string {
	switch backend {
	case "process":
		return "a process, unit or container has no copy that could be stopped"
	case "conntrack":
		return "a flow that is cut does not come back: its client connects again"
	case programs:
		return "eBPF programs are attached to devices and control groups of the host"
	case trafficControl:
		return "tc filters belong to devices of the host"
	}
	return "no private namespace can be made with " + backend
}

// thereAndBack carries the steps out that the stage can hold, and their
// inverse, and compares all fingerprints each time.
func (g *group) thereAndBack(ctx context.Context, e change.Editor, out *Rehearsal) error {
	before, err := e.World(ctx)
	if err != nil {
		return err
	}
	for _, d := range diff(g.world.Places, before.Places) {
		out.leave(d, "the private namespace could not be made like it")
	}
	steps := g.staged(before, out)
	if len(steps) == 0 {
		return nil
	}
	without := expected(before.Places, steps)
	if err := perform(ctx, e, steps, without, "the steps"); err != nil {
		return err
	}
	back := change.Invert(steps)
	if err := perform(ctx, e, back, remaining(before.Places, steps), "their inverse"); err != nil {
		return err
	}
	out.Steps += len(back)
	for _, s := range steps {
		if !s.Reversible {
			out.leave(where(s), "it has no inverse")
		}
	}
	return nil
}

// staged are the steps whose places look as they do on the host.
func (g *group) staged(stage *change.World, out *Rehearsal) (steps []change.Step) {
	for _, s := range g.steps {
		o := s.Object()
		switch {
		case o.Kind == "sysctl":
			out.leave(where(s), "a switch is only written: there is nothing to compare")
		case !slices.Equal(stage.Places[placeOf(o)], g.world.Places[placeOf(o)]):
			out.leave(where(s), "the private namespace does not hold it, or not what stands beside it")
		default:
			steps = append(steps, s)
		}
	}
	return steps
}

// perform carries steps out on a stage and compares it with what must be then.
func perform(ctx context.Context, e change.Editor, steps []change.Step, want map[string][]string, what string) error {
	if len(steps) == 0 {
		return nil
	}
	is, err := e.World(ctx)
	if err != nil {
		return err
	}
	outcome, err := e.Edit(ctx, is.Generation, steps)
	if err != nil {
		return fmt.Errorf("carrying out %s: %w", what, err)
	}
	for i, why := range outcome.Undone {
		return fmt.Errorf("carrying out %s: %s was not carried out: %s", what, where(steps[i]), why)
	}
	if is, err = e.World(ctx); err != nil {
		return err
	}
	if wrong := differences(want, is.Places, steps); len(wrong) > 0 {
		return fmt.Errorf("after %s: %s", what, strings.Join(wrong[:min(len(wrong), 8)], "; "))
	}
	return nil
}

// remaining are the places as they must be again after steps and their inverse:
// only what has none is gone.
func remaining(before map[string][]string, steps []change.Step) map[string][]string {
	var gone []change.Step
	for _, s := range steps {
		if !s.Reversible {
			gone = append(gone, s)
		}
	}
	return expected(before, gone)
}

// words tells a rehearsal to the person at the terminal.
func (out *Rehearsal) words() []string {
	if out == nil || out.Failed != "" { // then the error tells
		return nil
	}
	notes := []string{fmt.Sprintf("rehearsed in a private network namespace: %d steps there and back left every fingerprint as it was", out.Steps)}
	for _, u := range out.Unrehearsed {
		notes = append(notes, "not rehearsed: "+u.What+": "+u.Why)
	}
	return notes
}
