package path

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// result is a way after the effects of a branch.
type result struct {
	state
	missed bool // an effect did not apply: the rule ends, as if it had not matched
	ended  bool // the outcome is told already
}

// effects does what a branch does besides its verdict.
func (r *run) effects(rule *host.Rule, b *host.Branch, s state) []result {
	ways := r.result(result{state: s})
	for i := range b.Effects {
		ways = r.eachWay(ways, func(s state) []result { return r.effect(rule, &b.Effects[i], s) })
	}
	for _, a := range b.Assigns {
		for i := range ways {
			if !ways[i].missed && !ways[i].ended {
				ways[i].assign(a)
			}
		}
	}
	if len(b.Assigns) > 0 && b.Verdict != host.Drop {
		for i := range ways {
			r.noteAssigns(rule, b, &ways[i])
		}
	}
	return ways
}

func (r *run) noteAssigns(rule *host.Rule, b *host.Branch, w *result) {
	if r.cell != nil || w.missed || w.ended || len(b.Effects) > 0 {
		return
	}
	var words []string
	for _, a := range b.Assigns {
		switch a.Field {
		case host.FieldMark:
			words = append(words, "mark "+w.packet.String())
		case host.FieldCTMark:
			words = append(words, "connection mark "+w.ct.String())
		case host.FieldNoTrack:
			words = append(words, "not tracked")
		}
	}
	w.note(r.step(rule, strings.Join(words, ", ")))
}

// String writes a mark.
func (m mark) String() string {
	if m.unknown {
		return "unknown"
	}
	return fmt.Sprintf("%#x", m.n)
}

func (r *run) eachWay(ways []result, do func(state) []result) []result {
	if len(ways) == 1 && !ways[0].missed && !ways[0].ended {
		return do(ways[0].state)
	}
	var out []result
	for _, w := range ways {
		if w.missed || w.ended {
			out = append(out, w)
			continue
		}
		out = append(out, do(w.state)...)
	}
	return out
}

// assign sets a mark, or says that the packet is not tracked.
func (s *state) assign(a host.Assign) {
	switch a.Field {
	case host.FieldNoTrack:
		if s.flow == noFlow {
			s.flow = untracked
		}
	case host.FieldMark:
		s.packet = s.set(s.packet, a)
		s.remarked = true
	case host.FieldCTMark:
		if s.flow == newFlow {
			s.ct = s.set(s.ct, a)
		}
	}
}

// set computes old &^ Mask ^ (from & FromMask) ^ Value.
func (s *state) set(old mark, a host.Assign) mark {
	var from mark
	switch a.From {
	case host.FieldMark:
		from = s.packet
	case host.FieldCTMark:
		from = s.ct
		if s.flow != newFlow { // CONNMARK and "ct mark" do nothing without a connection
			return old
		}
	}
	if a.Unknown != "" || from.unknown || old.unknown && a.Mask != 0xffffffff {
		return mark{unknown: true}
	}
	return mark{n: old.n&^a.Mask ^ from.n&a.FromMask ^ a.Value}
}

// effect does one translation or interception.
func (r *run) effect(rule *host.Rule, e *host.Effect, s state) []result {
	hook := r.base.chain.Base.Hook
	source := e.Source || e.Kind == "netmap" && (hook == "postrouting" || hook == "input")
	if !source && e.Kind != "tproxy" && !r.idle(e, &s) {
		r.act(e, &s)
	}
	switch {
	case e.Kind == "dup" || e.Kind == "":
		return []result{{state: s}} // a copy; or the verdict says that it is uncertain
	case e.Unknown != "" && !source:
		r.unknown(s, e.Unknown+": "+r.ruleText(rule))
		return []result{{state: s, ended: true}}
	case source:
		return r.result(result{state: r.fromElsewhere(s, e)})
	}
	switch e.Kind {
	case "dnat", "redirect", "netmap":
		return r.translate(rule, e, s)
	case "rewrite":
		return r.rewrite(rule, e, s)
	case "tproxy":
		return r.tproxy(rule, e, s)
	case "forward", "mac-redirect":
		r.unknown(s, "the frame is sent elsewhere: "+r.ruleText(rule))
		return []result{{state: s, ended: true}}
	}
	return []result{{state: s}} // queue: the verdict says it
}

