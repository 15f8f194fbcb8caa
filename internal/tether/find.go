package tether

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/proc"
)

// Asked is what to look for.
type Asked struct {
	PID     int                 // the process whose caller counts; 0: natwarden itself
	Session string              // SSH_CONNECTION of its environment, "" for none
	Files   []string            // files that must stay readable: the policy, the state directory
	Labels  map[netns.ID]string // of the namespaces in the report
	// Caller and Remote are the guards that speak for the two kinds of lines.
	Caller, Remote string
}

// Most of the lines of one carrier or agent: who has more is judged by these.
const mostLines = 64

// Find gives the lines. What cannot be read is left out: the guards refuse
// more by what they know, and never less.
func Find(ctx context.Context, asked Asked) []host.Line {
	if asked.PID == 0 {
		asked.PID = os.Getpid()
	}
	f := &finder{asked: asked, describer: proc.NewDescriber(asked.Labels), spaces: map[string]bool{}, labels: map[string]string{}, seen: map[string]bool{}}
	f.read(ctx, "/proc/thread-self/ns/net")
	f.caller(ctx)
	f.agents(ctx)
	f.files()
	f.disks(sysfs)
	f.kernel(ctx)
	return f.lines
}

// finder gathers lines.
type finder struct {
	asked     Asked
	describer *proc.Describer
	sockets   []socket
	spaces    map[string]bool   // namespaces whose sockets were read
	labels    map[string]string // of each, its label in the report; absent: not in it
	lines     []host.Line
	seen      map[string]bool // by namespace and ends
}

// read adds the sockets of a namespace, once.
func (f *finder) read(ctx context.Context, path string) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return
	}
	id := netns.ID{Dev: uint64(st.Dev), Ino: st.Ino}
	key := fmt.Sprint(id)
	if f.spaces[key] {
		return
	}
	f.spaces[key] = true
	if label, ok := f.asked.Labels[id]; ok {
		f.labels[key] = label
	}
	h, err := netns.Open(path)
	if err != nil {
		return
	}
	defer h.Close()
	_ = h.Do(ctx, func(context.Context) error {
		found, err := readSockets()
		for _, s := range found {
			s.space = key
			f.sockets = append(f.sockets, s)
		}
		return err
	})
}

// heldBy are the sockets that a process holds, in whatever namespace they are.
func (f *finder) heldBy(ctx context.Context, pid int) []socket {
	f.read(ctx, fmt.Sprintf("/proc/%d/ns/net", pid))
	held := inodes(pid)
	var out []socket
	for _, s := range f.sockets {
		if held[s.inode] {
			out = append(out, s)
		}
	}
	return out
}

// accepted says whether a connection was taken by a listener of its namespace,
// or else opened from here.
func (f *finder) accepted(s *socket) bool {
	return slices.ContainsFunc(f.sockets, func(l socket) bool {
		return l.listens && l.space == s.space && l.proto == s.proto && l.here.Port() == s.here.Port()
	})
}

// add keeps the line of a socket, once; processes hold it or stand above it.
func (f *finder) add(guard, words string, s socket, dialed bool, pids ...int) {
	key := fmt.Sprint(s.space, s.proto, s.here, s.there)
	if f.seen[key] {
		return
	}
	f.seen[key] = true
	label, placed := f.labels[s.space]
	line := host.Line{Guard: guard, Words: words, Proto: s.proto, Here: s.here, Dialed: dialed, Netns: label, Placed: placed, Inode: s.inode, Processes: f.describe(pids)}
	if s.connected() {
		line.There = s.there
	}
	f.lines = append(f.lines, line)
}

func (f *finder) describe(pids []int) []host.Process {
	var out []host.Process
	for _, pid := range pids {
		if p, err := f.describer.Describe(context.Background(), pid); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// ends writes the ends of a connection, the one who opened it first.
func ends(s *socket, dialed bool) string {
	switch {
	case !s.connected():
		return "at " + s.proto + " " + s.here.String()
	case dialed:
		return fmt.Sprintf("from %s to %s", s.here, s.there)
	}
	return fmt.Sprintf("from %s to %s", s.there, s.here)
}
