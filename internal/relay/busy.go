package relay

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// busy is what processes are connected to at the moment.
type busy struct {
	byPID     map[int][]connection
	kin       kinship
	listening map[uint16]bool  // ports with a listener: connections of them were accepted
	holders   map[uint16][]int // of each port, the processes that listen
}

// connections reads the TCP connections of the processes that listen here, and
// who holds them.
func (f *finder) connections(ctx context.Context) (*busy, error) {
	b := &busy{byPID: map[int][]connection{}, listening: map[uint16]bool{}, holders: map[uint16][]int{}}
	for i := range f.space.Listeners {
		l := &f.space.Listeners[i]
		b.listening[l.Port] = true
		for j := range l.Processes {
			b.holders[l.Port] = append(b.holders[l.Port], l.Processes[j].PID)
		}
	}
	if len(f.space.Listeners) == 0 {
		return b, nil
	}
	all, err := readConnections(ctx)
	if err != nil {
		return nil, err
	}
	elsewhere, err := connectionsElsewhere(ctx, f.space.Listeners)
	if err != nil {
		return nil, err
	}
	all = append(all, elsewhere...)
	var local []unixSocket
	if len(all) > 0 {
		local = readUnixPeers(ctx)
	}
	wanted := make(map[uint64]bool, len(all)+len(local))
	for _, c := range all {
		wanted[c.inode] = true
	}
	for _, u := range local {
		wanted[u.inode] = true
	}
	held, err := proc.Holders(ctx, wanted)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		for _, pid := range held.PIDs[c.inode] {
			b.byPID[pid] = append(b.byPID[pid], c)
		}
	}
	b.kin = readKinship(f.space.Listeners, b.acceptors(), slices.Sorted(maps.Keys(b.byPID)))
	b.kin.neighbours = neighbours(local, held.PIDs)
	return b, nil
}

// acceptors are the processes that hold connections of listening ports: those
// that a super server, or a message of descriptors, has given one.
func (b *busy) acceptors() map[uint16][]int {
	out := map[uint16][]int{}
	for pid, list := range b.byPID {
		for _, c := range list {
			if port := c.local.Port(); b.listening[port] && !slices.Contains(out[port], pid) {
				out[port] = append(out[port], pid)
			}
		}
	}
	return out
}

// hops finds where a process passes on what it accepts on the listener: a
// connection of its own, of a child, or of a process that it is joined to, with
// the same byte counts as an accepted one; or that of a netcat or ssh to which its
// input and output are piped.
func (b *busy) hops(l *host.Listener, p *host.Process) []hop {
	if out := b.piped(p.PID); len(out) > 0 {
		return out
	}
	if l.Proto != "tcp" && l.Proto != "mptcp" || len(b.kin.acceptors[l.Port]) == 0 {
		return nil
	}
	accepted, opened := b.sides(l, p)
	if len(accepted) == 0 {
		return nil
	}
	var out []hop
	for _, o := range opened {
		if c, ok := counterpart(o, accepted); ok {
			out = append(out, hop{kind: "forwarder", to: []destination{b.farSide(o)},
				how: fmt.Sprintf("holds a connection from %s and one with %s with the same byte counts", c.remote, o.remote)})
		}
	}
	return out
}

// sides are the connections of a process and its family: those of the
// listener, and the others; not the far ends of the former, where it is its own client.
func (b *busy) sides(l *host.Listener, p *host.Process) (accepted, opened []connection) {
	for _, pid := range b.family(p.PID, l.Port) {
		for _, c := range b.byPID[pid] {
			if c.local.Port() == l.Port {
				accepted = append(accepted, c)
			} else {
				opened = append(opened, c)
			}
		}
	}
	opened = slices.DeleteFunc(opened, func(o connection) bool {
		return slices.ContainsFunc(accepted, func(a connection) bool { return o.local == a.remote && o.remote == a.local })
	})
	return accepted, opened
}

