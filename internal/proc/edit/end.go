package edit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/proc"
	"github.com/natwarden/natwarden/internal/retry"
)

// patience is what a process has between SIGTERM and SIGKILL.
const patience = 3 * time.Second

// endAll ends processes by their fingerprints: first all are asked, loops
// before what they start, then those that remain are killed.
func endAll(ctx context.Context, prints []string) error {
	var held []*held
	defer func() {
		for _, h := range held {
			unix.Close(h.fd)
		}
	}()
	for i := range prints {
		h, err := hold(prints[(i+1)%len(prints)]) // the loops stand after the first
		if err != nil {
			return err
		}
		if h != nil {
			held = append(held, h)
		}
	}
	for _, h := range held {
		h.signal(unix.SIGTERM)
	}
	until := time.Now().Add(patience)
	for _, h := range held {
		if !h.wait(ctx, time.Until(until)) {
			h.signal(unix.SIGKILL)
		}
	}
	for _, h := range held {
		if !h.wait(ctx, patience) {
			return fmt.Errorf("process %d does not end, not even by SIGKILL", h.pid)
		}
	}
	return nil
}

// held is a process that cannot become another one while it is held.
type held struct{ pid, fd int }

// hold opens a process and compares who it is afterwards, so that a number
// that was given again cannot be hit. nil: it has ended already.
func hold(print string) (*held, error) {
	number, _, _ := strings.Cut(print, " ")
	pid, err := strconv.Atoi(number)
	if err != nil || pid <= 1 || ancestors()[pid] {
		return nil, fmt.Errorf("%q names no process that may be ended", print)
	}
	fd, err := retry.Open(func() (int, error) { return unix.PidfdOpen(pid, 0) })
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening process %d: %w", pid, err)
	}
	if life, err := proc.LifeOf(pid); err != nil || life.Fingerprint() != print {
		unix.Close(fd)
		return nil, nil // it has ended, and its number belongs to another
	}
	return &held{pid, fd}, nil
}

func (h *held) signal(s unix.Signal) {
	// It may have ended meanwhile; whether it did is asked afterwards.
	_ = retry.Call(func() error { return unix.PidfdSendSignal(h.fd, s, nil, 0) })
}

// wait says whether the process has ended within the time.
func (h *held) wait(ctx context.Context, d time.Duration) bool {
	for until := time.Now().Add(max(d, 0)); ; {
		p := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 50)
		if n > 0 {
			return true
		}
		if err != nil && !errors.Is(err, unix.EINTR) || ctx.Err() != nil || time.Now().After(until) {
			return false
		}
	}
}
