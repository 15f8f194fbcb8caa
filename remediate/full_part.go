package remediate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// tablesPart is the tables of one subsystem of one network namespace.
type tablesPart struct {
	*group
	index    int // of the group in the change that is taken back
	restorer change.Restorer
	of       []change.Step            // of the change: one for each table that it touched, with all ids
	kept     map[tableID]change.Table // as the snapshot has them

	differences []Difference
	left        []change.Step // tables that are not restored
	whys        []string      // why, of each
}

// prepare sorts the groups that were begun into tables of the snapshot and what
// goes the ordinary way.
func (f *full) prepare(ctx context.Context) error {
	if f.change.Torn {
		f.say("the journal's last line is torn: natwarden or the host stopped in the middle; what really happened is read from the host")
	}
	_, files, err := f.store.Files(f.change.Plan.Snapshot)
	if err != nil {
		return fmt.Errorf("%w: --full needs the snapshot of change %s, and that is lost or damaged (%w); without --full the journal puts back what still has its place", errForeign, f.change.ID, err)
	}
	if f.restarted() {
		f.say("the host restarted since the snapshot: rules that name an interface by its number may mean another one now")
	}
	groups, indices := f.change.Begun()
	for i, g := range groups {
		restorer := f.restorerOf(g.Backend)
		if restorer == nil {
			err = f.prepareGroup(ctx, g, indices[i])
		} else {
			err = f.addPart(ctx, g, indices[i], restorer, files)
		}
		if err != nil {
			return fmt.Errorf("preparing %s of network namespace %s: %w", g.Backend, name(g.Netns), err)
		}
	}
	return nil
}

func (f *full) restorerOf(backend string) change.Restorer {
	for _, e := range f.editors {
		if r, can := e.(change.Restorer); can && e.Backend() == backend {
			return r
		}
	}
	return nil
}

// addPart takes up the tables of a group. Their world is read by look.
func (f *full) addPart(ctx context.Context, g rollback.Group, index int, restorer change.Restorer, files map[string][]byte) error {
	space, why := f.enter(ctx, g.Netns)
	if why != "" {
		f.leave(g.Steps, why)
		return nil
	}
	p := &tablesPart{group: &group{space: space, editor: restorer}, index: index, restorer: restorer, of: byTable(g.Steps)}
	f.parts = append(f.parts, p)
	kept, err := keptOf(g, restorer, files)
	if err == nil {
		p.kept, err = p.tablesIn(ctx, restorer, kept)
	}
	return err
}

// keptOf gives the files of a group that its snapshot kept.
func keptOf(g rollback.Group, restorer change.Restorer, files map[string][]byte) (map[string][]byte, error) {
	scope, said, err := rollback.ReadScope(files)
	if err == nil && said && !slices.Contains(scope, rollback.Scope{Netns: g.Netns, Backend: g.Backend}) {
		err = fmt.Errorf("%w: the snapshot of the change does not hold it", errForeign)
	}
	out := map[string][]byte{}
	for _, file := range restorer.TableFiles() {
		if data, there := files[rollback.SpaceFile(g.Netns, g.Backend, file)]; there {
			out[file] = data
		}
	}
	if err == nil && !said && len(out) == 0 {
		err = fmt.Errorf("%w: the snapshot of the change does not hold it", errForeign)
	}
	return out, err
}

// look reads the tables as they are, makes the steps and has them proven. What
// cannot be restored exactly, or not be taken back, is left with the reason.
func (p *tablesPart) look(ctx context.Context) error {
	world, err := p.read(ctx)
	if err != nil {
		return err
	}
	now, err := p.tables(ctx, world)
	if err != nil {
		return err
	}
	p.world, p.steps, p.left, p.whys, p.differences = world, nil, nil, nil, nil
	for _, s := range p.of {
		p.plan(s, now)
	}
	if err := p.prove(ctx); err != nil {
		return err
	}
	for _, s := range p.steps {
		if err := p.compare(s); err != nil {
			return err
		}
	}
	return nil
}

// plan makes the step that restores the table that a step of the change touched.
func (p *tablesPart) plan(of change.Step, now map[tableID]change.Table) {
	is, was := now[idOf(of.Object())], p.kept[idOf(of.Object())]
	s := change.Step{
		IDs: of.IDs, Why: "the change touched it", Action: change.Restore, Reversible: true,
		Before: objectIn(now, of.Object()), After: objectIn(p.kept, of.Object()),
		SideEffects: append(slices.Clone(was.Besides), sharing(is, was)...),
	}
	switch {
	case change.SameTable(s.Before, s.After):
	case was.Unlike != "":
		p.leave(s, "the snapshot cannot give it back: "+was.Unlike)
	case is.Unlike != "":
		p.leave(s, "there would be no way back to what it is now: "+is.Unlike)
	case !storable(s.Before) || !storable(s.After):
		p.leave(s, "its name is not UTF-8, and the journal could not hold it")
	default:
		p.steps = append(p.steps, s)
	}
}

// sharing says beside which tables the order of chains may come to be another.
func sharing(is, was change.Table) []string {
	shares := append(slices.Clone(is.Shares), was.Shares...)
	slices.Sort(shares)
	if shares = slices.Compact(shares); len(shares) == 0 {
		return nil
	}
	return []string{"its chains may come to run before or after those of equal priority in table " + strings.Join(shares, ", ")}
}

func (p *tablesPart) leave(s change.Step, why string) {
	p.left, p.whys = append(p.left, s), append(p.whys, why)
}

// prove has the editor prove the steps there and back, and leaves those that it
// cannot carry out or take back.
func (p *tablesPart) prove(ctx context.Context) error {
	if len(p.steps) == 0 {
		return nil
	}
	var failed map[int]string
	err := p.space.within(ctx, func(ctx context.Context) (err error) {
		failed, err = p.editor.Check(ctx, p.steps)
		return err
	})
	if err != nil {
		return fmt.Errorf("proving that the tables of %s can be restored: %w", p.label(), err)
	}
	var kept []change.Step
	for i, s := range p.steps {
		if why := failed[i]; why != "" {
			p.leave(s, why)
			continue
		}
		kept = append(kept, s)
	}
	p.steps = kept
	return nil
}

// compare says what a table holds otherwise than the snapshot.
func (p *tablesPart) compare(s change.Step) error {
	var sides [2]map[string][]change.Listed
	for i, o := range []*change.Object{s.Before, s.After} {
		if o == nil {
			continue
		}
		var err error
		if sides[i], err = p.restorer.ListTable(o.Raw); err != nil {
			return fmt.Errorf("comparing %s: %w", where(s), err)
		}
	}
	for _, d := range change.Compare(sides[0], sides[1]) {
		p.differences = append(p.differences, Difference{p.space.Label, p.editor.Backend(), d})
	}
	return nil
}

// byTable gives one step for each table that steps touch, with the ids of all.
func byTable(steps []change.Step) (out []change.Step) {
	for _, s := range steps {
		i := slices.IndexFunc(out, func(o change.Step) bool { return idOf(o.Object()) == idOf(s.Object()) })
		if i < 0 {
			s.IDs = slices.Clone(s.IDs)
			out = append(out, s)
			continue
		}
		for _, id := range s.IDs {
			if !slices.Contains(out[i].IDs, id) {
				out[i].IDs = append(out[i].IDs, id)
			}
		}
	}
	return out
}
