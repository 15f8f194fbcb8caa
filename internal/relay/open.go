package relay

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

var (
	errNotRegular = errors.New("it is no regular file")
	errTooLarge   = errors.New("it is larger than 1 MiB")
	errForbidden  = errors.New("the process itself may not read it")
)

// readFile reads a file as the process sees it: below its own root, relative
// to its working directory. Only regular files that the process's user may
// read, so that nobody can make natwarden touch a device or read a secret for him.
func (p *program) readFile(name string) ([]byte, error) {
	f, err := p.open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := p.mayRead(f); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(b) > maxConfig {
		err = errTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// open opens a path of the process. One that changed its root after it had read
// its configuration (haproxy's chroot) named the path before it did: what its root
// lacks is looked for in the root of its mount namespace.
func (p *program) open(name string, flags uint64) (*os.File, error) {
	f, err := p.openBelow(p.proc("root"), name, flags)
	if !errors.Is(err, unix.ENOENT) {
		return f, err
	}
	if began := p.environment("PWD"); !path.IsAbs(name) && path.IsAbs(began) { // it has left the folder that it was started in
		name = path.Join(began, name)
		if f, err := p.openBelow(p.proc("root"), name, flags); !errors.Is(err, unix.ENOENT) {
			return f, err
		}
	}
	if p.leftRoot() {
		return p.openBelow("/", name, flags)
	}
	return nil, err
}

// environment gives a variable that the process was started with.
func (p *program) environment(name string) string {
	raw, err := os.ReadFile(p.proc("environ"))
	if err != nil {
		return ""
	}
	for _, pair := range strings.SplitN(string(raw), "\x00", mostVariables) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// leftRoot says whether the process shares this one's mount namespace with
// another root. In a mount namespace of its own its first root is not known.
func (p *program) leftRoot() bool {
	var here, there, root, slash unix.Stat_t
	return unix.Stat("/proc/thread-self/ns/mnt", &here) == nil && unix.Stat(p.proc("ns/mnt"), &there) == nil && here.Ino == there.Ino && here.Dev == there.Dev &&
		unix.Stat(p.proc("root"), &root) == nil && unix.Stat("/", &slash) == nil && (root.Ino != slash.Ino || root.Dev != slash.Dev)
}

func (p *program) openBelow(at, name string, flags uint64) (*os.File, error) {
	root, err := unix.Open(at, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the root of process %d: %w", p.pid, err)
	}
	defer unix.Close(root)
	var f *os.File
	err = p.asItself(func() error {
		f, err = p.openAt(root, name, flags)
		return err
	})
	if err != nil && f != nil {
		f.Close()
		f = nil
	}
	return f, err
}

// openAt opens a regular file, or a folder where the flags ask for one.
func (p *program) openAt(root int, name string, flags uint64) (*os.File, error) {
	// O_PATH first: opening a device or a FIFO can act. Only what has been seen
	// to be a regular file is opened for reading, through the descriptor.
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, p.absolute(name), &how)
	if err != nil {
		return nil, p.failed(name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, p.failed(name, err)
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && (flags&unix.O_DIRECTORY == 0 || kind != unix.S_IFDIR) {
		return nil, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/thread-self/fd/%d", fd), int(flags)|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, p.failed(name, err)
	}
	return f, nil
}

func (p *program) failed(name string, err error) error {
	if errors.Is(err, unix.EACCES) {
		err = errForbidden
	}
	return fmt.Errorf("opening %s of process %d: %w", name, p.pid, err)
}

// absolute gives the path below the process's root.
func (p *program) absolute(name string) string {
	if !path.IsAbs(name) {
		name = path.Join(p.cwd, name)
	}
	return path.Clean(name)
}

// mayRead holds the file's mode against the user that the process runs as.
// Access lists and capabilities besides root's are not looked at: the answer
// errs towards "no".
func (p *program) mayRead(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	p.changed = max(p.changed, st.Ctim.Sec)
	switch {
	case p.uid == 0,
		st.Uid == p.uid && st.Mode&0o400 != 0,
		st.Uid != p.uid && p.inGroup(st.Gid) && st.Mode&0o040 != 0,
		st.Uid != p.uid && !p.inGroup(st.Gid) && st.Mode&0o004 != 0:
		return nil
	}
	return errForbidden
}

func (p *program) inGroup(gid uint32) bool {
	for _, g := range p.gids {
		if g == gid {
			return true
		}
	}
	return false
}
