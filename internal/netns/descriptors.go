package netns

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// described adds the namespaces that only an open descriptor of a process
// keeps alive, labelled "fd:PID/FD", and those that the mounts of a mount
// namespace keep alive that is kept alive that way itself.
func described(ctx context.Context, l *lister) {
	pids, err := processes()
	if err != nil {
		l.missed("network namespaces behind open descriptors", err)
		return
	}
	w := descriptors{lister: l, link: make([]byte, 64)}
	for _, pid := range pids {
		if ctx.Err() != nil {
			l.missed("network namespaces behind open descriptors", ctx.Err())
			return
		}
		w.ofProcess(ctx, pid)
	}
	if w.unread > 0 && !(w.unread == 1 && w.first == 1) {
		l.missed(fmt.Sprintf("network namespaces behind open descriptors of process %d%s", w.first, andOthers(w.unread-1)), w.why)
	}
}

// descriptors goes through the open files of processes.
type descriptors struct {
	*lister
	link          []byte
	unread, first int
	why           error
}

// ofProcess looks at the descriptors of a process, and of those of its threads
// that have descriptors of their own (unshare(2), CLONE_FILES).
func (w *descriptors) ofProcess(ctx context.Context, pid int) {
	if err := w.folder(ctx, pid); err != nil && !gone(err) {
		if w.unread++; w.first == 0 {
			w.first, w.why = pid, err
		}
		return
	}
	for _, tid := range otherThreads(pid) {
		if !sharesFiles(pid, tid) {
			_ = w.folder(ctx, tid) // the process could be read, so its threads can, or have ended
		}
	}
}

// sharesFiles asks whether two threads have one table of descriptors
// (kcmp(2), KCMP_FILES); where the kernel cannot tell, they may have two.
func sharesFiles(pid, tid int) bool {
	const kcmpFiles = 2
	r, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(pid), uintptr(tid), kcmpFiles, 0, 0, 0)
	return errno == 0 && r == 0
}

// folder looks at the descriptors of one thread; its number leads there
// although /proc does not list it.
func (w *descriptors) folder(ctx context.Context, tid int) error {
	path := "/proc/" + strconv.Itoa(tid) + "/fd"
	dir, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	entries := make([]byte, 8<<10)
	for {
		n, err := unix.Getdents(dir, entries)
		if err != nil || n <= 0 {
			return err
		}
		_, _, names := unix.ParseDirent(entries[:n], -1, nil)
		for _, name := range names {
			if err := w.descriptor(ctx, dir, tid, name); err != nil {
				return err
			}
		}
	}
}

// descriptor looks at one. A namespace file that was opened by its own path
// says what it is; one that was opened by a mount that is gone has the path "/".
func (w *descriptors) descriptor(ctx context.Context, dir, tid int, name string) error {
	n, err := unix.Readlinkat(dir, name, w.link)
	if err != nil {
		if gone(err) {
			return nil // closed meanwhile
		}
		return err
	}
	link := string(w.link[:n])
	kind, ino, ok := nsName(link)
	if !ok && link == "/" {
		kind, ino, ok = detached(dir, name)
	}
	at := "/proc/" + strconv.Itoa(tid) + "/fd/" + name
	switch {
	case !ok:
	case kind == "net" && !w.known(ino):
		w.keepDescriptor("fd:"+strconv.Itoa(tid)+"/"+name, at)
	case kind == "mnt" && w.mounts != nil && !w.mounts.seen[ID{w.home.Dev, ino}]:
		w.mounts.enter(ctx, at, "mnt:"+at+":")
	}
	return nil
}

// detached reads which namespace file it is by its inode: the file systems of
// others are not asked for anything (AT_STATX_DONT_SYNC).
func detached(dir int, name string) (kind string, ino uint64, ok bool) {
	var st unix.Statx_t
	if unix.Statx(dir, name, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st) != nil {
		return "", 0, false
	}
	home, err := nsfsDevice()
	return "net", st.Ino, err == nil && unix.Mkdev(st.Dev_major, st.Dev_minor) == home
}

// nsfsDevice is the device of the file system of namespaces.
func nsfsDevice() (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(startedInPath, &st)
	return uint64(st.Dev), err
}

func (w *descriptors) keepDescriptor(label, path string) {
	h, err := Open(path)
	switch {
	case err == nil:
		w.keep(label, 0, h)
	case gone(err) || errors.Is(err, errNoNet):
	default:
		w.missed("network namespace "+label, err)
	}
}
