package path

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// side is one of the sets of a match.
type side uint8

const (
	ofPorts side = iota + 1
	ofTo
	ofFrom
	ofSPorts
	ofIn
)

// only says, of a set in which the packet is not, whether others of its cell
// are: then it is not said yet that the match fails, since another set may
// fail for all of them. Of a packet alone it is false.
func (a *asking) only(of side) bool {
	if a.cell == nil || !a.divides(of) {
		return false
	}
	if a.split == 0 {
		a.split = of
	}
	return true
}

// divides says whether packets of the cell are in the set of the match.
func (a *asking) divides(of side) bool {
	s, m, c := a.s, a.m, a.cell
	switch of {
	case ofPorts:
		return s.portHow != settled && c.ports.meets(a.beforePorts(s.portHow, s.dport, m.Ports))
	case ofTo:
		return s.toHow != settled && !foreign(m.Address, s.dst) && (s.toHow == ofIface || c.to.meets(a.beforeTo(s.toHow, s.dst, m.Address)))
	case ofFrom:
		return s.fromHow == asSent && !foreign(m.Source, s.src) && c.from.meets(m.Source)
	case ofSPorts:
		return s.sportHow == asSent && c.sports.meets(m.SPorts)
	}
	return a.arrives() && a.cell.in&a.fitting(m.In) != 0
}

// settle narrows the cell to the packets of which the match says the same as
// of the one that is followed. It is false where it does not fit.
func (a *asking) settle() bool {
	if len(a.m.Lists) > 0 {
		a.event()
	}
	if a.split != 0 {
		a.narrow(a.split)
		return false
	}
	for of := ofPorts; of <= ofIn; of++ {
		a.narrow(of)
	}
	return true
}

func (a *asking) narrow(of side) {
	s, m := a.s, a.m
	switch {
	case a.late: // the cell is the packet alone
	case of == ofPorts && !m.Ports.Any():
		a.cutPorts(s.portHow, s.dport, m.Ports)
	case of == ofTo && !m.Address.Any():
		a.cutTo(s.toHow, s.dst, m.Address)
	case of == ofFrom && !m.Source.Any():
		a.cutFrom(s, m.Source)
	case of == ofSPorts && !m.SPorts.Any():
		a.cutSPorts(s, m.SPorts)
	case of == ofIn && !m.In.Any():
		a.cutIface(m.In)
	}
}

// arrives says whether the interface is the one on which the packet came in,
// and known.
func (a *asking) arrives() bool { return !a.packet.Own && !a.s.inAny }

func (a *asking) cutIface(i host.Ifaces) {
	if a.cell == nil || !a.arrives() {
		return
	}
	if fit := a.fitting(i); fit.has(a.cell.at) {
		a.cell.in &= fit
	} else {
		a.cell.in &^= fit
	}
}

// fitting gives the interfaces that fit a condition.
func (e *Engine) fitting(i host.Ifaces) Arrivals {
	var out Arrivals
	for n := range e.kinds {
		if named(i, e.kinds[n].names[0]) {
			out |= 1 << n
		}
	}
	return out
}

// cutOriginal narrows the cell by a test of the original tuple.
func (a *asking) cutOriginal(t *host.Test) {
	o := &a.s.orig
	switch {
	case a.cell == nil:
	case t.Field == host.FieldOrigDest:
		a.cutTo(o.toHow, o.dst, t.Addrs)
	case t.Field == host.FieldOrigPort:
		a.cutPorts(o.portHow, o.dport, t.Ports)
	case t.Field == host.FieldOrigSource && o.fromHow == asSent:
		if !foreign(t.Addrs, o.src) {
			cut(&a.cell.from, t.Addrs, has(t.Addrs, o.src))
		}
	case t.Field == host.FieldOrigSPort && o.sportHow == asSent:
		cut(&a.cell.sports, t.Ports, has(t.Ports, host.Port(o.sport)))
	}
}

// cutTypes narrows the cell by a test of an address's type.
func (a *asking) cutTypes(t *host.Test) {
	if a.cell == nil {
		return
	}
	switch t.Field {
	case host.FieldSourceType:
		if a.s.fromHow == asSent {
			set := a.typed(t, a.s.src)
			cut(&a.cell.from, set, has(set, a.s.src))
		}
	case host.FieldDestType:
		a.cutTo(a.s.toHow, a.s.dst, a.typed(t, a.s.dst))
	case host.FieldPktType:
		a.cutTo(asSent, a.packet.To, a.typed(&host.Test{Mask: 0xffffffff, Spans: []host.Span{{Lo: typeBroadcast, Hi: typeBroadcast}, {Lo: typeMulticast, Hi: typeMulticast}}}, a.packet.To))
	}
}

// typed gives the addresses like one whose types the test takes; the address
// alone where that is not known.
func (k *walker) typed(t *host.Test, like netip.Addr) host.Addrs {
	k.event()
	var kinds uint32
	for n := range uint32(typeKinds) {
		if inSpans(t, n) {
			kinds |= 1 << n
		}
	}
	return k.ofTypes(kinds, like)
}

const (
	typeKinds   = 12 // RTN_* run from 0 to 11
	typeUnicast = 1
)

// ofTypes gives the addresses like one whose type is one of the kinds, or all
// others, or that address alone: a set that has, or has not, whatever is the same as it.
func (k *walker) ofTypes(kinds uint32, like netip.Addr) host.Addrs {
	if k.reach == nil {
		return single(like)
	}
	if kinds&(1<<typeUnicast) != 0 {
		if set, ok := k.reach.OfTypes((1<<typeKinds-1)&^kinds, like); ok {
			return host.NotAddrs(set)
		}
	} else if set, ok := k.reach.OfTypes(kinds, like); ok {
		return set
	}
	return single(like)
}

// event notes that what is not an editor's hand may change the answer.
func (k *walker) event() {
	if k.cell != nil {
		k.cell.events = true
	}
}

// anyOfFlow says whether any packet of a flow is meant.
func (k *walker) anyOfFlow() bool { return k.cell != nil && k.cell.loose }

// ofFirst says whether a field tells the first packet of a flow from others.
func ofFirst(f host.Field) bool {
	switch f {
	case host.FieldCTState, host.FieldCTStatus, host.FieldCTDirection, host.FieldTCPFlags, host.FieldPktType,
		host.FieldOrigSource, host.FieldOrigDest, host.FieldOrigSPort, host.FieldOrigPort, host.FieldOriginal, host.FieldCTMark, host.FieldMark:
		return true
	}
	return false
}

// narrows says whether a test may divide a cell.
func narrows(t *host.Test) bool {
	switch t.Field {
	case host.FieldIn, host.FieldSourceType, host.FieldDestType, host.FieldPktType,
		host.FieldOrigSource, host.FieldOrigDest, host.FieldOrigSPort, host.FieldOrigPort:
		return true
	}
	return false
}