// fromElsewhere is a translation of the source. Whatever it becomes, it
// decides nothing about who answers but by later rules.
func (r *run) fromElsewhere(s state, e *host.Effect) state {
	s.fromDone = s.fromDone || e.Kind != "rewrite"
	s.src, s.sport, s.masked = netip.Addr{}, 0, true
	if r.cell != nil {
		s.fromHow, s.sportHow = settled, settled
	}
	if len(e.To) == 1 && e.To[0].Lo.IsValid() && e.To[0].Lo == e.To[0].Hi {
		s.src = e.To[0].Lo
	}
	return s
}

// translate is DNAT, REDIRECT or NETMAP of a flow's first packet. It begins at the
// tuple of the connection, not at what was rewritten of the packet since then
// (nf_nat_setup_info).
func (r *run) translate(rule *host.Rule, e *host.Effect, s state) []result {
	if s.flow != newFlow || s.toDone {
		return []result{{state: s}}
	}
	return r.aimed(rule, e, s, s.orig, true)
}

// rewrite changes header fields without connection tracking.
func (r *run) rewrite(rule *host.Rule, e *host.Effect, s state) []result {
	return r.aimed(rule, e, s, s.tuple, false)
}

// aimed splits the way for each destination that an effect can make of a tuple,
// of the packet alone or of its whole flow.
func (r *run) aimed(rule *host.Rule, e *host.Effect, s state, from tuple, flow bool) []result {
	var out []result
	base := s
	base.tuple = from
	dests, why := r.destinations(e, &base)
	if why != "" {
		r.unknown(s, why+": "+r.ruleText(rule))
		return []result{{state: s, ended: true}}
	}
	for _, d := range dests {
		way := s
		way.toHow, way.portHow = d.toHow, d.portHow
		if len(dests) > 1 {
			way = way.guessing(Balancer + " chooses " + netip.AddrPortFrom(d.addr, d.port).String())
		}
		if !d.addr.IsValid() {
			way.note(r.step(rule, "dropped: the interface has no address to redirect to"))
			r.nobody(way, Dropped, "the interface "+s.in+" has no address to redirect to")
			out = append(out, result{state: way, ended: true})
			continue
		}
		way.dst, way.dport = d.addr, d.port
		if flow {
			way.toDone = true
			r.translated(&way, &s.tuple)
		}
		if r.cell == nil {
			way.note(r.step(rule, e.Kind+" to "+netip.AddrPortFrom(d.addr, d.port).String()))
		}
		if len(dests) == 1 {
			return r.result(result{state: way})
		}
		out = append(out, result{state: way})
	}
	return out
}

// place2 is one destination.
type destination struct {
	addr netip.Addr
	port uint16

	toHow, portHow origin
}

// maxSpread bounds the destinations of one range that are told apart.
const maxSpread = 16

