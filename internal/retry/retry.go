// Package retry makes a system call again that a signal interrupted. Package os
// does so by itself; the raw calls of package unix do not, and a disk behind
// FUSE or NFS interrupts what a local one never does (signal(7), "Interruption
// of system calls"). It is of natwarden, and no library.
package retry

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Call makes a call until no signal interrupts it, and gives its error.
func Call(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Open makes a call that opens a descriptor until no signal interrupts it.
func Open(call func() (int, error)) (fd int, err error) { return Get(call) }

// Get makes a call that gives something until no signal interrupts it.
func Get[T any](call func() (T, error)) (out T, err error) {
	err = Call(func() error { out, err = call(); return err })
	return out, err
}
