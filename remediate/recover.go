package remediate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// Recover finds the changes that did not come to an end because natwarden or
// the host stopped, compares the host with their journals by fingerprints, says
// how far each came, and makes the host whole: a change that was not verified is undone, a rollback that was
// interrupted is finished. The result is never nil and carries the exit code.
func Recover(ctx context.Context, resolve Resolve, editors []change.Editor, o Options) (*Result, error) {
	b := &back{resolve: resolve, editors: editors, o: o.withDefaults(), result: newResult(nil)}
	b.o.DryRun = false
	defer b.close()
	there, err := b.openStore()
	if err != nil {
		return b.result.fail(exitFor(err), err)
	}
	if !there {
		return b.result, nil
	}
	open, damaged := b.store.Unfinished() // a journal that cannot be read keeps none that can from being ended
	expired := false
	for _, c := range open {
		err := b.recover(ctx, c)
		var waiting *WaitingError
		if errors.As(err, &waiting) {
			b.result.Change = c.ID
			return b.result.pending(c.Wait()), nil
		}
		if err != nil {
			return b.result.fail(recoveryCode(err), err)
		}
		expired = expired || c.Stage() == rollback.Waiting
	}
	if damaged != nil {
		return b.result.fail(damagedCode(b.result), damaged)
	}
	if expired && len(b.result.Left) == 0 && !b.waits {
		b.result.Status, b.result.ExitCode = RolledBack, exitExpired
	}
	return b.result, nil
}

// recover ends one unfinished change. The caller holds the lock. One that may
// still be confirmed is a *WaitingError.
func (b *back) recover(ctx context.Context, c *rollback.Change) error {
	if left, err := c.Left(b.here); err != nil || left > 0 {
		return errors.Join(err, &WaitingError{c.ID, c.Wait().Until})
	}
	one := &back{resolve: b.resolve, editors: b.editors, o: b.o, store: b.store, here: b.here,
		change: c, recovering: true, result: newResult(nil)}
	defer one.letGo()
	one.result.Change, one.result.Snapshot = c.ID, c.Plan.Snapshot
	err := one.foreign()
	if err == nil {
		err = one.prepare(ctx)
	}
	if err == nil && one.elsewhere {
		err = fmt.Errorf("%w: change %s is unfinished and was made in another network namespace: run natwarden recover where remediate ran", errForeign, c.ID)
	}
	if err != nil {
		b.result.join(one.result)
		return err
	}
	one.say(one.progress())
	result, err := one.carryOut(ctx)
	b.waits = b.waits || one.goesOn()
	b.result.join(result)
	return err
}

// recoveryCode is the exit code of a recovery that failed: half a change may
// stand on the host, so it is not "nothing was changed".
func recoveryCode(err error) int {
	if code := exitFor(err); code != exitError {
		return code
	}
	return exitHalf
}

// damagedCode is the exit code beside a journal that cannot be read: what it did
// to the host is not known, and 1 would say that nothing was changed.
func damagedCode(r *Result) int {
	if len(r.Steps) > 0 {
		return exitHalf
	}
	return exitError
}

// progress says how the host stands with an unfinished change, by what was
// read from it.
func (b *back) progress() string {
	steps, gone := 0, 0
	for _, g := range b.groups {
		steps, gone = steps+len(g.group.steps), gone+len(g.steps)
	}
	said := fmt.Sprintf("change %s of %s ", b.change.ID, b.change.Began().Format(time.RFC3339))
	switch {
	case steps == 0 && (b.partly || b.waits):
		return said + b.unfinishedHow() + ", but not from here or not now"
	case steps == 0:
		return said + "was interrupted before anything was changed"
	case gone == 0 && b.restarted():
		return said + b.unfinishedHow() + ": what it removed is there again, loaded by the restart: it is as before the change"
	}
	return fmt.Sprintf("%s%s: of %d steps %d stand carried out on the host", said, b.unfinishedHow(), steps, gone)
}

// unfinishedHow says why a change has to be ended, and how it is.
func (b *back) unfinishedHow() string {
	switch {
	case b.change.Stage() == rollback.HalfBack:
		return "was being undone when that was interrupted; undoing it is finished"
	case b.change.Stage() == rollback.Waiting && b.restarted():
		return "was not confirmed before the host restarted; it is undone"
	case b.change.Stage() == rollback.Waiting:
		return "was not confirmed in time; it is undone"
	}
	return "was interrupted; it is undone"
}

// Unfinished names the changes that did not come to an end, or are at work
// right now, in words; it takes no lock and changes nothing.
func Unfinished(stateDir string) ([]string, error) {
	store, err := rollback.Open(stateDir)
	if errors.Is(err, rollback.ErrNoState) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer store.Close()
	open, err := store.Unfinished()
	var out []string
	for _, c := range open {
		if c.Stage() == rollback.Waiting {
			out = append(out, (&WaitingError{c.ID, c.Wait().Until}).Error())
			continue
		}
		out = append(out, fmt.Sprintf("change %s of %s is not finished, or at work right now; natwarden recover ends it", c.ID, c.Began().Format(time.RFC3339)))
	}
	return out, err
}
