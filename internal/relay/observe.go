package relay

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

const (
	// observeEvery is how often connections are looked at; shorter ones may be missed.
	observeEvery = 250 * time.Millisecond
	// fewestAccepts is how many connections must come before "one on each" says something.
	fewestAccepts = 2
	// mostWatched bounds the connections that are remembered.
	mostWatched = 200_000
)

// watch looks at connections again and again: pairs with the same byte counts
// that live only for a moment, and processes that open a connection whenever
// they accept one. Namespaces of unprivileged users, whose time is short, and
// those that nothing reaches are not watched.
func (f *finder) watch(ctx context.Context, d time.Duration) error {
	if len(f.space.Listeners) == 0 || f.space.NetnsUID != 0 || f.space.Unreached != "" {
		return nil
	}
	w := watching{finder: f, seen: map[uint64]bool{}, came: map[watchKey]int{}, went: map[watchKey]map[netip.AddrPort]int{}}
	u := newWatchingUDP(ctx, f)
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for until := time.Now().Add(d); ; {
		if err := w.sample(ctx); err != nil {
			return fmt.Errorf("watching connections: %w", err)
		}
		if err := u.sample(ctx); err != nil {
			return fmt.Errorf("watching UDP sockets: %w", err)
		}
		if !time.Now().Before(until) || len(w.seen) > mostWatched {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("watching connections: %w", ctx.Err())
		case <-tick.C:
		}
	}
	w.conclude()
	u.conclude(ctx)
	return nil
}

// watchKey is a process at one of its ports.
type watchKey struct {
	pid  int
	port uint16
}

// watching is what was seen so far.
type watching struct {
	*finder
	begun bool
	seen  map[uint64]bool // inodes of connections
	came  map[watchKey]int
	went  map[watchKey]map[netip.AddrPort]int
}

// sample looks once. What was there at the first look is only remembered.
func (w *watching) sample(ctx context.Context) error {
	b, err := w.connections(ctx)
	if err != nil {
		return err
	}
	fresh := map[uint64]bool{}
	for _, list := range b.byPID {
		for _, c := range list {
			if !w.seen[c.inode] {
				w.seen[c.inode], fresh[c.inode] = true, true
			}
		}
	}
	for i := range w.space.Listeners {
		l := &w.space.Listeners[i]
		for j := range l.Processes {
			w.look(l, &l.Processes[j], b, fresh)
		}
	}
	w.begun = true
	return nil
}

// look notes what is new of one process at one port.
func (w *watching) look(l *host.Listener, p *host.Process, b *busy, fresh map[uint64]bool) {
	if l.Proto != "tcp" && l.Proto != "mptcp" || len(b.kin.acceptors[l.Port]) == 0 || isSSHD(p) || w.leads(l, p) {
		return
	}
	for _, h := range b.hops(l, p) {
		w.add(row{listener: l, process: p, hop: h})
	}
	if !w.begun || l.Proto == "mptcp" { // its first subflow is listed as well
		return
	}
	key := watchKey{p.PID, l.Port}
	counted := map[uint64]bool{} // several processes may hold one
	for _, pid := range b.family(p.PID, l.Port) {
		for _, c := range b.byPID[pid] {
			switch {
			case !fresh[c.inode] || counted[c.inode]:
			case c.local.Port() == l.Port:
				w.came[key]++
			case !b.listening[c.local.Port()]:
				if w.went[key] == nil {
					w.went[key] = map[netip.AddrPort]int{}
				}
				w.went[key][c.remote]++
			}
			counted[c.inode] = true
		}
	}
}

// leads says whether it is known already that the process leads elsewhere.
func (w *watching) leads(l *host.Listener, p *host.Process) bool {
	return slices.ContainsFunc(w.rows, func(r row) bool {
		return r.listener == l && r.process == p && !w.stays([]hop{r.hop})
	})
}

// conclude makes rows of those that opened a connection to the same place
// whenever they accepted one.
func (w *watching) conclude() {
	for i := range w.space.Listeners {
		l := &w.space.Listeners[i]
		for j := range l.Processes {
			p := &l.Processes[j]
			key := watchKey{p.PID, l.Port}
			came := w.came[key]
			if came < fewestAccepts || w.leads(l, p) || l.Proto == "mptcp" {
				continue
			}
			for remote, went := range w.went[key] {
				if went >= came {
					w.add(row{listener: l, process: p, hop: hop{kind: "forwarder", to: []destination{to(remote)}, unsure: true,
						how: fmt.Sprintf("opened %d connections to %s while it accepted %d", went, remote, came)}})
				}
			}
		}
	}
}
