package edit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/retry"
)

// defaultLock is the lock of iptables-legacy (XT_LOCK_NAME in iptables/xshared.h).
const defaultLock = "/run/xtables.lock"

// Waiting for the lock: at most lockPatience where the caller's context ends
// no sooner, looking every lockPoll.
const (
	lockPatience = 10 * time.Second
	lockPoll     = 5 * time.Millisecond
)

// heldLock is the key of a context in which the lock of its path is held.
type heldLock struct{ path string }

// Hold takes the lock of iptables-legacy, unless it is held in ctx already. While
// it is held, no iptables writes: what World, Steps and Check say stands until
// Edit is through.
func (e *editor) Hold(ctx context.Context) (held context.Context, release func(), err error) {
	if ctx.Value(heldLock{e.lockPath}) != nil {
		return ctx, func() {}, nil
	}
	release, err = lock(ctx, e.lockPath)
	if err != nil {
		return nil, nil, err
	}
	return context.WithValue(ctx, heldLock{e.lockPath}, true), release, nil
}

// lock takes the lock of iptables-legacy and gives what lets it go. An
// ErrBusy names who holds it.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	ctx, stop := context.WithTimeout(ctx, lockPatience)
	defer stop()
	fd, err := retry.Open(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("opening the lock %s of iptables-legacy: %w", path, err)
	}
	for {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { unix.Close(fd) }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			unix.Close(fd)
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			err := fmt.Errorf("waiting for %s of iptables-legacy%s: %w", path, holder(fd), change.ErrBusy)
			unix.Close(fd)
			return nil, err
		case <-time.After(lockPoll):
		}
	}
}

// holder says which process holds the lock, where /proc/locks tells it:
// ", held by pid 4711 (iptables)".
func holder(fd int) string {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return ""
	}
	file, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer file.Close()
	want := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for in := bufio.NewScanner(file); in.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4711 00:19:1234 0 EOF
		f := strings.Fields(in.Text())
		if len(f) >= 6 && f[1] == "FLOCK" && f[5] == want {
			name, _ := os.ReadFile("/proc/" + f[4] + "/comm")
			return fmt.Sprintf(", held by pid %s (%s)", f[4], strings.TrimSpace(string(name)))
		}
	}
	return ""
}
