package tether

import (
	"context"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

func hostLine(guard, words string, processes []host.Process) host.Line {
	return host.Line{Guard: guard, Words: words, Placed: true, Processes: processes}
}

// deepestCarrier bounds how many programs a session comes through, one behind
// another.
const deepestCarrier = 4

// carried follows a session to the program of this host at its other end, if
// there is one (sslh, haproxy, the client of a reverse tunnel): that program's own
// connections from outside carry it, and its end would be the session's.
func (f *finder) carried(ctx context.Context, s *socket, depth int) {
	i := slices.IndexFunc(f.sockets, func(o socket) bool {
		return o.inode != 0 && o.proto == s.proto && o.here == s.there && o.there == s.here
	})
	if i < 0 || depth >= deepestCarrier {
		return
	}
	other := f.sockets[i]
	held, err := proc.Holders(ctx, map[uint64]bool{other.inode: true})
	if err != nil {
		return
	}
	for _, pid := range held.PIDs[other.inode] {
		name := first(names(pid))
		f.lines = append(f.lines, hostLine(f.asked.Caller, fmt.Sprintf("your session through %s (pid %d)", name, pid), f.describe([]int{pid})))
		f.ofCarrier(ctx, pid, name, &other, depth)
	}
}

// ofCarrier adds the connections of a program that a session comes through:
// those that it accepted, or else those that it opened, as a tunnel does.
func (f *finder) ofCarrier(ctx context.Context, pid int, name string, inner *socket, depth int) {
	var in, out []socket
	for _, s := range f.heldBy(ctx, pid) {
		switch {
		case !s.connected() || s.listens || s.inode == inner.inode:
		case f.accepted(&s):
			in = append(in, s)
		default:
			out = append(out, s)
		}
	}
	dialed := len(in) == 0
	if dialed {
		in = out
	}
	for _, s := range in[:min(len(in), mostLines)] {
		f.add(f.asked.Caller, fmt.Sprintf("the connection %s of %s (pid %d), through which your session may come,", ends(&s, dialed), name, pid), s, dialed, pid)
		f.carried(ctx, &s, depth+1)
	}
}
