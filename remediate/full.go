package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// A full rollback restores, whole, each table that a change touched, to what
// stood in the change's snapshot. It is a change of its own, with a snapshot, a
// journal and a way back; what is no table of a Restorer is put back the
// ordinary way, under the journal of the change that is taken back.
//
// That journal says first that the change is being undone, and last that it is.
// So whatever kills natwarden in between, recover makes the tables again what they
// were and then finishes the ordinary rollback.

// full is the rollback of one change by whole tables.
type full struct {
	*back
	parts []*tablesPart

	made    *rollback.Journal // of the change that restores; nil before it began
	id      string            // of it
	touched bool              // something may have been edited
}

// full takes the change back by whole tables.
func (b *back) full(ctx context.Context) (*Result, error) {
	f := &full{back: b}
	defer f.letGoOfParts()
	b.result.Restores = b.change.ID
	if err := f.prepare(ctx); err != nil {
		return b.result.fail(exitFor(err), err)
	}
	if err := f.look(ctx); err != nil {
		return b.result.fail(exitFor(err), err)
	}
	if f.steps() == 0 && len(b.groups) == 0 && f.leaves() {
		f.leaveTables()
		return b.result.fail(exitRefused, fmt.Errorf("%w: nothing of the change can be restored from here: %s", errForeign, b.result.Left[0].Why))
	}
	if b.o.DryRun {
		f.show()
		return b.planned(), nil
	}
	return f.carryOut(ctx)
}

func (f *full) letGoOfParts() {
	for _, p := range f.parts {
		p.space.close()
	}
	f.letGoOfJournal()
}

func (f *full) letGoOfJournal() {
	if f.made != nil {
		_ = f.made.Close() // every line of it is on the disk already
	}
	f.made, f.id = nil, ""
}

// steps counts the tables to be restored.
func (f *full) steps() (n int) {
	for _, p := range f.parts {
		n += len(p.steps)
	}
	return n
}

func (f *full) leaves() bool {
	return len(f.result.Left) > 0 || slices.ContainsFunc(f.parts, func(p *tablesPart) bool { return len(p.left) > 0 })
}

// look reads the host and makes the steps, again where others write meanwhile.
func (f *full) look(ctx context.Context) (err error) {
	for range tries {
		for _, p := range f.parts {
			if err = p.look(ctx); err != nil {
				break
			}
		}
		if !errors.Is(err, change.ErrStale) {
			break
		}
	}
	if err == nil {
		err = f.asShown()
	}
	return err
}

// shown tells the tables apart that are to be restored.
func (f *full) shown() map[string]string {
	out := map[string]string{}
	for _, p := range f.parts {
		for _, s := range p.steps {
			out[p.label()+" "+where(s)] = printOf(s.Before) + " " + printOf(s.After)
		}
	}
	return out
}

func printOf(o *change.Object) string {
	if o == nil {
		return "none"
	}
	return o.Fingerprint
}

// asShown refuses tables that are no longer those whose difference was shown.
func (f *full) asShown() error {
	if f.o.Shown == nil {
		return nil
	}
	is := f.shown()
	for name, prints := range f.o.Shown {
		if is[name] != prints {
			return fmt.Errorf("%s changed since its difference was shown, and nothing was done: %w", name, change.ErrStale)
		}
	}
	if len(is) != len(f.o.Shown) {
		return fmt.Errorf("more tables differ by now than were shown, and nothing was done: %w", change.ErrStale)
	}
	return nil
}

// show fills in what a dry run and the question before the change show.
func (f *full) show() {
	f.describe(false)
	f.leaveTables()
	f.result.Shown = f.shown()
}

// describe lists the tables and what they hold otherwise than the snapshot.
func (f *full) describe(done bool) {
	for _, p := range f.parts {
		for _, s := range describeAll(p.steps) {
			s.Done = done
			f.result.Steps = append(f.result.Steps, s)
		}
		f.result.Differences = append(f.result.Differences, p.differences...)
	}
}

func (f *full) leaveTables() {
	for _, p := range f.parts {
		for i, s := range p.left {
			f.leave([]change.Step{s}, p.whys[i])
		}
	}
}

// carryOut restores the tables, then puts back the rest the ordinary way.
func (f *full) carryOut(ctx context.Context) (result *Result, err error) {
	if err := ctx.Err(); err != nil {
		return f.result.fail(exitError, fmt.Errorf("interrupted; nothing was changed: %w", err))
	}
	ctx = context.WithoutCancel(ctx) // as with any rollback
	ended := f.log()
	defer func() { ended(result, err) }()
	if f.journal, err = f.store.Continue(f.change); err != nil {
		return f.result.fail(exitError, err)
	}
	if first := f.first(); first >= 0 {
		if err := f.note(rollback.Entry{Event: rollback.Restore, Group: first}); err != nil {
			return f.result.fail(exitError, err)
		}
	}
	if code, err := f.restoreSoon(ctx); err != nil {
		f.asItWas()
		f.describe(false)
		return f.result.failPlan(code, err)
	}
	f.describe(f.made != nil)
	f.leaveTables()
	var failures []error
	for _, g := range f.groups {
		if err := f.putBack(ctx, g); err != nil {
			failures = append(failures, fmt.Errorf("putting back %s: %w", g.label(), err))
		}
	}
	return f.end(errors.Join(failures...))
}

// first is a group of the change that is being undone; -1 where none was begun.
func (f *full) first() int {
	switch {
	case len(f.parts) > 0:
		return f.parts[0].index
	case len(f.groups) > 0:
		return f.groups[0].index
	}
	return -1
}

// asItWas writes into the journal of the change that nothing became of undoing
// it: it stands as before. One that was not finished stays so, for recover.
func (f *full) asItWas() {
	if stage := f.change.Stage(); stage != rollback.Ended && stage != rollback.Waiting {
		return
	}
	if err := f.note(f.change.Entries[len(f.change.Entries)-1]); err != nil {
		f.say(err.Error())
	}
}

// restoreSoon restores the tables; where others changed them since they were read,
// from a fresh comparison, a bounded number of times.
func (f *full) restoreSoon(ctx context.Context) (code int, err error) {
	for range tries {
		if f.steps() == 0 {
			return 0, nil
		}
		if code, err = f.restore(ctx); err == nil || f.touched || !errors.Is(err, change.ErrStale) {
			return code, err
		}
		if again := f.look(ctx); again != nil {
			return exitFor(again), again
		}
	}
	return code, fmt.Errorf("%w; somebody else changes the tables: try again when that is done", err)
}
