package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Held says which processes hold which sockets.
type Held struct {
	PIDs map[uint64][]int // socket inode to processes, by number
	// Unread is how many processes could not be looked into, First the one with
	// the smallest number and Why the reason: "no process" is proven only where
	// it is 0. Processes that ended meanwhile are not counted.
	Unread int
	First  int
	Why    error
}

// Holders walks /proc/*/fd once for the wanted socket inodes. Where a socket
// seems to be held by nobody it looks once more: at processes that came
// meanwhile and may have inherited it, at single threads, which may have
// descriptors of their own (unshare(2), CLONE_FILES), and at the files that
// rings of io_uring keep.
func Holders(ctx context.Context, wanted map[uint64]bool) (*Held, error) {
	held := &Held{PIDs: map[uint64][]int{}}
	if len(wanted) == 0 {
		return held, nil
	}
	root, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /proc: %w", err)
	}
	defer unix.Close(root)
	w := walk{root: root, wanted: wanted, held: held}
	if err := w.each(ctx, w.process); err != nil {
		return nil, err
	}
	if len(held.PIDs) < len(wanted) {
		if err := w.each(ctx, w.again); err != nil {
			return nil, err
		}
	}
	for _, list := range held.PIDs {
		slices.Sort(list)
	}
	return held, nil
}

// walk is one pass over the processes; several workers share it.
type walk struct {
	root   int
	wanted map[uint64]bool // only read
	mu     sync.Mutex
	held   *Held
}

// each runs work for every process on a few workers.
func (w *walk) each(ctx context.Context, work func(pid int, s *scratch)) error {
	pids, err := processes(w.root)
	if err != nil {
		return err
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4) {
		workers.Go(func() {
			s := newScratch()
			for i := next.Add(1) - 1; int(i) < len(pids) && ctx.Err() == nil; i = next.Add(1) - 1 {
				work(pids[i], s)
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("looking for the processes that hold sockets: %w", err)
	}
	return nil
}

// process notes which wanted sockets a process holds.
func (w *walk) process(pid int, s *scratch) {
	s.found = s.found[:0]
	err := w.descriptors(strconv.Itoa(pid)+"/fd", s)
	w.note(pid, s.found, err)
}

// again looks at a process and its single threads. Whether it can be read at
// all, the first pass has said.
func (w *walk) again(pid int, s *scratch) {
	s.found, s.rings = s.found[:0], true
	_ = w.descriptors(strconv.Itoa(pid)+"/fd", s)
	name := strconv.Itoa(pid) + "/task"
	if dir, err := w.open(name); err == nil {
		tids, _ := numbers(dir)
		unix.Close(dir)
		for _, tid := range tids {
			if tid != pid && !sharesFiles(pid, tid) {
				_ = w.descriptors(name+"/"+strconv.Itoa(tid)+"/fd", s)
			}
		}
	}
	w.note(pid, s.found, nil)
}

// sharesFiles says whether a thread has the descriptors of its process, as nearly all
// have: to read them once more for each of some thousand threads takes minutes (kcmp(2),
// KCMP_FILES of linux/kcmp.h; 0 is equal).
func sharesFiles(pid, tid int) bool {
	const kcmpFiles = 2
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(pid), uintptr(tid), kcmpFiles, 0, 0, 0)
	return errno == 0 && order == 0
}

func (w *walk) note(pid int, inodes []uint64, err error) {
	if len(inodes) == 0 && (err == nil || ended(err)) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, inode := range inodes {
		if !slices.Contains(w.held.PIDs[inode], pid) {
			w.held.PIDs[inode] = append(w.held.PIDs[inode], pid)
		}
	}
	if err == nil || ended(err) {
		return
	}
	w.held.Unread++
	if w.held.First == 0 || pid < w.held.First {
		w.held.First, w.held.Why = pid, err
	}
}

// descriptors adds the wanted sockets of one fd folder to s.found.
func (w *walk) descriptors(folder string, s *scratch) error {
	dir, err := w.open(folder)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	for {
		n, err := unix.Getdents(dir, s.entries)
		if err != nil || n <= 0 {
			return err
		}
		_, _, s.names = unix.ParseDirent(s.entries[:n], -1, s.names[:0])
		for _, name := range s.names {
			if err := w.descriptor(dir, name, s); err != nil {
				return err
			}
		}
	}
}

func (w *walk) open(path string) (int, error) {
	return unix.Openat(w.root, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// descriptor reads one link. Descriptors come and go: one that has gone is none.
func (w *walk) descriptor(dir int, name string, s *scratch) error {
	n, err := unix.Readlinkat(dir, name, s.link)
	if err != nil {
		if ended(err) {
			return nil
		}
		return err
	}
	if inode, ok := socketInode(s.link[:n]); ok && w.wanted[inode] {
		s.found = append(s.found, inode)
	}
	if s.rings && string(s.link[:n]) == ringLink {
		w.ring(dir, name, s)
	}
	return nil
}

// socketInode reads "socket:[12345]", which the kernel writes for a socket's
// descriptor (net/socket.c, sockfs_dname).
func socketInode(link []byte) (uint64, bool) {
	const prefix = "socket:["
	if len(link) < len(prefix)+2 || string(link[:len(prefix)]) != prefix || link[len(link)-1] != ']' {
		return 0, false
	}
	var inode uint64
	for _, c := range link[len(prefix) : len(link)-1] {
		if c < '0' || c > '9' || inode > 1<<59 {
			return 0, false
		}
		inode = inode*10 + uint64(c-'0')
	}
	return inode, true
}

// scratch is what one worker reuses.
type scratch struct {
	entries []byte
	link    []byte
	names   []string
	found   []uint64
	rings   bool // look at the files of io_uring as well
}

func newScratch() *scratch {
	return &scratch{entries: make([]byte, 32<<10), link: make([]byte, 64)}
}

// ended says whether the error is that of a process that is gone.
func ended(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrProcessDone)
}

// processes lists the processes of an open /proc. The folder is opened anew
// for each list, which a shared position would spoil.
func processes(root int) ([]int, error) {
	dir, err := unix.Openat(root, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /proc: %w", err)
	}
	defer unix.Close(dir)
	pids, err := numbers(dir)
	if err != nil {
		return nil, fmt.Errorf("listing /proc: %w", err)
	}
	return pids, nil
}

// numbers lists the entries of an open folder that are numbers, in order.
func numbers(dir int) ([]int, error) {
	buf := make([]byte, 32<<10)
	var out []int
	for {
		n, err := unix.Getdents(dir, buf)
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			slices.Sort(out)
			return out, nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if pid, err := strconv.ParseUint(name, 10, 31); err == nil && !strings.HasPrefix(name, "0") {
				out = append(out, int(pid))
			}
		}
	}
}
