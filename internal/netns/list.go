package netns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// startedInPath is the namespace of the calling thread: outside of Handle.Do
// that is where natwarden was started. Not /proc/self, which speaks of the
// process's first thread: Do may have run on that one and left it elsewhere for good.
const startedInPath = "/proc/thread-self/ns/net"

// source is the name under which what could not be read is reported.
const source = "netns"

// Space is a network namespace that was found, held open until Close.
type Space struct {
	Label  string // "" is the one in which natwarden was started; else a name, a path, "pid:N" or "fd:PID/FD"
	UID    uint32 // owner of its user namespace; 0 of the initial one
	PID    int    // the smallest process in it, where that is how it was found; else 0
	ID     ID
	Handle Handle
}

// Close lets all the namespaces go.
func Close(spaces []Space) {
	for _, s := range spaces {
		s.Handle.Close()
	}
}

// OpenLabel opens the namespace that a Space's label names. The caller closes
// it, and does not ask for "" inside of Handle.Do.
func OpenLabel(label string) (Handle, error) {
	path, err := pathOf(label)
	if err != nil {
		return Handle{}, err
	}
	return Open(path)
}

// List finds and opens the namespaces of a scope, each once, in a fixed order:
// the one in which natwarden was started, named ones, those of processes by
// number, those that only a mount or an open descriptor keeps alive. What could not be opened is Blind. The caller closes the spaces, and
// does not call List inside of Handle.Do.
func List(ctx context.Context, scope Scope) ([]Space, []host.Blind) {
	l := lister{seen: map[ID]bool{}}
	l.begin(scope)
	for _, label := range scope.labels {
		l.add(label, 0)
	}
	if scope.all {
		for _, find := range finders() {
			if ctx.Err() != nil {
				l.missed("network namespaces", ctx.Err())
				break
			}
			find(ctx, &l)
		}
		l.explainHidden(ctx)
	}
	return l.spaces, l.blind
}

// A finder adds the namespaces of one kind to the list.
type finder func(context.Context, *lister)

func finders() []finder { return []finder{named, ofProcesses, mounted, described} }

type lister struct {
	home   ID // the one in which natwarden was started
	seen   map[ID]bool
	spaces []Space
	blind  []host.Blind
	hidden []int // processes whose namespace may not be read
	mounts *mounts
}

// begin learns where natwarden was started, so that the namespace keeps its
// empty label however the scope names it.
func (l *lister) begin(scope Scope) {
	h, err := Open(startedInPath)
	if err != nil {
		l.missed("the network namespace of this process", err)
		return
	}
	l.home, err = h.ID()
	if err != nil || !scope.all && !scope.current && len(scope.labels) > 0 {
		h.Close()
		if err != nil {
			l.missed("the network namespace of this process", err)
		}
		return
	}
	l.keep("", 0, h)
}

// add opens what a label names and keeps it if it is new.
func (l *lister) add(label string, pid int) {
	h, err := OpenLabel(label)
	if err != nil {
		l.missed("network namespace "+label, err)
		return
	}
	l.keep(label, pid, h)
}

func (l *lister) keep(label string, pid int, h Handle) {
	id, err := h.ID()
	if err != nil || l.seen[id] {
		h.Close()
		if err != nil {
			l.missed("network namespace "+label, err)
		}
		return
	}
	uid, err := h.owner()
	if err != nil {
		l.missed("the owner of network namespace "+label, err)
	}
	if id == l.home {
		label = ""
	}
	l.seen[id] = true
	l.spaces = append(l.spaces, Space{Label: label, UID: uid, PID: pid, ID: id, Handle: h})
}

func (l *lister) missed(what string, err error) {
	l.blind = append(l.blind, host.Blind{Source: source, What: what, Why: err.Error()})
}

// named adds the namespaces that ip-netns(8) has named, by name.
func named(_ context.Context, l *lister) {
	entries, err := os.ReadDir(namedDir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		l.missed("network namespaces named in "+namedDir, err)
	}
	for _, e := range entries {
		l.addNamed(e.Name())
	}
}

// addNamed opens one entry of the folder. A name whose namespace was never
// mounted, or is no more, leaves an empty file behind: no namespace.
func (l *lister) addNamed(name string) {
	h, err := Open(namedDir + "/" + name)
	switch {
	case err == nil:
		l.keep(name, 0, h)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTTY):
	default:
		l.missed("network namespace "+name, err)
	}
}

// owner is the uid that owns the user namespace of h, as seen from here
// (ioctl_nsfs(2)). EPERM is the kernel's answer for a user namespace that lies
// outside of the caller's own: its owner is above, which is 0 to us.
func (h Handle) owner() (uint32, error) {
	fd, err := unix.IoctlRetInt(h.Fd(), unix.NS_GET_USERNS)
	if errors.Is(err, unix.EPERM) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking for its user namespace: %w", err)
	}
	defer unix.Close(fd)
	uid, err := unix.IoctlGetUint32(fd, unix.NS_GET_OWNER_UID)
	if err != nil {
		return 0, fmt.Errorf("asking for the owner of its user namespace: %w", err)
	}
	return uid, nil
}
