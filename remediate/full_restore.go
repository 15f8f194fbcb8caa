package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// restore restores the tables as a change of its own. Where it fails, everything
// is as it was before, or the exit code says that it is not.
func (f *full) restore(ctx context.Context) (code int, err error) {
	ended, err := f.begin(ctx)
	defer func() {
		r := *f.result
		r.ExitCode = code
		if r.Status = Done; err != nil {
			r.Status = Failed
		}
		ended(&r, err)
	}()
	if err != nil && f.made == nil {
		return exitFor(err), fmt.Errorf("%w; nothing was changed", err)
	}
	for i, p := range f.parts {
		if err == nil && len(p.steps) > 0 {
			err = f.edit(ctx, i)
		}
	}
	if err == nil {
		err = f.verify(ctx)
	}
	if err == nil {
		err = f.write(rollback.Entry{Event: rollback.Verified, Group: -1})
	}
	if err != nil {
		return f.undo(ctx, err)
	}
	return 0, nil
}

// begin takes the snapshot of what is there now and writes down what is to be done.
func (f *full) begin(ctx context.Context) (ended func(*Result, error), err error) {
	f.letGoOfJournal()
	ended = func(*Result, error) {}
	var ids []rollback.Netns
	for _, p := range f.parts {
		id, err := p.space.identity()
		if err != nil {
			return ended, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	origin, err := rollback.Here(f.o.Version, f.o.Now(), ids)
	if err != nil {
		return ended, err
	}
	snapshot, err := f.snapshot(origin)
	if err != nil {
		return ended, err
	}
	if f.id, err = f.store.NewChangeID(f.o.Now()); err != nil {
		return ended, err
	}
	record := f.record(snapshot, origin)
	sum, err := record.SHA256()
	if err != nil {
		return ended, err
	}
	if ended, err = f.o.log(Action{"rollback", f.id, snapshot, sum}); err != nil {
		f.say("not in the action log: " + err.Error())
	}
	if f.made, err = f.store.Begin(record, f.o.Now()); err != nil {
		return ended, err
	}
	f.result.Change, f.result.Snapshot = f.id, snapshot
	return ended, f.remember(snapshot, origin)
}

// snapshot keeps every subsystem concerned as it is now.
func (f *full) snapshot(origin rollback.Origin) (string, error) {
	files := map[string][]byte{}
	var scope []rollback.Scope
	for _, p := range f.parts {
		scope = append(scope, rollback.Scope{Netns: p.space.Label, Backend: p.editor.Backend()})
		for file, data := range p.world.AllFiles() {
			files[rollback.SpaceFile(p.space.Label, p.editor.Backend(), file)] = data
		}
	}
	var err error
	if files[rollback.ScopeName], err = rollback.WriteScope(scope); err != nil {
		return "", err
	}
	return f.store.Take(origin, files)
}

// record is the change as its journal keeps it: what the tables are now, and
// what they are to be, whole.
func (f *full) record(snapshot string, origin rollback.Origin) rollback.Plan {
	out := rollback.Plan{Change: f.id, Snapshot: snapshot, Origin: origin, Restores: f.change.ID}
	for _, p := range f.parts {
		out.Groups = append(out.Groups, rollback.Group{
			Netns: p.space.Label, Backend: p.editor.Backend(), Generation: p.world.Generation,
			Steps: append([]change.Step{}, p.steps...), Before: map[string][]string{},
		})
	}
	return out
}

func (f *full) remember(snapshot string, origin rollback.Origin) error {
	l := rollback.Last{Change: f.id, Snapshot: snapshot, Origin: origin}
	for _, p := range f.parts {
		for _, s := range describeAll(p.steps) {
			l.Steps = append(l.Steps, rollback.LastStep{IDs: s.IDs, Action: s.Action, Object: s.Object, Text: s.Before})
		}
	}
	return f.store.Remember(l)
}

// write writes a line into the journal of the change that restores.
func (f *full) write(e rollback.Entry) error {
	e.Time = f.o.Now()
	return f.made.Write(e)
}

// edit restores the tables of one part in one transaction. Where others wrote
// meanwhile, but not in these tables, it is sent again.
func (f *full) edit(ctx context.Context, index int) error {
	p := f.parts[index]
	if err := f.write(rollback.Entry{Event: rollback.Intend, Group: index}); err != nil {
		return err
	}
	left, tried := patience(f.o.Patience), 0
	err := left.try(ctx, func() error {
		if tried++; tried > 1 {
			if err := p.again(ctx); err != nil {
				return err
			}
		}
		return p.send(ctx, p.steps, p.world.Generation)
	})
	f.touched = f.touched || !errors.Is(err, change.ErrStale) // an error does not say that nothing happened
	if err != nil {
		return fmt.Errorf("restoring the tables of %s: %w", p.label(), err)
	}
	return f.write(rollback.Entry{Event: rollback.DoneEvent, Group: index})
}

// again reads the world once more; an ErrGone where the tables are not the same.
func (p *tablesPart) again(ctx context.Context) error {
	world, err := p.read(ctx)
	if err != nil {
		return err
	}
	now, err := p.tables(ctx, world)
	for _, s := range p.steps {
		if !change.SameTable(objectIn(now, s.Object()), s.Before) {
			return errors.Join(fmt.Errorf("%s changed: %w", where(s), change.ErrGone), err)
		}
	}
	p.world = world
	return err
}

// verify reads everything again: the tables are those of the snapshot, and
// nothing else changed. Where others surely wrote since, what is otherwise is theirs, and left.
func (f *full) verify(ctx context.Context) error {
	for _, p := range f.parts {
		if len(p.steps) == 0 {
			continue
		}
		world, err := p.read(ctx)
		if err != nil {
			return fmt.Errorf("verifying: %w", err)
		}
		now, err := p.tables(ctx, world)
		if err != nil {
			return fmt.Errorf("verifying: %w", err)
		}
		if err := f.verifyPart(p, world, now); err != nil {
			return err
		}
	}
	return nil
}

func (f *full) verifyPart(p *tablesPart, world *change.World, now map[tableID]change.Table) error {
	wrong := diff(p.beside(p.world.Places), p.beside(world.Places))
	var others []change.Step
	for _, s := range p.steps {
		if !change.SameTable(objectIn(now, s.Object()), s.After) {
			wrong, others = append(wrong, where(s)+" is not as in the snapshot"), append(others, s)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	what := p.label() + ": " + strings.Join(wrong[:min(len(wrong), 4)], "; ")
	if p.world.Generation == 0 || world.Generation-p.world.Generation < 2 { // x_tables counts nothing: nobody is proven to have written
		return fmt.Errorf("verifying: the host is not as planned: %s", what)
	}
	f.say("somebody changed meanwhile, and is left to it: " + what)
	for _, s := range others {
		f.result.leaveStep(s, "it was restored, and somebody changed it right after")
	}
	return nil
}

// beside are the places that are not of the tables that are restored.
func (p *tablesPart) beside(places map[string][]string) map[string][]string {
	out := map[string][]string{}
	for place, prints := range places {
		ours := slices.ContainsFunc(p.steps, func(s change.Step) bool {
			table := strings.Replace(tableName(s.Object()), "table ", "", 1)
			return place == table || strings.HasPrefix(place, table+" ")
		})
		if !ours {
			out[place] = prints
		}
	}
	return out
}

// undo takes back what was restored, the way a later run would.
func (f *full) undo(ctx context.Context, cause error) (code int, err error) {
	if err := f.write(rollback.Entry{Event: rollback.FailedWith, Group: -1, Why: cause.Error()}); err != nil {
		cause = fmt.Errorf("%w (the journal: %w)", cause, err)
	}
	if !f.touched {
		if err := f.write(rollback.Entry{Event: rollback.RolledBack, Group: -1}); err != nil {
			f.say(err.Error())
		}
		return exitFor(cause), fmt.Errorf("%w; nothing was changed", cause)
	}
	failed := f.takeBack(ctx)
	if failed != nil {
		return exitHalf, fmt.Errorf("%w; and undoing it failed: %w; `natwarden rollback %s` tries again", cause, failed, f.id)
	}
	return exitRolledBack, fmt.Errorf("%w; everything was rolled back", cause)
}

// takeBack rolls the change that restores back by its journal.
func (f *full) takeBack(ctx context.Context) error {
	c, err := f.store.Load(f.id)
	if err != nil {
		return err
	}
	one := &back{resolve: f.resolve, editors: f.editors, o: f.o, store: f.store, here: f.here,
		change: c, recovering: true, result: newResult(nil)}
	one.o.Log = nil // it is in the action log with what failed
	defer one.letGo()
	if err := one.prepare(ctx); err != nil {
		return err
	}
	r, err := one.carryOut(ctx)
	if err == nil && len(r.Left) > 0 {
		err = errors.New(r.Left[0].Why)
	}
	return err
}
