package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/rollback"
)

// plan is what a run sets out to do. A dry run shows it, a run carries it out.
type plan struct {
	groups []*group
	cuts   []spaceCuts
	left   []Left
	notes  []string
	// refused is true where something cannot be proven to be reversible and the
	// user did not say --irreversible: nothing at all is done then.
	refused bool
}

// group are the steps for one subsystem of one network namespace: one transaction.
type group struct {
	space  Space
	editor change.Editor
	refs   []host.Ref
	rows   []*host.Redirect // rows[i] is what refs[i] makes
	whys   []string         // whys[i] is why refs[i] is the remedy
	world  *change.World    // as it was before the steps
	steps  []change.Step

	written  rollback.Group // as the plan or the journal has it
	intended bool           // the journal says that it is about to be sent
	after    *change.World  // right after the transaction, where nobody else wrote; else nil
}

// spaceCuts are the flows of a namespace that ride what is removed there.
type spaceCuts struct {
	space   Space
	removed []host.Redirect
	steps   []change.Step
	done    []bool
}

// label names a group in messages.
func (g *group) label() string {
	return g.editor.Backend() + " of network namespace " + name(g.space.Label)
}

// makePlan chooses the remedies and has the editors make and prove the steps.
// It changes nothing.
func makePlan(ctx context.Context, rows []host.Redirect, spaces []Space, editors []change.Editor, o Options) (*plan, error) {
	c := chooser{o: o, scope: map[string]bool{}, backends: map[string]bool{}}
	for _, s := range spaces {
		c.scope[s.Label] = true
	}
	for _, e := range editors {
		c.backends[e.Backend()] = true
	}
	choices, err := c.choose(rows)
	if err != nil {
		return nil, err
	}
	p := &plan{groups: groupsOf(choices, spaces, editors), left: c.left}
	for _, g := range p.groups {
		if err := p.prepare(ctx, g, o); err != nil {
			return nil, fmt.Errorf("planning for %s: %w", g.label(), err)
		}
	}
	p.groups = slices.DeleteFunc(p.groups, func(g *group) bool { return len(g.steps) == 0 })
	if p.refused {
		return p, nil
	}
	return p, p.planCuts(ctx, o)
}

// groupsOf sorts choices by namespace and backend, in the order of both lists.
func groupsOf(choices []choice, spaces []Space, editors []change.Editor) []*group {
	var out []*group
	for _, s := range spaces {
		for _, e := range editors {
			g := &group{space: s, editor: e}
			for _, c := range choices {
				if c.row.Netns == s.Label && c.ref.Backend == e.Backend() {
					g.refs, g.rows, g.whys = append(g.refs, c.ref), append(g.rows, c.row), append(g.whys, c.why)
				}
			}
			if len(g.refs) > 0 {
				out = append(out, g)
			}
		}
	}
	return out
}

// prepare makes the steps of a group, and has the way back proven before
// anything is deleted. What cannot be proven is left, and refuses the plan
// unless the user accepts that.
func (p *plan) prepare(ctx context.Context, g *group, o Options) error {
	refusals, failed, err := g.make(ctx, func() bool { return false })
	if err != nil {
		return err
	}
	p.refuse(g, refusals, o)
	p.doubt(g, failed, o)
	p.left = append(p.left, g.forgotten(refusals)...)
	return nil
}

// refuse leaves what the editor refuses. Where it gives a step all the same,
// the object can be ended, but not put back: --irreversible then ends it. What
// cannot be ended at all keeps nothing else from being ended: else one table
// with an owner would protect every redirect of the host.
func (p *plan) refuse(g *group, refusals []change.Refusal, o Options) {
	ended := g.ended()
	for _, r := range refusals {
		for _, id := range g.idsOf(r.Ref) {
			p.refused = p.refused || ended[id] && !o.Irreversible
			if ended[id] && o.Irreversible {
				p.notes = append(p.notes, id+" cannot be put back: "+r.Why)
				continue
			}
			p.left = append(p.left, Left{id, r.Why})
		}
	}
}

// doubt handles the steps whose way back is not proven.
func (p *plan) doubt(g *group, failed map[int]string, o Options) {
	for i := range g.steps {
		why := failed[i]
		if why == "" {
			continue
		}
		g.steps[i].Reversible = false
		if o.Irreversible {
			p.notes = append(p.notes, where(g.steps[i])+" cannot be put back: "+why)
			continue
		}
		p.refused = true
		for _, id := range g.steps[i].IDs {
			p.leaveOnce(id, "it could not be put back: "+why)
		}
	}
}

// leaveOnce keeps the first reason for which a redirect is left.
func (p *plan) leaveOnce(id, why string) {
	if !slices.ContainsFunc(p.left, func(l Left) bool { return l.ID == id }) {
		p.left = append(p.left, Left{id, why})
	}
}

// ended are the ids of the rows that the group's steps end.
func (g *group) ended() map[string]bool {
	out := map[string]bool{}
	for _, s := range g.steps {
		for _, id := range s.IDs {
			out[id] = true
		}
	}
	return out
}

