package relay

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// busy is what processes are connected to at the moment.
type busy struct {
	byPID     map[int][]connection
	kin       kinship
	listening map[uint16]bool // ports with a listener: connections of them were accepted
}

// connections reads the TCP connections of the namespace and who holds them.
func (f *finder) connections(ctx context.Context) (*busy, error) {
	b := &busy{byPID: map[int][]connection{}, listening: map[uint16]bool{}}
	for i := range f.space.Listeners {
		b.listening[f.space.Listeners[i].Port] = true
	}
	if len(f.space.Listeners) == 0 {
		return b, nil
	}
	all, err := readConnections(ctx)
	if err != nil {
		return nil, err
	}
	wanted := make(map[uint64]bool, len(all))
	for _, c := range all {
		wanted[c.inode] = true
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
	if len(all) > 0 {
		b.kin = readKinship(f.space.Listeners, slices.Collect(maps.Keys(b.byPID)))
	}
	return b, nil
}

// hops finds where a process passes on what it accepts on the listener: a
// connection of its own, or of a child, with the same byte counts as an accepted
// one; or that of a process to which its input and output are piped.
func (b *busy) hops(l *host.Listener, p *host.Process) []hop {
	if out := b.piped(p.PID); len(out) > 0 {
		return out
	}
	if l.Proto != "tcp" && l.Proto != "mptcp" {
		return nil
	}
	family := append([]int{p.PID}, b.kin.children[p.PID]...)
	var accepted, opened []connection
	for _, pid := range family {
		for _, c := range b.byPID[pid] {
			switch {
			case c.local.Port() == l.Port:
				accepted = append(accepted, c)
			case !b.listening[c.local.Port()]:
				opened = append(opened, c)
			}
		}
	}
	var out []hop
	for _, o := range opened {
		if c, ok := counterpart(o, accepted); ok {
			out = append(out, hop{kind: "forwarder", to: []destination{{target: host.AddrTarget(o.remote.Addr(), o.remote.Port())}},
				how: fmt.Sprintf("holds a connection from %s and one to %s with the same byte counts", c.remote, o.remote)})
		}
	}
	return out
}

// counterpart finds the accepted connection whose bytes went out on o. The
// kernel counts the SYN as one acknowledged byte, so that counts differ by one.
func counterpart(o connection, accepted []connection) (connection, bool) {
	for _, a := range accepted {
		if o.inode != a.inode && close1(a.received, o.acked) && close1(a.acked, o.received) && a.received+a.acked > 2 {
			return a, true
		}
	}
	return connection{}, false
}

func close1(a, b uint64) bool { return a == b || a+1 == b || b+1 == a }

// piped finds the connections of processes that a process is joined to by
// pipes: netcat between two FIFOs.
func (b *busy) piped(pid int) []hop {
	var out []hop
	for _, peer := range b.kin.pipes[pid] {
		for _, c := range b.byPID[peer] {
			if !b.listening[c.local.Port()] {
				out = append(out, hop{kind: "forwarder", to: []destination{{target: host.AddrTarget(c.remote.Addr(), c.remote.Port())}},
					how: fmt.Sprintf("its output is piped to process %d, which is connected to %s", peer, c.remote)})
			}
		}
	}
	return out
}

// farEnds are the machines that a process is connected to by connections of
// its own.
func (b *busy) farEnds(pid int) []destination {
	var out []destination
	for _, c := range b.byPID[pid] {
		if !b.listening[c.local.Port()] {
			out = append(out, destination{target: host.AddrTarget(c.remote.Addr(), c.remote.Port())})
		}
	}
	return out
}
