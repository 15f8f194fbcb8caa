package rollback

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Wait is until when a change that was verified waits for its confirmation.
type Wait struct {
	Until time.Time `json:"until"` // by the wall clock, for people
	// Boottime is the same moment on CLOCK_BOOTTIME in nanoseconds
	// (clock_gettime(2)): it counts while the host sleeps, and nobody can set it.
	Boottime int64 `json:"boottime"`
}

// NewWait is a wait of the given length that begins now.
func NewWait(within time.Duration, now time.Time) (*Wait, error) {
	boot, err := bootTime()
	if err != nil {
		return nil, err
	}
	return &Wait{now.Add(within).UTC().Truncate(time.Second), boot + int64(within)}, nil
}

// Left is how long a waiting change may still be confirmed; 0 where it is too
// late, as it is after a restart of the host.
func (c *Change) Left(here Origin) (time.Duration, error) {
	if c.Stage() != Waiting || !c.Plan.Origin.SameBoot(here) {
		return 0, nil
	}
	boot, err := bootTime()
	return max(time.Duration(c.Wait().Boottime-boot), 0), err
}

// Wait gives until when the change waits; nil where it never did.
func (c *Change) Wait() *Wait {
	for i := len(c.Entries) - 1; i >= 0; i-- {
		if c.Entries[i].Event == Verified {
			return c.Entries[i].Wait
		}
	}
	return nil
}

func bootTime() (int64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, fmt.Errorf("reading the clock: %w", err)
	}
	return t.Nano(), nil
}
