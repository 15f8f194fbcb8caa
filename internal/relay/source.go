package relay

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// Source finds relays among the listeners of a space, for the audit.
type Source struct{}

// Name is the source's name in the report.
func (Source) Name() string { return "relays" }

// Group is the source's name for --sources.
func (Source) Group() string { return "relays" }

// Follows says that the listeners are read first.
func (Source) Follows() {}

// Read looks at the processes behind every listener of the space.
func (Source) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	f := finder{space: into, programs: map[int]*program{}, hops: map[int]found{}}
	reading := host.Reading{State: host.Read, Objects: len(into.Listeners)}
	busy, err := f.connections(ctx)
	if err != nil {
		return reading, fmt.Errorf("reading connections: %w", err)
	}
	for i := range into.Listeners {
		if err := ctx.Err(); err != nil {
			return reading, fmt.Errorf("looking for relays: %w", err)
		}
		f.listener(&into.Listeners[i], busy)
	}
	into.AddRedirects(f.rows...)
	reading.Blind = f.blind
	return reading, nil
}

type finder struct {
	space    *host.Space
	programs map[int]*program
	hops     map[int]found // by process: what its reader said
	rows     []host.Redirect
	blind    []host.Blind
}

// found is what a known program's reader said, once.
type found struct {
	known bool
	hops  []hop
	err   error
}

// listener makes the rows of one listener: one for each destination set that
// one of its processes leads to.
func (f *finder) listener(l *host.Listener, busy *busy) {
	var seen []string
	for i := range l.Processes {
		p := &l.Processes[i]
		for _, h := range f.ways(l, p, busy) {
			key := fmt.Sprint(h.to, h.open)
			if !slices.Contains(seen, key) {
				seen = append(seen, key)
				f.rows = append(f.rows, f.row(l, p, h))
			}
		}
	}
}

// ways gives the hops of a process that start at the listener: of its
// configuration, and of its connections where that says nothing.
func (f *finder) ways(l *host.Listener, p *host.Process, busy *busy) []hop {
	k := f.known(p)
	var out []hop
	for _, h := range k.hops {
		if fits(h, l) {
			out = append(out, f.farEnd(h, p, busy))
		}
	}
	if k.known && k.err != nil && (len(k.hops) == 0 || len(out) > 0) {
		f.blind = append(f.blind, host.Blind{Source: "relays", What: fmt.Sprintf("%s (pid %d) on %s port %d", p.Name, p.PID, l.Proto, l.Port), Why: k.err.Error()})
	}
	if len(out) > 0 {
		return out
	}
	return busy.hops(l, p)
}

func fits(h hop, l *host.Listener) bool {
	return (h.proto == "" || h.proto == l.Proto) && (h.port == 0 || h.port == l.Port)
}

// farEnd fills the destination of a tunnel from its connection to the server.
func (f *finder) farEnd(h hop, p *host.Process, busy *busy) hop {
	if h.kind == "tunnel" && len(h.to) == 0 {
		h.to = busy.farEnds(p.PID)
	}
	return h
}

// known reads what a process is, once.
func (f *finder) known(h *host.Process) found {
	if k, ok := f.hops[h.PID]; ok {
		return k
	}
	var k found
	if p, err := readProgram(h); err == nil {
		if read := known(p.name); read != nil {
			k.known = true
			k.hops, k.err = read(p)
		}
	}
	f.hops[h.PID] = k
	return k
}

// row writes a hop as a row of the report.
func (f *finder) row(l *host.Listener, p *host.Process, h hop) host.Redirect {
	process := *p
	r := host.Redirect{Mechanism: "relay", Kind: h.kind, State: host.Active, Direction: "inbound", Proto: l.Proto,
		Ports: strconv.Itoa(int(l.Port)), Conditions: []string{}, To: []string{}, Process: &process, Family: family(l),
		Why:      []string{fmt.Sprintf("%s (pid %d) accepts and passes on", p.Name, p.PID)},
		Evidence: []string{}, Content: p.Exe + "\x00" + p.Unit + "\x00" + p.Container,
		Match: &host.Match{Family: family(l), Protos: protos(l.Proto), Ports: host.PortsOf(l.Port, l.Port)}}
	if h.how != "" {
		r.Evidence = append(r.Evidence, h.how)
	}
	if h.file != "" {
		r.File = &host.FileRef{Path: h.file}
	}
	f.destinations(&r, h)
	if a, err := netip.ParseAddr(l.Address); err == nil && !a.IsUnspecified() {
		r.Address, r.Match.Address = a.Unmap().String(), host.AddrRange(a.Unmap(), a.Unmap())
		r.Info = r.Info || a.IsLoopback()
	}
	if life, err := proc.LifeOf(p.PID); err == nil {
		r.Ref = &host.Ref{Backend: "process", Handle: uint64(p.PID), Text: fmt.Sprintf("%s (pid %d)", p.Name, p.PID), Fingerprint: life.Fingerprint()}
	}
	r.Advice = advice(p)
	return r
}

// destinations fills where it leads. A relay to this host itself answers for
// nobody else: information.
func (f *finder) destinations(r *host.Redirect, h hop) {
	outside := h.open || len(h.to) == 0
	for _, d := range h.to {
		r.To = append(r.To, d.String())
		if d.name == "" {
			r.Targets = append(r.Targets, d.target)
		}
		outside = outside || d.outside(f.own)
	}
	slices.Sort(r.To)
	r.To = slices.Compact(r.To)
	if len(r.Targets) != len(h.to) {
		r.Targets = nil // a name is in no set of addresses
	}
	if len(h.to) == 0 && !h.open {
		r.State, r.Why = host.Unknown, append(r.Why, "where to could not be found out")
	}
	if h.open {
		r.Evidence = append(r.Evidence, "it leads wherever its client asks")
	}
	if h.fed {
		r.Evidence = append(r.Evidence, "it answers only what a REDIRECT hands to it: see the rule that does")
	}
	r.Info = !outside || h.fed
}

func (f *finder) own(a netip.Addr) bool { return slices.Contains(f.space.Addrs, a.String()) }

func advice(p *host.Process) string {
	switch {
	case p.Unit != "":
		return "systemctl stop " + p.Unit + ", and disable it"
	case p.Container != "":
		return "stop its container: " + p.Container
	}
	return fmt.Sprintf("end process %d (%s), and what starts it", p.PID, cmp.Or(p.Exe, p.Name))
}

func family(l *host.Listener) host.Family {
	a, err := netip.ParseAddr(l.Address)
	switch {
	case err != nil:
		return host.Both
	case a.Unmap().Is4():
		return host.IP
	case l.DualStack:
		return host.Both
	}
	return host.IP6
}

func protos(name string) host.Protos {
	if name == "mptcp" {
		name = "tcp"
	}
	p, err := host.ParseProtos(name)
	if err != nil {
		return host.Nothing[host.Proto]()
	}
	return p
}