// destinations lists what an effect can make of the packet's destination.
func (r *run) destinations(e *host.Effect, s *state) ([]destination, string) {
	random := slices.Contains(e.Evidence, "random") || slices.Contains(e.Evidence, "random-fully") || slices.Contains(e.Evidence, "fully-random")
	var out []destination
	for _, t := range e.To {
		addrs, why := r.addresses(e, t, s)
		if why != "" {
			return nil, why
		}
		ports, why := ports(t, s.dport, random)
		if why != "" {
			return nil, why
		}
		toHow, portHow := r.newTo(e, t, s), r.newPort(t, s, random)
		for _, a := range addrs {
			for _, p := range ports {
				if d := (destination{a, p, toHow, portHow}); !slices.Contains(out, d) {
					out = append(out, d)
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, "it has no destination"
	}
	if len(out) > maxStates/2 {
		return nil, "it has too many destinations to list"
	}
	return out, ""
}

func (r *run) addresses(e *host.Effect, t host.Target, s *state) ([]netip.Addr, string) {
	switch {
	case e.Kind == "redirect":
		return r.redirected(s)
	case !t.Lo.IsValid():
		return []netip.Addr{s.dst}, ""
	case t.Lo.Is4() != s.dst.Is4():
		return nil, "its destination is of the other family"
	case t.Prefix:
		return []netip.Addr{mapped(s.dst, t.Lo, t.Hi)}, ""
	}
	var out []netip.Addr
	for a := t.Lo; ; a = a.Next() {
		if out = append(out, a); a == t.Hi || !a.IsValid() {
			return out, ""
		}
		if len(out) > maxSpread {
			return nil, "one of " + host.AddrRangeString(t.Lo, t.Hi) + " gets it"
		}
	}
}

// redirected is this host itself: loopback for packets of its own, else the
// first address of the interface on which the packet arrived.
func (r *run) redirected(s *state) ([]netip.Addr, string) {
	if r.base.chain.Base.Hook == "output" {
		if s.dst.Is4() {
			return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, ""
		}
		return []netip.Addr{netip.IPv6Loopback()}, ""
	}
	if s.inAny || r.world.Routes == nil {
		return nil, "the interface on which it arrives decides to which address"
	}
	first := r.world.Routes.First(s.in, s.dst)
	r.cutIn(func(i *ifkind) bool { return i.like(s.dst).IsValid() == first.IsValid() })
	return []netip.Addr{first}, ""
}

// mapped keeps the host part of an address and takes the rest from a prefix.
func mapped(a, lo, hi netip.Addr) netip.Addr {
	x, l, h := a.AsSlice(), lo.AsSlice(), hi.AsSlice()
	for i := range x {
		host := l[i] ^ h[i]
		x[i] = x[i]&host | l[i]&^host
	}
	out, _ := netip.AddrFromSlice(x)
	return out
}

// ports lists the ports that a target gives (net/netfilter/nf_nat_core.c: a
// port inside the range is kept, another becomes the first one).
func ports(t host.Target, port uint16, random bool) ([]uint16, string) {
	switch {
	case t.ToZero:
		return []uint16{0}, ""
	case t.PortLo == 0 && t.PortHi == 0:
		return []uint16{port}, ""
	case t.PortLo == t.PortHi:
		return []uint16{t.PortLo}, ""
	case t.Base != 0:
		size := uint32(t.PortHi-t.PortLo) + 1
		return []uint16{t.PortLo + uint16(uint32(port-t.Base)%size)}, ""
	case random:
		return spread(t)
	case port >= t.PortLo && port <= t.PortHi:
		return []uint16{port}, ""
	}
	return []uint16{t.PortLo}, ""
}

func spread(t host.Target) ([]uint16, string) {
	if t.PortHi-t.PortLo > maxSpread {
		return nil, fmt.Sprintf("a random port of %d-%d gets it", t.PortLo, t.PortHi)
	}
	var out []uint16
	for p := int(t.PortLo); p <= int(t.PortHi); p++ {
		out = append(out, uint16(p))
	}
	return out, ""
}

// tproxy hands the packet to a transparent socket. Where none listens nf_tables
// ends the rule and x_tables drops the packet (net/netfilter/{nft,xt}_[tT][pP]...).
func (r *run) tproxy(rule *host.Rule, e *host.Effect, s state) []result {
	if !r.world.Sockets || len(e.To) != 1 {
		r.act(e, &s)
		r.unknown(s, "who listens was not read: "+r.ruleText(rule))
		return []result{{state: s, ended: true}}
	}
	at := r.handOver(e.To[0], &s)
	i, _ := r.listener(&s, at)
	if i >= 0 && r.world.Space.Listeners[i].Transparent {
		r.act(e, &s)
		s.socket, s.handedAs = i+1, s.tuple
		s.note(r.step(rule, "tproxy to "+netip.AddrPortFrom(at.addr, at.port).String()))
		return []result{{state: s}}
	}
	if r.xtTarget(rule) {
		s.note(r.step(rule, "dropped: no transparent socket takes what TPROXY hands over"))
		r.nobody(s, Dropped, "no transparent socket takes what TPROXY hands over")
		return []result{{state: s, ended: true}}
	}
	return []result{{state: s, missed: true}}
}

// handOver is the socket that TPROXY looks for.
func (r *run) handOver(t host.Target, s *state) destination {
	at := destination{t.Lo, t.PortLo, settled, settled}
	if !at.addr.IsValid() && r.world.Routes != nil {
		at.addr = r.world.Routes.First(s.in, s.dst)
		at.toHow = r.toIface(s)
		r.cutIn(func(i *ifkind) bool { return i.like(s.dst).IsValid() == at.addr.IsValid() })
	}
	if !at.addr.IsValid() {
		at.addr, at.toHow = s.dst, s.toHow
	}
	if at.port == 0 {
		at.port, at.portHow = s.dport, s.portHow
	}
	return at
}

// xtTarget says whether the rule's target is one of x_tables, inside nf_tables or not.
func (r *run) xtTarget(rule *host.Rule) bool { return rule.Writer != "nft" }
