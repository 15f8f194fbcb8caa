package path

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// walker is one packet being followed.
type walker struct {
	*Engine
	*view
	packet    Packet
	outcomes  []ending
	hops      int  // namespaces before this one
	crossings *int // of all ways

	cell  *cell // the packets that are followed with it; nil where it is alone
	known map[host.RouteQuery]host.Route
	usual bool      // the kernel takes packets with that source on that interface
	lists [][]int32 // room for candidates
	tests int       // how many matches were held against packets
	room  *room     // nil where a packet alone is followed
}

func (k *walker) start() state {
	p := &k.packet
	s := state{facts: facts{tuple: tuple{src: p.From, dst: p.To, sport: p.SPort, dport: p.Port}, in: p.In, inAny: p.In == "" && !p.Own}}
	s.orig = s.tuple
	return s
}

// follow leads the packet from where it comes in to where it ends.
func (k *walker) follow() {
	s := k.start()
	if !k.packet.Own {
		k.enter(s)
		return
	}
	ways := k.one(s)
	k.elsewhere(&ways[0])
	k.sent(ways)
}

// enter is the way of a packet that comes in.
func (k *walker) enter(s state) {
	ways := k.one(s)
	k.elsewhere(&ways[0])
	k.arrived(k.hook("ingress", ways))
}

// arrived is the way from prerouting on.
func (k *walker) arrived(ways []state) {
	for _, s := range k.hook("prerouting", ways) {
		k.route(s)
	}
}

// route is the routing decision of a packet that came in.
func (k *walker) route(s state) {
	if k.cell != nil && k.cell.brief && s.took == nil && !k.view.later {
		k.end(s, Outcome{Kind: Unknown, Reason: noRedirect})
		return
	}
	r := k.ask(&s)
	if k.cell == nil && !s.src.IsValid() && !s.masked {
		s = k.bySender(s, r)
	}
	k.routed(s, r)
}

// routed is the way from the routing decision on.
func (k *walker) routed(s state, r host.Route) {
	switch {
	case r.Kind == host.RouteLocal:
		for _, s := range k.hook("input", k.one(s)) {
			k.deliver(s)
		}
	case r.Kind == host.RouteUnicast && s.socket > 0:
		k.nobody(s, Dropped, "dropped: what TPROXY took is not routed to this host (a mark and a local route are missing)")
	case r.Kind == host.RouteUnicast:
		s.out, s.via = r.Out, r.Via
		k.passed(k.hook("forward", k.one(s)))
	case r.Kind == host.RouteUnreachable:
		k.nobody(s, NoRoute, "no route: "+r.Why)
	case r.Kind == host.RouteBroadcast && k.packet.Proto == host.TCP:
		k.nobody(s, Dropped, "dropped: TCP takes no broadcast")
	default:
		k.unknown(s, k.routeWords(r))
	}
}

func (k *walker) routeWords(r host.Route) string {
	switch {
	case r.Why != "":
		return "where it is routed is not known: " + r.Why
	case r.Kind == host.RouteBroadcast:
		return "everybody on the network gets a broadcast"
	case r.Kind == host.RouteMulticast:
		return "those who joined the group get it"
	}
	return "where it is routed is not known"
}

// ask asks for the route of a packet as it stands.
func (k *walker) ask(s *state) host.Route {
	if k.world.Routes == nil {
		return host.Route{Why: "routes were not read"}
	}
	if s.packet.unknown && k.world.Routes.ByMark() {
		return host.Route{Why: "it depends on the packet's mark"}
	}
	q := host.RouteQuery{Dst: s.dst, Src: s.src, In: s.in, Mark: s.packet.n, Proto: k.packet.Proto, SPort: s.sport, DPort: s.dport}
	switch {
	case s.inAny: // what is asked then is whether the address is this host's
		q.Src = netip.Addr{}
		if r := k.routeOf(s, q); r.Kind == host.RouteLocal {
			return r
		}
		return host.Route{Why: "the interface on which it arrives is not known"}
	case !q.Src.IsValid():
		q.Src = k.packet.Via
	}
	return k.routeOf(s, q)
}

// passed is the end of a packet that leaves for another host.
func (k *walker) passed(ways []state) {
	for _, s := range k.hook("egress", k.hook("postrouting", ways)) {
		k.forwarded(s)
	}
}

// sent is the way of a packet of this host itself.
func (k *walker) sent(ways []state) {
	first := k.ask(&ways[0])
	if first.Kind == host.RouteUnreachable {
		k.nobody(ways[0], NoRoute, "no route: "+first.Why)
		return
	}
	ways[0].out, ways[0].via = outOf(first), first.Via
	ways[0].packet = mark{}
	for _, s := range k.hook("output", ways) {
		k.leave(s, first)
	}
}

