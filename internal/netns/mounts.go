package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mounted adds the namespaces that only a bind mount keeps alive, by path: of
// natwarden's own mount namespace, of those that processes live in, and of
// those that mounts and open descriptors keep alive in their turn.
func mounted(ctx context.Context, l *lister) {
	w := &mounts{lister: l, seen: map[ID]bool{}}
	w.own(ctx)
	pids, err := processes()
	if err != nil {
		l.missed("network namespaces kept alive by mounts", err)
		return
	}
	for _, pid := range pids {
		if ctx.Err() != nil {
			l.missed("network namespaces kept alive by mounts", ctx.Err())
			return
		}
		w.ofProcess(ctx, pid)
	}
	l.mounts = w
}

// mounts goes through mount namespaces, each once.
type mounts struct {
	*lister
	seen map[ID]bool // mount namespaces
}

// own looks at the mount namespace of the calling thread, which stays alive
// meanwhile.
func (w *mounts) own(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w.enter(ctx, fmt.Sprintf("/proc/self/task/%d/ns/mnt", unix.Gettid()), "")
}

// ofProcess looks at the mount namespace of a process. The list of mounts is
// open to everybody (fs/proc_namespace.c), the namespace is not: where it
// cannot be entered, network namespaces among its mounts that are found nowhere
// else are blind.
func (w *mounts) ofProcess(ctx context.Context, pid int) {
	dir := "/proc/" + strconv.Itoa(pid)
	var st unix.Stat_t
	err := unix.Stat(dir+"/ns/mnt", &st)
	switch {
	case err != nil && gone(err):
	case err != nil:
		w.unentered(dir+"/mountinfo", err)
	case !w.seen[ID{uint64(st.Dev), st.Ino}]:
		w.enter(ctx, dir+"/ns/mnt", dir+"/root")
	}
}

// unentered tells of network namespaces in a list of mounts that are in no
// other: the mount namespace cannot be entered.
func (w *mounts) unentered(list string, why error) {
	for _, m := range mountsIn(list) {
		if m.kind == "net" && !w.known(m.ino) {
			w.missed(fmt.Sprintf("network namespace net:[%d], mounted at %s (%s)", m.ino, m.path, list), why)
		}
	}
}

// known says whether the namespace with this inode is in the list: all nsfs
// files are of one file system.
func (l *lister) known(ino uint64) bool { return l.seen[ID{l.home.Dev, ino}] }

// enter reads the mounts of a mount namespace from inside, where no root
// folder of a process hides any, on a thread that is thrown away. at is the
// folder under which natwarden sees the paths in it; "" its own.
func (w *mounts) enter(ctx context.Context, nsfile, at string) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its mounts
		done <- w.inside(ctx, nsfile, at)
	}()
	err := <-done
	switch list, ok := strings.CutSuffix(nsfile, "/ns/mnt"); {
	case err == nil || gone(err):
	case ok:
		w.unentered(list+"/mountinfo", err)
	default:
		w.missed("network namespaces kept alive by mounts of "+nsfile, err)
	}
}

func (w *mounts) inside(ctx context.Context, nsfile, at string) error {
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening /proc: %w", err)
	}
	defer unix.Close(proc)
	ns, err := unix.Open(nsfile, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("opening mount namespace %s: %w", nsfile, err)
	}
	defer unix.Close(ns)
	var st unix.Stat_t
	if err := unix.Fstat(ns, &st); err != nil {
		return fmt.Errorf("reading the identity of mount namespace %s: %w", nsfile, err)
	}
	id := ID{uint64(st.Dev), st.Ino}
	if w.seen[id] {
		return nil
	}
	w.seen[id] = true
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("parting with the working folder: %w", err)
	}
	if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("entering mount namespace %s: %w", nsfile, err)
	}
	w.readAll(ctx, proc, at)
	return nil
}

// readAll adds what the mounts of the thread's mount namespace keep alive.
func (w *mounts) readAll(ctx context.Context, proc int, at string) {
	fd, err := unix.Openat(proc, "thread-self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		w.missed("mounts below "+at+"/", err)
		return
	}
	f := os.NewFile(uintptr(fd), "mountinfo")
	defer f.Close()
	for _, m := range parseMounts(f) {
		if m.kind == "net" && !w.known(m.ino) {
			w.addMounted(proc, m, at)
		}
		if m.kind == "mnt" && !w.seen[ID{w.home.Dev, m.ino}] && ctx.Err() == nil {
			w.deeper(ctx, m, at)
		}
	}
}

// deeper enters a mount namespace that a mount keeps alive. The descriptor is
// the same for the thread that enters, the path would not be.
func (w *mounts) deeper(ctx context.Context, m mount, at string) {
	fd, err := openMounted(m.path)
	if err != nil {
		if !gone(err) {
			w.missed("mount namespace "+at+m.path, err)
		}
		return
	}
	defer unix.Close(fd)
	w.enter(ctx, "/proc/self/fd/"+strconv.Itoa(fd), "mnt:"+at+m.path+":")
}

// addMounted opens what is mounted there and keeps it, if it is that.
func (w *mounts) addMounted(proc int, m mount, at string) {
	fd, err := openMounted(m.path)
	if err == nil {
		defer unix.Close(fd)
		fd, err = unix.Openat(proc, "self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		if !gone(err) {
			w.missed("network namespace "+at+m.path, err)
		}
		return
	}
	h, err := handle(fd, at+m.path)
	if err != nil {
		w.missed("network namespace "+at+m.path, err)
		return
	}
	w.keep(at+m.path, 0, h)
}

// openMounted finds (O_PATH) the namespace file at a path of the thread's
// mount namespace, which may be any user's: nothing but a namespace file is
// opened (a device or FIFO does things when it is), no link is followed, and
// no file system is waited for (RESOLVE_CACHED: what is a mount point is known
// to the kernel without asking; Linux 5.12). Another mount may cover it.
func openMounted(name string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_NO_SYMLINKS | resolveCached}
	fd, err := openCached(name, &how)
	if err != nil {
		return -1, fmt.Errorf("opening the namespace at %s: %w", name, err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.NSFS_MAGIC {
		unix.Close(fd)
		return -1, fmt.Errorf("opening the namespace at %s: another mount covers it: %w", name, unix.EBUSY)
	}
	return fd, nil
}

// resolveCached is RESOLVE_CACHED of include/uapi/linux/openat2.h.
const resolveCached = 0x20

func openCached(name string, how *unix.OpenHow) (int, error) {
	for range tries {
		fd, err := unix.Openat2(unix.AT_FDCWD, name, how)
		if !errors.Is(err, unix.EAGAIN) {
			if errors.Is(err, unix.EINVAL) && how.Resolve&resolveCached != 0 {
				how.Resolve &^= resolveCached
				continue
			}
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}
