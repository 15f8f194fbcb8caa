package path

import (
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// Way is one way in which the packets of a cell can end.
type Way struct {
	Outcome
	// Taken are the redirects that acted on it, in order.
	Taken []*host.Effect
	last  tuple
}

// noRedirect ends what is not followed further.
const noRedirect = "no redirect takes it"

// Passed says whether no redirect took the packets, where only that was asked.
func (w *Way) Passed() bool { return w.Kind == Unknown && w.Reason == noRedirect && len(w.Taken) == 0 }

// Cell is packets that take the same way.
type Cell struct {
	Class
	Packet Packet // one of them
	Ways   []Way
	// Acted are the redirects that act on one of the ways.
	Acted []*host.Effect
	// Usual is true where the kernel takes packets with the source of Packet on its
	// interface: of others it takes none.
	Usual bool
	// Events is true where something decided that changes without an editor's hand.
	Events bool
}

// Asked says what is asked of a class.
type Asked struct {
	// Brief: only which redirects take the packets; what no redirect takes ends
	// where it is routed.
	Brief bool
	// Loose: any packet of a flow is meant, and not its first one alone. What tells
	// them apart is open then.
	Loose bool
}

// Explorer follows classes of packets; it is for one goroutine.
type Explorer struct {
	*Engine
	known map[host.RouteQuery]host.Route
	taken map[origin4]bool
	// Tests is what the work so far cost, in matches held against packets: about a
	// tenth of a microsecond each.
	Tests int

	// Used again for each walk.
	room room
	ends []ending
	walk walker
	cell cell
	todo []Class
	out  Cell
	hops int
}

type origin4 struct {
	from netip.Addr
	in   string
}

// What things cost beside a test, in tests (measured): following a packet at all,
// asking the kernel for a route, and a range of a set from which others are taken.
const (
	perPacket = 40
	perRoute  = 100
	perRange  = 4
)

// Explorer makes one, of an Engine that NewExplorer made.
func (e *Engine) Explorer() *Explorer {
	return &Explorer{Engine: e, known: map[host.RouteQuery]host.Route{}, taken: map[origin4]bool{}}
}

// Explore parts a class into cells and calls for each of them, at most n times
// and until call returns false. It gives what was not looked at.
func (x *Explorer) Explore(c Class, a Asked, n int, call func(*Cell) bool) []Class {
	if c.Empty() {
		return nil
	}
	todo := append(x.todo[:0], c)
	for ; len(todo) > 0 && n > 0; n-- {
		next := todo[len(todo)-1]
		x.Tests += perRange * (len(next.From) + len(next.To) + len(next.Ports) + len(next.SPorts))
		x.out = x.One(next, a)
		todo = append(todo[:len(todo)-1], next.Without(&x.out.Class)...)
		if !call(&x.out) {
			break
		}
	}
	x.todo = todo
	return slices.Clone(todo)
}

// One follows one packet of the class, and all that take its way.
func (x *Explorer) One(c Class, a Asked) Cell { return x.from(c, a, x.choose(&c)) }

// from follows a packet of the class.
func (x *Explorer) from(c Class, a Asked, p Packet) Cell {
	k := &x.walk
	*k = walker{Engine: x.Engine, packet: p, view: x.viewOf(&p), crossings: &x.hops, room: &x.room, lists: k.lists,
		outcomes: x.ends[:0], known: x.known, usual: x.Takes(&p), cell: &x.cell}
	x.room.empty()
	x.cell = cell{in: c.In, at: c.In.first(), brief: a.Brief, loose: a.Loose}
	k.cell.to.set, k.cell.from.set, k.cell.ports.set, k.cell.sports.set = c.To, c.From, c.Ports, c.SPorts
	if c.Own {
		k.cell.in, k.cell.at = 0, 0
	}
	k.follow()
	x.Tests += perPacket + k.tests + perRange*(len(x.cell.from.out)+len(x.cell.to.out)+len(x.cell.ports.out)+len(x.cell.sports.out))
	out := Cell{Class: k.cell.class(&p), Packet: p, Usual: k.usual, Acted: k.cell.acted, Events: k.cell.events}
	out.Ways = make([]Way, 0, len(k.outcomes))
	for i := range k.outcomes {
		out.add(&k.outcomes[i])
	}
	x.ends = k.outcomes
	return out
}

func (c *Cell) add(e *ending) {
	w := Way{Outcome: e.Outcome, last: e.last}
	for t := e.took; t != nil; t = t.prev {
		w.Taken = append(w.Taken, t.effect)
	}
	slices.Reverse(w.Taken)
	w.Condition = e.guesses.condition()
	w.Certain = w.Condition == "" && w.Kind != Unknown
	c.Ways = append(c.Ways, w)
}

// AnsweredBy is Outcome.AnsweredBy of one of the ways for another packet of the cell.
func (x *Explorer) AnsweredBy(c *Cell, w *Way, p *Packet) string {
	if w.Kind != Forwarded {
		return w.Outcome.AnsweredBy
	}
	to, port := w.last.dst, w.last.dport
	switch {
	case w.last.toHow == asSent:
		to = p.To
	case w.last.toHow == ofIface:
		to = x.kinds[x.Arrival(p.In).first()].like(to)
	case w.last.toHow >= mapped0:
		to = under(netip.PrefixFrom(to, int(w.last.toHow-mapped0)), p.To)
	}
	switch w.last.portHow {
	case asSent:
		port = p.Port
	case moved:
		port += p.Port - c.Packet.Port
	}
	return netip.AddrPortFrom(to, port).String()
}

// Takes says whether the kernel takes packets with that source on that interface.
func (x *Explorer) Takes(p *Packet) bool {
	return p.Own || x.takes(p.From, p.In, &x.kinds[x.Arrival(p.In).first()])
}

// choose takes a packet out of a class: a usual one where it holds one.
func (x *Explorer) choose(c *Class) Packet {
	p := Packet{Proto: c.Proto, Own: c.Own, Port: uint16(point(c.Ports, 1)), SPort: uint16(point(c.SPorts, 40000))}
	if !c.Proto.HasPorts() {
		p.Port, p.SPort = 0, 0
	}
	kind := &ifkind{}
	if !c.Own {
		kind = &x.kinds[c.In.first()]
		p.In = kind.names[0]
	}
	p.To = x.chooseTo(c, kind)
	p.From = x.chooseFrom(c, kind, p.In)
	return p
}

// point takes a point of a set, a preferred one if it is in it.
func point(set host.Ports, like host.Port) host.Port {
	switch {
	case has(set, like):
		return like
	case set[0].Lo == 0 && set[len(set)-1].Hi != 0:
		return set[len(set)-1].Hi // a port of 0 stands for any
	}
	return set[0].Lo
}

func (x *Explorer) chooseTo(c *Class, kind *ifkind) netip.Addr {
	far := netip.AddrFrom4([4]byte{198, 51, 100, 1}) // TEST-NET-2, RFC 5737
	if c.Family == host.IP6 {
		far = netip.MustParseAddr("2001:db8::1") // RFC 3849
	}
	if first := kind.like(far); first.IsValid() && has(c.To, first) {
		return first
	}
	for _, a := range x.own {
		if a.Is4() == far.Is4() && has(c.To, a) {
			return a
		}
	}
	if has(c.To, far) {
		return far
	}
	return inside(c.To[0])
}

// inside is an address of a range, its second one if it has two: the first
// one of a network is nobody's.
func inside(r host.Range[netip.Addr]) netip.Addr {
	if r.Lo == r.Hi {
		return r.Lo
	}
	return r.Lo.Next()
}

// chooseFrom takes a source, of which the kernel takes packets on the
// interface if there is one.
func (x *Explorer) chooseFrom(c *Class, kind *ifkind, in string) netip.Addr {
	var list [8]netip.Addr
	from := x.sources(list[:0], c, kind)
	if !c.Own {
		for _, a := range from {
			if x.takes(a, in, kind) {
				return a
			}
		}
	}
	return from[0]
}

func (x *Explorer) sources(out []netip.Addr, c *Class, kind *ifkind) []netip.Addr {
	add := func(a netip.Addr) {
		if a.IsValid() && len(out) < cap(out) && has(c.From, a) {
			out = append(out, a)
		}
	}
	if c.Own {
		for _, a := range x.own {
			if a.Is4() == (c.Family == host.IP) {
				add(a)
			}
		}
	}
	add(kind.near(c.Family))
	if c.Family == host.IP {
		add(netip.AddrFrom4([4]byte{192, 0, 2, 1})) // TEST-NET-1, RFC 5737
	} else {
		add(netip.MustParseAddr("2001:db8::2"))
	}
	for _, r := range c.From {
		add(inside(r))
	}
	if len(out) == 0 {
		out = append(out, c.From[0].Lo)
	}
	return out
}

// takes says whether the kernel takes packets with a source on an interface.
func (x *Explorer) takes(from netip.Addr, in string, kind *ifkind) bool {
	own := kind.like(from)
	if i := slices.IndexFunc(x.own, func(a netip.Addr) bool { return a.Is4() == from.Is4() }); !own.IsValid() && i >= 0 {
		own = x.own[i]
	}
	switch {
	case from.IsUnspecified() || from.IsMulticast():
		return false
	case x.world.Routes == nil || !own.IsValid():
		return true
	}
	if kind, known := x.world.Routes.TypeOf(from); known && kind == typeBroadcast {
		return false
	}
	key := origin4{from, in}
	if x.reach != nil {
		key.from, _ = x.reach.Around(from)
	}
	ok, seen := x.taken[key]
	if !seen {
		ok = x.world.Routes.Route(host.RouteQuery{Dst: own, Src: from, In: in, Proto: host.TCP, SPort: 40000, DPort: 1}).Kind == host.RouteLocal
		x.taken[key] = ok
	}
	return ok
}
