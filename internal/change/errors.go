package change

import (
	"errors"
	"fmt"
)

var (
	// ErrStale says that the host is not as it was read: another generation, or
	// an object with another fingerprint. Nothing was changed.
	ErrStale = errors.New("the host's rules changed since they were read")
	// ErrGone is the ErrStale that another try does not mend: what was planned is
	// not there any more, or is another.
	ErrGone = fmt.Errorf("what was planned is not there as it was read: %w", ErrStale)
	// ErrBusy says that somebody else holds the lock of the subsystem.
	ErrBusy = errors.New("the lock is held")
)

// Half is the error of an Edit without transactions: err came at one of its steps,
// undone is what undoing those before it gave, nil where they are undone. Where not, it is never
// an ErrStale nor an ErrBusy, which mean that nothing happened.
func Half(err, undone error) error {
	if undone == nil {
		return err
	}
	return errors.New(err.Error() + "; and undoing the steps before it failed: " + undone.Error())
}
