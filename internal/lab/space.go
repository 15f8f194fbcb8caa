// Package lab makes throw-away network namespaces, for the tests, for
// `natwarden demo` and for rehearsals. A namespace has no name and no mount: it lives as long as
// the lab holds it and the processes in it run.
//
// Nothing here can touch the namespace in which natwarden was started: a Space
// runs work only after it has seen that the thread is in the namespace that it made.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/netns"
)

// Space is a network namespace of the lab's own.
type Space struct {
	handle netns.Handle
	id     netns.ID
	home   netns.ID // where the lab was made; never to be touched
}

// New makes an empty network namespace with its loopback down. It needs
// CAP_SYS_ADMIN.
func New() (*Space, error) {
	type made struct {
		s   *Space
		err error
	}
	done := make(chan made, 1)
	go func() {
		runtime.LockOSThread() // the thread is thrown away with the goroutine
		s, err := unshare()
		done <- made{s, err}
	}()
	m := <-done
	return m.s, m.err
}

func unshare() (*Space, error) {
	home, err := netns.Current()
	if err != nil {
		return nil, err
	}
	defer home.Close()
	homeID, err := home.ID()
	if err != nil {
		return nil, err
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("making a network namespace (needs root): %w", err)
	}
	h, err := netns.Current()
	if err != nil {
		return nil, err
	}
	id, err := h.ID()
	if err == nil && id == homeID {
		err = errors.New("the kernel gave no new network namespace")
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return &Space{handle: h, id: id, home: homeID}, nil
}

// Close lets the namespace go.
func (s *Space) Close() error { return s.handle.Close() }

// Handle is the open namespace.
func (s *Space) Handle() netns.Handle { return s.handle }

// Do runs work inside, after positive proof that the thread is there.
func (s *Space) Do(ctx context.Context, work func(context.Context) error) error {
	return s.handle.Do(ctx, func(ctx context.Context) error {
		here, err := netns.Current()
		if err != nil {
			return err
		}
		defer here.Close()
		id, err := here.ID()
		if err != nil {
			return err
		}
		if id != s.id || id == s.home {
			return errors.New("refusing to work: this thread is not in the lab's namespace")
		}
		return work(ctx)
	})
}

// Run runs a program inside and gives what it printed. Input is given to its
// standard input.
func (s *Space) Run(ctx context.Context, input string, argv ...string) (string, error) {
	var out []byte
	err := s.Do(ctx, func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader(input)
		var err error
		if out, err = cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("running %s: %w: %s", strings.Join(argv, " "), err, out)
		}
		return nil
	})
	return string(out), err
}
