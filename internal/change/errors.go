package change

import "errors"

var (
	// ErrStale says that the host is not as it was read: another generation, or
	// an object with another fingerprint. Nothing was changed.
	ErrStale = errors.New("the host's rules changed since they were read")
	// ErrBusy says that somebody else holds the lock of the subsystem.
	ErrBusy = errors.New("the lock is held")
)