// uncounted is an error where a process holds accepted connections and others,
// and only byte counts could tell whether it passes on.
func (b *busy) uncounted(l *host.Listener, p *host.Process) error {
	if l.Proto != "tcp" && l.Proto != "mptcp" || len(b.kin.acceptors[l.Port]) == 0 {
		return nil
	}
	accepted, opened := b.sides(l, p)
	for _, o := range opened {
		if o.uncounted && len(accepted) > 0 {
			return fmt.Errorf("it holds a connection from %s and one with %s, and whether it passes on could only be told by their byte counts, for which the kernel would load tcp_diag: "+
				"`modprobe tcp_diag` (as ss does), and look again", accepted[0].remote, o.remote)
		}
	}
	return nil
}

// farSide is where the other connection leads. One that was itself accepted
// comes from the answerer, whose port there means nothing.
func (b *busy) farSide(o connection) destination {
	if b.listening[o.local.Port()] {
		return to(netip.AddrPortFrom(o.remote.Addr(), 0))
	}
	return to(o.remote)
}

// family are the processes that act together with the one that listens: its
// descendants, those that hold what came to its port, and those at the other
// end of its unix sockets and pipes.
func (b *busy) family(pid int, port uint16) []int {
	out := []int{pid}
	add := func(pids []int) {
		for _, p := range pids {
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	add(b.kin.children[pid])
	for _, q := range b.kin.acceptors[port] {
		if !b.anothers(q, pid, port) {
			add([]int{q})
		}
	}
	add(b.kin.pipes[pid])
	for _, p := range slices.Clone(out) {
		add(b.kin.children[p])
		add(b.kin.neighbours[p])
	}
	return out
}

// anothers says whether a process belongs to another one that listens on the
// port: SO_REUSEPORT lets several do so, and each answers for itself.
func (b *busy) anothers(q, pid int, port uint16) bool {
	return slices.ContainsFunc(b.holders[port], func(h int) bool {
		return h != pid && (h == q || slices.Contains(b.kin.children[h], q))
	})
}

// counterpart finds the accepted connection whose bytes went out on o.
func counterpart(o connection, accepted []connection) (connection, bool) {
	for _, a := range accepted {
		if o.inode != a.inode && alike(a.received, o.acked) && alike(a.acked, o.received) && a.received+a.acked > 2 {
			return a, true
		}
	}
	return connection{}, false
}

const (
	largeCount = 64 << 10 // bytes from which on what is under way may differ
	underWay   = 16       // at most this part of them
)

// alike compares what came in on one side with what went out on the other. The
// kernel counts SYN and FIN as a byte each; of large streams a part is always
// under way.
func alike(a, b uint64) bool {
	less, more := min(a, b), max(a, b)
	return more-less <= 1 || less > largeCount && more-less <= less/underWay
}

// piped finds where the program leads to which a process is joined by pipes in
// both directions: netcat between two FIFOs. A program that is not known to
// connect its input is judged by its byte counts instead.
func (b *busy) piped(pid int) []hop {
	var out []hop
	for _, peer := range b.kin.pipes[pid] {
		w, ok := commandOf(peer)
		if !ok {
			continue
		}
		ends := b.farEnds(peer)
		if len(ends) == 0 {
			ends = []destination{w.to}
		}
		out = append(out, hop{kind: w.kind, to: ends, how: fmt.Sprintf("its input and output are piped to process %d, which is connected to %s", peer, ends[0])})
	}
	return out
}

// commandOf says where a running program of the connecting kind leads.
func commandOf(pid int) (way, bool) {
	p, err := readProgram(&host.Process{PID: pid, Exe: exeOf(pid)})
	if err != nil || len(p.args) == 0 {
		return way{}, false
	}
	words := slices.Clone(p.args)
	if p.name != "busybox" {
		words[0] = p.name // what it is, whatever it calls itself
	}
	return connector(words, 0)
}

// farEnds are the machines that a process is connected to by connections of
// its own.
func (b *busy) farEnds(pid int) []destination {
	var out []destination
	for _, c := range b.byPID[pid] {
		if !b.listening[c.local.Port()] {
			out = append(out, to(c.remote))
		}
	}
	return out
}