// make reads the group's world and has the editor make steps, and prove them
// unless they are proven.
func (g *group) make(ctx context.Context, proven func() bool) (refusals []change.Refusal, failed map[int]string, err error) {
	err = g.space.within(ctx, func(ctx context.Context) error {
		if g.world, err = g.editor.World(ctx); err != nil {
			return err
		}
		if g.steps, refusals, err = g.editor.Steps(ctx, g.refs, g.ids()); err != nil {
			return err
		}
		g.finish()
		if len(g.steps) == 0 || proven() {
			return nil
		}
		if failed, err = g.editor.Check(ctx, g.steps); err != nil {
			return fmt.Errorf("proving the way back: %w", err)
		}
		return nil
	})
	return refusals, g.unprovable(failed), err
}

func (g *group) ids() []string {
	out := make([]string, len(g.rows))
	for i, r := range g.rows {
		out[i] = r.ID
	}
	return out
}

// finish fills in what the editor does not know: the label of the namespace and
// why the step is the remedy.
func (g *group) finish() {
	rows, why := g.byID(), map[string]string{}
	for i, r := range g.rows {
		why[r.ID] = g.whys[i]
	}
	for i := range g.steps {
		s := &g.steps[i]
		for _, o := range []*change.Object{s.Before, s.After} {
			if o != nil {
				o.Netns = g.space.Label
			}
		}
		fillText(s, rows)
		s.Manager = managers(s.IDs, rows)
		if s.Why == "" && len(s.IDs) > 0 {
			s.Why = why[s.IDs[0]]
		}
	}
}

// unprovable adds to what the editor could not prove what it says itself to be
// irreversible, and names that a journal cannot hold.
func (g *group) unprovable(failed map[int]string) map[int]string {
	out := map[int]string{}
	for i, s := range g.steps {
		switch {
		case failed[i] != "":
			out[i] = failed[i]
		case s.Action == change.Cut: // a flow need not come back: its client connects again
		case !s.Reversible:
			out[i] = "the kernel does not take it back as it was"
		case !storable(s.Before) || !storable(s.After):
			out[i] = "its name is not UTF-8, and the journal could not hold it"
		}
	}
	return out
}

// storable says whether an object survives being written as JSON: the kernel
// lets names hold any byte.
func storable(o *change.Object) bool {
	if o == nil {
		return true
	}
	ok := utf8.ValidString(o.Table) && utf8.ValidString(o.Chain) && utf8.ValidString(o.Set) && utf8.ValidString(o.Fingerprint)
	for _, p := range o.Parts {
		ok = ok && utf8.ValidString(p.Name)
	}
	for from, to := range o.Names {
		ok = ok && utf8.ValidString(from) && utf8.ValidString(to)
	}
	return ok
}

// idsOf gives the rows that a reference makes.
func (g *group) idsOf(ref host.Ref) []string {
	var out []string
	for i, r := range g.refs {
		if sameRef(r, ref) {
			out = append(out, g.rows[i].ID)
		}
	}
	return out
}

func sameRef(a, b host.Ref) bool {
	same := string(a.Key) == string(b.Key)
	return same && a.Backend == b.Backend && a.Family == b.Family && a.Table == b.Table && a.Chain == b.Chain &&
		a.Handle == b.Handle && a.Index == b.Index && a.Fingerprint == b.Fingerprint && a.Set == b.Set
}

// forgotten are rows for which the editor gave neither a step nor a refusal.
func (g *group) forgotten(refusals []change.Refusal) []Left {
	known := g.ended()
	for _, r := range refusals {
		for _, id := range g.idsOf(r.Ref) {
			known[id] = true
		}
	}
	var out []Left
	for _, r := range g.rows {
		if !known[r.ID] {
			out = append(out, Left{r.ID, "no step was found that ends it"})
		}
	}
	return out
}

// planCuts finds the flows that ride what the plan removes.
func (p *plan) planCuts(ctx context.Context, o Options) error {
	if o.Cuts == nil {
		return nil
	}
	for _, g := range p.groups {
		i := slices.IndexFunc(p.cuts, func(c spaceCuts) bool { return c.space.Label == g.space.Label })
		if i < 0 {
			p.cuts = append(p.cuts, spaceCuts{space: g.space})
			i = len(p.cuts) - 1
		}
		p.cuts[i].removed = append(p.cuts[i].removed, g.removed()...)
	}
	for i := range p.cuts {
		if err := p.cuts[i].find(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// removed are the rows that the group's steps end.
func (g *group) removed() []host.Redirect {
	ended := g.ended()
	var out []host.Redirect
	for _, r := range g.rows {
		if ended[r.ID] {
			out = append(out, *r)
		}
	}
	return out
}

// find asks for the flows as they are now.
func (c *spaceCuts) find(ctx context.Context, o Options) error {
	err := c.space.within(ctx, func(ctx context.Context) (err error) {
		c.steps, err = o.Cuts(ctx, c.removed)
		return err
	})
	if err != nil {
		return fmt.Errorf("finding the flows that use what is removed in network namespace %s: %w", name(c.space.Label), err)
	}
	for _, s := range c.steps {
		if s.Object() == nil {
			return errors.New("a step that cuts a flow names none")
		}
		s.Object().Netns = c.space.Label
	}
	c.done = make([]bool, len(c.steps))
	return nil
}

// sideEffects are what the steps do besides, once each.
func (p *plan) sideEffects() []string {
	var out []string
	known := map[string]bool{}
	for _, g := range p.groups {
		for _, s := range g.steps {
			for _, e := range s.SideEffects {
				if !known[e] {
					known[e] = true
					out = append(out, e)
				}
			}
		}
	}
	return out
}
