package relay

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/natwarden/natwarden/internal/flow"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// watchingUDP looks for relays by UDP among programs that are not known. The
// kernel counts no bytes of UDP sockets, so that what is held at one moment proves
// nothing: resolvers and time servers have sockets elsewhere as well. What
// is evidence is that, while it is watched, each client that comes makes the process
// open a way to one and the same place. Clients show in two ways: as
// sockets connected to them at the listening port, which servers that fork for each
// client make, and as flows of conntrack. A relay that sends the packets of all its
// clients through one socket shows in neither.
type watchingUDP struct {
	*finder
	begun  bool
	seen   map[uint64]bool // inodes of sockets
	came   map[watchKey]int
	went   map[watchKey]map[netip.AddrPort]int
	ports  map[watchKey]map[uint16]bool // local ports of the sockets that lead elsewhere
	before map[flow.Tuple]bool          // flows that were there; nil where flows are not seen
}

func newWatchingUDP(ctx context.Context, f *finder) *watchingUDP {
	w := &watchingUDP{finder: f, seen: map[uint64]bool{}, came: map[watchKey]int{}, went: map[watchKey]map[netip.AddrPort]int{}, ports: map[watchKey]map[uint16]bool{}}
	if !slices.ContainsFunc(f.space.Listeners, watchedUDP) {
		return w
	}
	if flows, listed, err := flow.List(ctx, isUDP); err == nil && listed {
		w.before = map[flow.Tuple]bool{}
		for _, f := range flows {
			w.before[f.Orig] = true
		}
	}
	return w
}

func isUDP(f *flow.Flow) bool { return f.Orig.Proto == host.UDP }

// watchedUDP says whether a listener may be that of a relay by UDP.
func watchedUDP(l host.Listener) bool {
	return l.Proto == "udp" && !onLoopback(&l) && slices.ContainsFunc(l.Processes, func(p host.Process) bool { return !answersItself(&p) })
}

// answersItself knows the programs that ask others in their own name, by the
// host's own file: a name alone proves nothing.
func answersItself(p *host.Process) bool {
	return p.HostExe && slices.Contains([]string{"chronyd", "ntpd", "ntp-daemon", "openntpd", "systemd-timesyncd", "unbound", "named", "dnsmasq", "systemd-resolved", "kresd",
		"pdns_recursor", "avahi-daemon", "dhclient", "dhcpcd", "systemd-networkd", "NetworkManager", "snmpd", "rpcbind", "rpc.statd", "systemd", "charon", "tailscaled"}, programName(p.Exe))
}

// sample looks once. What was there at the first look is only remembered.
func (w *watchingUDP) sample(ctx context.Context) error {
	if !slices.ContainsFunc(w.space.Listeners, watchedUDP) || len(w.seen) > mostWatched {
		return nil
	}
	all, err := readUDP()
	if err != nil {
		return err
	}
	wanted := make(map[uint64]bool, len(all))
	for _, c := range all {
		wanted[c.inode] = true
	}
	held, err := proc.Holders(ctx, wanted)
	if err != nil {
		return err
	}
	listening := map[uint64]bool{}
	for i := range w.space.Listeners {
		listening[w.space.Listeners[i].Inode] = true
	}
	for _, c := range all {
		if !listening[c.inode] || c.remote.Port() != 0 {
			w.look(c, held.PIDs[c.inode])
		}
		w.seen[c.inode] = true
	}
	w.begun = true
	return nil
}

// look notes a socket of one of the listening processes, or of its descendants.
func (w *watchingUDP) look(c connection, holders []int) {
	fresh := w.begun && !w.seen[c.inode]
	for i := range w.space.Listeners {
		l := &w.space.Listeners[i]
		for j := range l.Processes {
			p := &l.Processes[j]
			if !watchedUDP(*l) || answersItself(p) || !slices.ContainsFunc(holders, func(pid int) bool { return descends(pid, p.PID) }) {
				continue
			}
			key := watchKey{p.PID, l.Port}
			switch {
			case c.local.Port() == l.Port && c.remote.Port() != 0:
				if fresh {
					w.came[key]++
				}
			case c.local.Port() != l.Port:
				w.leadsElsewhere(key, c, fresh)
			}
		}
	}
}

func (w *watchingUDP) leadsElsewhere(key watchKey, c connection, fresh bool) {
	if w.ports[key] == nil {
		w.ports[key], w.went[key] = map[uint16]bool{}, map[netip.AddrPort]int{}
	}
	w.ports[key][c.local.Port()] = true
	if fresh && c.remote.Port() != 0 {
		w.went[key][c.remote]++
	}
}

// descends says whether a process is another one or comes from it.
func descends(pid, from int) bool {
	for range deepestFamily {
		if pid == from {
			return true
		}
		if pid = parentOf(pid); pid <= 1 {
			return false
		}
	}
	return false
}

// conclude makes rows of those that opened a way to the same place for each
// client that came. Of flows the clients are counted a moment before the ways: the
// last one's may not be there yet.
func (w *watchingUDP) conclude(ctx context.Context) {
	var clients, ways []flow.Flow
	if w.before != nil {
		fresh := func(f *flow.Flow) bool { return isUDP(f) && !w.before[f.Orig] }
		clients, _, _ = flow.List(ctx, fresh)
		select {
		case <-time.After(observeEvery):
		case <-ctx.Done():
		}
		ways, _, _ = flow.List(ctx, fresh)
	}
	for i := range w.space.Listeners {
		l := &w.space.Listeners[i]
		for j := range l.Processes {
			key := watchKey{l.Processes[j].PID, l.Port}
			w.judge(l, &l.Processes[j], w.came[key], w.went[key], "sockets connected")
			came, _ := w.tracked(l, key, clients)
			_, went := w.tracked(l, key, ways)
			w.judge(l, &l.Processes[j], came, went, "flows")
		}
	}
}

// tracked counts the clients whose flows came to a port, and where the flows of
// the process's other sockets lead.
func (w *watchingUDP) tracked(l *host.Listener, key watchKey, flows []flow.Flow) (clients int, ways map[netip.AddrPort]int) {
	ways = map[netip.AddrPort]int{}
	for _, f := range flows {
		switch {
		case f.Reply.SrcPort == l.Port && w.own(f.Reply.Src):
			clients++
		case w.own(f.Orig.Src) && w.ports[key][f.Orig.SrcPort]:
			ways[netip.AddrPortFrom(f.Orig.Dst, f.Orig.DstPort)]++
		}
	}
	return clients, ways
}

// dnsPort is where names are looked up: a server that wants to know each
// client's name (rsyslogd) asks there once for each, and passes nothing on.
const dnsPort = 53

func (w *watchingUDP) judge(l *host.Listener, p *host.Process, came int, went map[netip.AddrPort]int, what string) {
	known := slices.ContainsFunc(w.rows, func(r row) bool { return r.listener == l && r.process == p })
	if came < fewestAccepts || known || !watchedUDP(*l) || answersItself(p) {
		return
	}
	for _, remote := range slices.SortedFunc(maps.Keys(went), netip.AddrPort.Compare) {
		if went[remote] >= came && (remote.Port() != dnsPort || l.Port == dnsPort) {
			w.add(row{listener: l, process: p, hop: hop{kind: "forwarder", to: []destination{to(remote)}, unsure: true,
				how: fmt.Sprintf("opened %d %s to %s while %d clients came", went[remote], what, remote, came)}})
		}
	}
}
