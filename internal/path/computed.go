package path

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

func (a *asking) tests(m *host.Match) bool {
	for i := range m.Tests {
		t := &m.Tests[i]
		if a.split != 0 && narrows(t) {
			continue // the match does not fit: what this test says need not be known
		}
		value := a.test(t)
		if !a.take(value, t.Words) {
			return false
		}
	}
	return true
}

// test holds a computed condition against the packet.
func (a *asking) test(t *host.Test) truth {
	if t.NeedsFlow && a.s.flow != newFlow {
		return no
	}
	if a.anyOfFlow() && ofFirst(t.Field) {
		return maybe
	}
	switch t.Field {
	case host.NoField:
		return maybe
	case host.FieldStated:
		return yes
	case host.FieldOriginal:
		return truthOf(a.s.flow == newFlow)
	case host.FieldIn:
		if a.s.inAny {
			return maybe
		}
		a.cutIface(t.Ifaces)
		return truthOf(named(t.Ifaces, a.s.in))
	case host.FieldOut:
		return truthOf(named(t.Ifaces, a.s.out))
	case host.FieldOrigSource, host.FieldOrigDest, host.FieldOrigSPort, host.FieldOrigPort:
		a.cutOriginal(t)
		return a.original(t)
	}
	a.cutTypes(t)
	n, known := a.number(t)
	if !known {
		return maybe
	}
	return truthOf(inSpans(t, n) != t.Not)
}

func inSpans(t *host.Test, n uint32) bool {
	n &= t.Mask
	for _, s := range t.Spans {
		if s.Lo <= n && n <= s.Hi {
			return true
		}
	}
	return false
}

// original holds a test against the tuple with which the connection began.
func (a *asking) original(t *host.Test) truth {
	o := a.s.orig
	holds := false
	switch t.Field {
	case host.FieldOrigSource:
		if !o.src.IsValid() {
			return maybe
		}
		holds = t.Addrs.Has(o.src)
	case host.FieldOrigDest:
		holds = t.Addrs.Has(o.dst)
	case host.FieldOrigSPort:
		if o.sport == 0 {
			return maybe
		}
		holds = t.Ports.Has(host.Port(o.sport))
	case host.FieldOrigPort:
		holds = t.Ports.Has(host.Port(o.dport))
	}
	return truthOf(holds != t.Not)
}

// Bits of the connection's state and status (NF_CT_STATE_BIT, enum
// ip_conntrack_status) and of the TCP header.
const (
	stateInvalid   = 1
	stateNew       = 8
	stateUntracked = 64
	statusKnown    = 0x3f // expected, seen-reply, assured, confirmed, snat, dnat
	statusDNAT     = 32
	flagSYN        = 2
	flagsECN       = 0xc0
)

// number is the value that a test looks at, of the first packet of a flow.
func (a *asking) number(t *host.Test) (n uint32, known bool) {
	switch t.Field {
	case host.FieldMark:
		return a.s.packet.n, !a.s.packet.unknown
	case host.FieldCTMark:
		return a.s.ct.n, !a.s.ct.unknown
	case host.FieldCTState:
		return a.ctState(), t.Mask&host.StateSNAT == 0 || !a.s.fromDone
	case host.FieldCTStatus:
		if a.toAnother(a.s) {
			n = statusDNAT
		}
		return n, t.Mask&^statusKnown == 0
	case host.FieldCTDirection:
		return 0, true
	case host.FieldTCPFlags:
		return flagSYN, a.packet.Proto == host.TCP && t.Mask&flagsECN == 0
	case host.FieldSourceType:
		return a.typeOf(a.s.src)
	case host.FieldDestType:
		return a.typeOf(a.s.dst)
	case host.FieldPktType:
		kind, known := a.typeOf(a.packet.To)
		return 0, known && kind != typeBroadcast && kind != typeMulticast && !a.packet.Own
	}
	return 0, false
}

const (
	typeBroadcast = 3 // RTN_BROADCAST
	typeMulticast = 5 // RTN_MULTICAST
)

func (a *asking) ctState() uint32 {
	switch a.s.flow {
	case newFlow:
		if a.toAnother(a.s) {
			return stateNew | host.StateDNAT
		}
		return stateNew
	case untracked:
		return stateUntracked
	}
	return stateInvalid
}

func (a *asking) typeOf(addr netip.Addr) (uint32, bool) {
	if !addr.IsValid() || a.world.Routes == nil {
		return 0, false
	}
	return a.world.Routes.TypeOf(addr)
}
