package remediate

import (
	"context"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/rollback"
)

// A full rollback is a change of its own whose steps are whole tables. This
// file takes such a change back: a table that is as the change left it becomes
// what it was before; one that somebody changed since is left to them.

// ofTables says whether steps restore whole tables; they stand alone in their group.
func ofTables(steps []change.Step) bool {
	return len(steps) > 0 && steps[0].Action == change.Restore
}

// tableID tells the tables of one subsystem apart.
type tableID struct {
	family host.Family
	name   string
}

func idOf(o *change.Object) tableID { return tableID{o.Family, o.Table} }

// tableName is how messages call a table.
func tableName(o *change.Object) string {
	prefix := ""
	if o.Backend == xTables {
		prefix = "legacy "
	}
	return fmt.Sprintf("%stable %s %s", prefix, o.Family, o.Table)
}

// tables gives the tables of a world.
func (g *group) tables(ctx context.Context, world *change.World) (map[tableID]change.Table, error) {
	restorer, can := g.editor.(change.Restorer)
	if !can {
		return nil, fmt.Errorf("nothing here can restore tables of %s", g.editor.Backend())
	}
	return g.tablesIn(ctx, restorer, world.Files)
}

func (g *group) tablesIn(ctx context.Context, restorer change.Restorer, files map[string][]byte) (map[tableID]change.Table, error) {
	out := map[tableID]change.Table{}
	err := g.space.within(ctx, func(ctx context.Context) error {
		all, err := restorer.Tables(ctx, files)
		for _, t := range all {
			t.Object.Netns = g.space.Label
			out[idOf(&t.Object)] = t
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tables of %s: %w", g.label(), err)
	}
	return out, nil
}

// objectIn finds the table of an object; nil where it is gone.
func objectIn(all map[tableID]change.Table, of *change.Object) *change.Object {
	if t, there := all[idOf(of)]; there {
		return &t.Object
	}
	return nil
}

// findTables makes the steps that put back the tables which are as the change
// left them.
func (g *backGroup) findTables(ctx context.Context) error {
	world, err := g.read(ctx)
	if err != nil {
		return err
	}
	all, err := g.tables(ctx, world)
	if err != nil {
		return err
	}
	g.others = nil
	var stand []change.Step
	for _, s := range g.group.steps {
		switch now := objectIn(all, s.Object()); {
		case change.SameTable(now, s.Before):
		case change.SameTable(now, s.After):
			stand = append(stand, s)
		default:
			g.others = append(g.others, s)
		}
	}
	g.steps = change.Invert(stand)
	g.group.world.Generation = world.Generation
	return nil
}

// leaveOthers lists the tables that somebody changed since they were restored.
// After a restart of the host nobody asked for them: what files load is there again.
func (b *back) leaveOthers(g *backGroup) {
	for _, s := range g.others {
		if b.recovering && b.restarted() {
			b.say(where(s) + " is as the restart of the host loaded it")
			continue
		}
		b.leave([]change.Step{s}, "it was changed since; natwarden rollback "+b.change.ID+" --full would take that away with it, --dry-run shows what")
	}
}

// compareTables looks which tables are what they were.
func (b *back) compareTables(ctx context.Context, g *backGroup, world *change.World, failure error) error {
	all, err := g.tables(ctx, world)
	if err != nil {
		b.unread = true
		b.leave(g.steps, "whether it is back could not be read: "+err.Error())
		return err
	}
	for i, s := range g.steps {
		g.done[i] = g.refused[i] == "" && change.SameTable(objectIn(all, s.Object()), s.After)
		switch {
		case g.done[i], g.refused[i] != "":
		case failure != nil:
			g.refuse(i, failure.Error())
		default:
			g.refuse(i, "it is not what it was after the rollback: somebody else changes it")
		}
	}
	return nil
}

// reopen says in the journal of the change that a full rollback took back, and
// that stands again now, that it is no longer rolled back.
func (b *back) reopen() {
	of := b.change.Plan.Restores
	if of == "" {
		return
	}
	c, err := b.store.Load(of)
	if err != nil || !c.IsRolledBack() || c.Stage() != rollback.Ended {
		return // it is gone, or knows it, or recover ends it next
	}
	j, err := b.store.Continue(c)
	if err == nil {
		err = j.Write(rollback.Entry{Time: b.o.Now(), Event: rollback.PartlyBack, Group: -1, Why: "change " + b.change.ID + ", which had rolled it back, was itself rolled back"})
		_ = j.Close()
	}
	if err != nil {
		b.say("that change " + of + " stands again could not be written down: " + err.Error())
	}
}

// fullHint says how to bring whole tables back, where something of a change has
// lost its table, chain or set.
func (b *back) fullHint() {
	var names []string
	for _, g := range b.groups {
		if _, can := g.editor.(change.Restorer); !can || ofTables(g.group.steps) {
			continue
		}
		for i := range g.refused {
			if name := tableName(g.steps[i].Object()); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b.say(fmt.Sprintf("natwarden rollback %s --full would make the whole %s again what it was before the change; with --dry-run it shows what that would take away", b.change.ID, name))
	}
}

// past gives the change that a full rollback was to take back where that failed
// and was undone: then it is the newest that stands.
func (b *back) past(newest *rollback.Change) (*rollback.Change, error) {
	if of := newest.Plan.Restores; of != "" && newest.IsRolledBack() && !newest.WasVerified() {
		return b.store.Load(of)
	}
	return newest, nil
}
