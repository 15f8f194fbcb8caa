package remediate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// lockTime is how long a confirmation waits for the lock: the run that it
// confirms may still be looking whether somebody puts things back.
const lockTime = 10 * time.Second

// WaitingError says that a change waits for its confirmation, and that no other
// may begin meanwhile. Its exit code is 75.
type WaitingError struct {
	Change string
	Until  time.Time
}

// Error says which change waits, until when, and what to do.
func (e *WaitingError) Error() string {
	return fmt.Sprintf("change %s waits for its confirmation until %s: natwarden confirm keeps it, natwarden rollback takes it back",
		e.Change, e.Until.UTC().Format(time.RFC3339))
}

// Confirm keeps a change that waits for it. id is a change id or an unambiguous
// beginning of one; "" is the change that waits. One that is too late is rolled back here and now,
// unless the watchdog did it already: exit code 6.
func Confirm(ctx context.Context, id string, resolve Resolve, editors []change.Editor, o Options) (*Result, error) {
	b := &back{resolve: resolve, editors: editors, o: o.withDefaults(), result: newResult(nil)}
	b.o.DryRun = false
	defer b.close()
	there, err := b.openWithin(ctx, id, lockTime)
	if err == nil && there {
		err = b.foreign()
	}
	if err != nil {
		return b.result.fail(exitFor(err), err)
	}
	if !there {
		return b.result.fail(exitError, errors.New("no change waits for a confirmation"))
	}
	switch {
	case b.change.Stage() == rollback.Waiting:
		return b.confirm(ctx)
	case b.change.IsConfirmed():
		b.say("change " + b.change.ID + " is confirmed already")
		return b.result, nil
	case b.change.Wait() != nil && b.change.Stage() == rollback.Ended:
		return b.result.fail(exitExpired, fmt.Errorf("change %s can no longer be confirmed: it is rolled back already", b.change.ID))
	}
	return b.result.fail(exitError, fmt.Errorf("change %s does not wait for a confirmation", b.change.ID))
}

func (b *back) openWithin(ctx context.Context, id string, within time.Duration) (there bool, err error) {
	end := time.Now().Add(within)
	for {
		var busy *rollback.BusyError
		if there, err = b.open(id); !errors.As(err, &busy) || time.Now().After(end) {
			return there, err
		}
		_ = b.store.Close() // it is opened again
		if err := sleep(ctx, tick); err != nil {
			return false, err
		}
	}
}

// confirm writes the confirmation down, unless it comes too late.
func (b *back) confirm(ctx context.Context) (result *Result, err error) {
	left, err := b.change.Left(b.here)
	if err != nil {
		return b.result.fail(exitError, err)
	}
	if left == 0 {
		if err := b.recover(ctx, b.change); err != nil {
			return b.result.fail(recoveryCode(err), fmt.Errorf("the confirmation comes too late: %w", err))
		}
		if len(b.result.Left) > 0 {
			return b.result.fail(exitHalf, fmt.Errorf("the confirmation of change %s comes too late, and not all of it could be put back", b.change.ID))
		}
		return b.result.fail(exitExpired, fmt.Errorf("the confirmation of change %s comes too late: it is rolled back", b.change.ID))
	}
	ended := b.logAs("confirm")
	defer func() { ended(result, err) }()
	if b.journal, err = b.store.Continue(b.change); err == nil {
		err = b.note(rollback.Entry{Event: rollback.Confirmed, Group: -1})
	}
	if err != nil {
		return b.result.fail(exitError, fmt.Errorf("the confirmation could not be written, and the change will be rolled back: %w", err))
	}
	b.result.Status = Done
	return b.result, nil
}
