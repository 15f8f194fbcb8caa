package relay

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// asItself works with the process's own rights to files: the kernel then
// judges every folder on the way, and access lists. The rights are those of a
// thread that is thrown away afterwards (setfsuid(2): a thread without the
// file-system user 0 has no capability over files either).
func (p *program) asItself(work func() error) error {
	if p.uid == 0 || int(p.uid) == os.Geteuid() {
		return work()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := p.becomeItself(); err != nil {
			done <- err
			return
		}
		done <- work()
	}()
	return <-done
}

// becomeItself changes the calling thread only: the raw system calls, unlike
// Go's, leave the others alone.
func (p *program) becomeItself() error {
	first := unsafe.Pointer(unsafe.SliceData(p.gids))
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(p.gids)), uintptr(first), 0); errno != 0 {
		return fmt.Errorf("taking the groups of process %d: %w", p.pid, errno)
	}
	gid := p.uid
	if len(p.gids) > 0 {
		gid = p.gids[0]
	}
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSGID, uintptr(gid), 0, 0) // it gives the former one, and no error
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, uintptr(p.uid), 0, 0)
	if now, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0); uint32(now) != p.uid {
		return fmt.Errorf("taking the user of process %d: %w", p.pid, unix.EPERM)
	}
	return nil
}
