// Package netns finds network namespaces and works inside them.
package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/retry"
)

// Handle is an open network namespace (an nsfs file, see namespaces(7)).
type Handle struct{ file *os.File }

// Current opens the namespace of the calling thread.
func Current() (Handle, error) { return Open("/proc/thread-self/ns/net") }

// Open opens the namespace at a path: /run/netns/NAME, /proc/PID/ns/net.
func Open(path string) (Handle, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return Handle{}, fmt.Errorf("opening network namespace %s: %w", path, err)
	}
	return handle(fd, path)
}

// handle takes over the open file of a path, if it is a network namespace.
func handle(fd int, path string) (Handle, error) {
	h := Handle{os.NewFile(uintptr(fd), path)}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil {
		h.Close()
		return Handle{}, fmt.Errorf("%s is no namespace file: %w", path, err)
	}
	if kind != unix.CLONE_NEWNET {
		h.Close()
		return Handle{}, fmt.Errorf("%s is %w", path, errNoNet)
	}
	return h, nil
}

var errNoNet = errors.New("a namespace, but none of a network")

// Close lets the namespace go.
func (h Handle) Close() error { return h.file.Close() }

// Fd is the descriptor of the nsfs file.
func (h Handle) Fd() int { return int(h.file.Fd()) }

// Path is where the namespace was opened.
func (h Handle) Path() string { return h.file.Name() }

// ID identifies a namespace on this host while it lives: device and inode of
// its nsfs file.
type ID struct{ Dev, Ino uint64 }

// ID reads the identity of the namespace.
func (h Handle) ID() (ID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(h.Fd(), &st); err != nil {
		return ID{}, fmt.Errorf("reading the identity of network namespace %s: %w", h.Path(), err)
	}
	return ID{uint64(st.Dev), st.Ino}, nil
}

// Do runs work in the namespace, on a thread that is thrown away afterwards:
// a goroutine that ends while locked takes its thread with it, so no thread can
// ever be left in a foreign namespace. Netlink sockets opened and children
// started by work, in its own goroutine, belong to the namespace.
// It returns when work has returned; work itself must obey ctx. A panic of work is
// an error: what makes one source stumble over a hostile namespace must neither
// end the report of all others nor a change half way.
func (h Handle) Do(ctx context.Context, work func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("working in network namespace %s: a defect of natwarden, please report it: %v, at %s", h.Path(), p, stumbled())
			}
		}()
		runtime.LockOSThread() // never unlocked: see above
		if err := retry.Call(func() error { return unix.Setns(h.Fd(), unix.CLONE_NEWNET) }); err != nil {
			done <- fmt.Errorf("entering network namespace %s: %w", h.Path(), err)
			return
		}
		done <- work(ctx)
	}()
	err, returned := <-done
	if !returned { // runtime.Goexit, as by t.Fatal in a test
		return fmt.Errorf("working in network namespace %s: the work ended without returning", h.Path())
	}
	return err
}

// stumbled names the place of a panic, asked from where it is recovered: the first
// function above that is not of the runtime.
func stumbled() string {
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)]) // 3: without Callers, this and the deferred function
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") || !more {
			return fmt.Sprintf("%s (%s:%d)", frame.Function, filepath.Base(frame.File), frame.Line)
		}
	}
}