func outOf(r host.Route) string {
	if r.Kind == host.RouteLocal {
		return loopback
	}
	return r.Out
}

// leave routes again what the output hook changed, and goes on.
func (k *walker) leave(s state, r host.Route) {
	if k.readdressed(&s) || s.remarked && k.view.reroutes {
		if r = k.ask(&s); r.Kind == host.RouteUnreachable {
			k.nobody(s, NoRoute, "no route: "+r.Why)
			return
		}
		s.out, s.via = outOf(r), r.Via
	}
	switch r.Kind {
	case host.RouteUnicast:
		k.passed([]state{s})
	case host.RouteLocal:
		k.looped(k.hook("egress", k.hook("postrouting", []state{s})))
	default:
		k.unknown(s, k.routeWords(r))
	}
}

// looped is what comes back in by the loopback interface. Its translations
// were decided when it left (nf_nat registers at every hook at once).
func (k *walker) looped(ways []state) {
	for i := range ways {
		ways[i].in, ways[i].out, ways[i].inAny = loopback, "", false
		ways[i].toDone, ways[i].fromDone = true, true
	}
	for _, s := range k.hook("prerouting", k.hook("ingress", ways)) {
		for _, s := range k.hook("input", []state{s}) {
			k.deliver(s)
		}
	}
}

// hook runs all that hangs at a hook.
func (k *walker) hook(name string, ways []state) []state {
	for _, stage := range k.view.stages[name] {
		ways = k.stage(stage, ways)
	}
	return ways
}

func (k *walker) stage(x *stage, ways []state) []state {
	switch {
	case x.tracking:
		return k.tracked(ways)
	case len(x.nat) > 0:
		return k.natStage(x, ways)
	}
	return k.together(x, ways, k.oneChain)
}

// natStage runs the NAT chains until one of them translates.
func (k *walker) natStage(x *stage, ways []state) []state {
	to := x.priority == fromHerePriority
	for _, inner := range x.nat {
		ways = k.together(inner, ways, func(b *base, ways []state) []state {
			done, open := k.list(len(ways)), k.list(len(ways))
			for _, s := range ways {
				if s.flow != newFlow || to && s.toDone || !to && s.fromDone {
					done = append(done, s)
				} else {
					open = append(open, s)
				}
			}
			if len(open) == 0 {
				return done
			}
			return append(done, k.baseChain(b, open)...)
		})
	}
	for i := range ways {
		if ways[i].flow == newFlow && to {
			ways[i].toDone = true
		}
	}
	return ways
}

func (k *walker) oneChain(b *base, ways []state) []state {
	if len(b.chain.Base.Devices) > 0 || b.chain.Base.Hook == "ingress" || b.chain.Base.Hook == "egress" {
		return k.deviceChain(b, ways)
	}
	return k.baseChain(b, ways)
}

// deviceChain runs a chain of interfaces on what passes them.
func (k *walker) deviceChain(b *base, ways []state) []state {
	var on, off []state
	if b.chain.Base.Hook == "ingress" {
		k.cutIn(func(i *ifkind) bool { return onDevice(b.chain.Base, i.names[0]) })
	}
	for _, s := range ways {
		name := s.in
		if b.chain.Base.Hook == "egress" {
			name = s.out
		}
		switch {
		case b.chain.Base.Hook == "ingress" && s.inAny:
			words := "in " + host.Ifaces{Names: b.chain.Base.Devices}.String()
			on, off = append(on, s.guessing(words)), append(off, s.guessing(negated(words)))
		case onDevice(b.chain.Base, name):
			on = append(on, s)
		default:
			off = append(off, s)
		}
	}
	if len(on) == 0 {
		return off
	}
	return joined(append(off, k.baseChain(b, on)...))
}

// together runs chains of one priority, in every order in which they may run.
func (k *walker) together(x *stage, ways []state, do func(*base, []state) []state) []state {
	if x.orders == nil {
		k.giveUp(ways, "too many chains of equal priority")
		return nil
	}
	var out []state
	for i, order := range x.orders {
		these := ways
		if len(x.orders) > 1 {
			these = make([]state, len(ways))
			for j, s := range ways {
				these[j] = s.guessing(x.words[i])
			}
		}
		for _, b := range order {
			these = do(b, these)
		}
		if len(x.orders) == 1 {
			return joined(these)
		}
		out = append(out, these...)
	}
	return joined(out)
}
