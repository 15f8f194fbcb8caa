package remediate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// carryOut puts the groups back, each in one transaction. A group that fails
// does not keep the others away: every rule that is back is one less that is missing.
func (b *back) carryOut(ctx context.Context) (result *Result, err error) {
	if err := ctx.Err(); err != nil {
		return b.result.fail(exitError, fmt.Errorf("interrupted; nothing was changed: %w", err))
	}
	ctx = context.WithoutCancel(ctx) // half a rollback is worse than a late exit; every edit has its time limit
	ended := b.log()
	defer func() { ended(result, err) }()
	if b.journal, err = b.store.Continue(b.change); err != nil {
		return b.result.fail(exitError, err)
	}
	var failures []error
	for _, g := range b.groups {
		if err := b.putBack(ctx, g); err != nil {
			failures = append(failures, fmt.Errorf("putting back %s: %w", g.label(), err))
		}
	}
	return b.end(errors.Join(failures...))
}

// end writes the last line of the journal and makes the result.
func (b *back) end(failure error) (*Result, error) {
	b.finish()
	if b.recovering && failure != nil {
		return b.result.fail(recoveryCode(failure), fmt.Errorf("recovering change %s: %w; the next run tries again", b.change.ID, failure))
	}
	if failure != nil && b.partly && (b.anyDone() || b.unread) {
		// The journal stays open: half of it may stand on the host, and the next run goes on.
		return b.result.fail(exitHalf, fmt.Errorf("rolling back change %s: %w; natwarden recover goes on with it", b.change.ID, failure))
	}
	if failure != nil && !b.anyDone() && b.change.Stage() == rollback.Waiting {
		return b.result.fail(exitFor(failure), failure) // nothing was changed, and its watchdog still watches
	}
	b.conclude()
	b.result.Status, b.result.ExitCode = Nothing, b.result.remains()
	if b.anyDone() {
		b.result.Status = Done
	} else if failure != nil {
		return b.result.fail(exitFor(failure), failure)
	}
	if failure != nil {
		b.say(failure.Error())
	}
	return b.result, nil
}

// conclude writes that the way back has ended, unless it is to go on later.
func (b *back) conclude() {
	if b.goesOn() {
		b.say("what is not back yet is left to the next natwarden recover")
		return
	}
	event := rollback.RolledBack
	if b.partly {
		event = rollback.PartlyBack
	}
	if event == rollback.RolledBack {
		b.reopen()
	}
	if err := b.note(rollback.Entry{Event: event, Group: -1}); err != nil {
		b.say(err.Error())
	}
}

// log writes the way back into the action log. Where that cannot be written the
// way back is gone all the same, and says so.
func (b *back) log() (ended func(*Result, error)) {
	name := "rollback"
	if b.recovering {
		name = "recover"
	}
	return b.logAs(name)
}

func (b *back) logAs(name string) (ended func(*Result, error)) {
	ended, err := b.o.log(Action{name, b.change.ID, b.change.Plan.Snapshot, b.change.Entries[0].PlanSHA256})
	if err != nil {
		b.say("not in the action log: " + err.Error())
	}
	return ended
}

func (b *back) anyDone() bool {
	for _, s := range b.result.Steps {
		if s.Done {
			return true
		}
	}
	return false
}

func (b *back) note(e rollback.Entry) error {
	e.Time = b.o.Now()
	return b.journal.Write(e)
}

// putBack puts one group back and looks whether it is there.
func (b *back) putBack(ctx context.Context, g *backGroup) error {
	if len(g.allowed()) == 0 {
		return nil
	}
	if err := b.note(rollback.Entry{Event: rollback.Restore, Group: g.index}); err != nil {
		b.leave(g.steps, err.Error())
		return err
	}
	began, err := time.Now(), b.send(ctx, g)
	for i := 1; errors.Is(err, change.ErrStale) && worthwhile(i, began, err); i++ {
		if err = g.findAgain(ctx); err == nil {
			err = b.send(ctx, g)
		}
	}
	world, readErr := g.read(ctx)
	if readErr != nil {
		b.unread = true
		b.leave(g.steps, "whether it is back could not be read: "+readErr.Error())
		return errors.Join(err, readErr)
	}
	if ofTables(g.group.steps) {
		err = errors.Join(err, b.compareTables(ctx, g, world, err))
	} else {
		b.compare(g, world, err)
	}
	if err != nil {
		return err
	}
	return b.note(rollback.Entry{Event: rollback.PutBack, Group: g.index})
}

// allowed are the steps that the check did not refuse, with their indices.
func (g *backGroup) allowed() (indices []int) {
	for i := range g.steps {
		if g.refused[i] == "" {
			indices = append(indices, i)
		}
	}
	return indices
}

// send gives the group to its editor as one transaction.
func (b *back) send(ctx context.Context, g *backGroup) error {
	indices := g.allowed()
	steps := make([]change.Step, len(indices))
	for n, i := range indices {
		steps[n] = g.steps[i]
	}
	ctx, stop := context.WithTimeout(ctx, editTime)
	defer stop()
	return g.space.within(ctx, func(ctx context.Context) error {
		outcome, err := g.editor.Edit(ctx, g.world.Generation, steps)
		if err != nil {
			return err
		}
		for n, i := range indices {
			if why, not := outcome.Undone[n]; not {
				g.refuse(i, why)
				continue
			}
			g.done[i] = true
		}
		b.result.Notes = append(b.result.Notes, outcome.Notes...)
		return nil
	})
}

func (g *backGroup) refuse(i int, why string) {
	if g.refused == nil {
		g.refused = map[int]string{}
	}
	g.refused[i] = why
}

// refusedFirst are the steps of the change, first those of which it is known that
// they are not back: of equal objects it is then those that are missed.
func (g *backGroup) refusedFirst() []change.Step {
	refused := map[*change.Object]bool{}
	for i, s := range g.steps {
		refused[s.Inverse().Object()] = g.refused[i] != ""
	}
	first, rest := []change.Step{}, []change.Step{}
	for _, s := range g.group.steps {
		if refused[s.Object()] {
			first = append(first, s)
		} else {
			rest = append(rest, s)
		}
	}
	return append(first, rest...)
}

// compare looks whether what was put back is there, and says where the
// surroundings are no longer those of before.
func (b *back) compare(g *backGroup, world *change.World, failure error) {
	why := "it is not there after the rollback"
	if failure != nil {
		why = failure.Error()
	}
	before := g.world.Places
	absent := map[*change.Object]bool{}
	for _, s := range missing(before, world.Places, g.refusedFirst()) {
		absent[s.Before] = true
	}
	for i, s := range g.steps {
		_, seen := before[placeOf(s.Object())]
		switch {
		case g.refused[i] != "":
		case seen && absent[s.After] || !seen && failure != nil:
			g.refuse(i, why)
			g.done[i] = false
		default:
			g.done[i] = true
		}
	}
	for _, d := range diff(before, touched(world.Places, g.group.steps)) {
		b.say("not as before the change: " + d)
	}
}
