package nft

import (
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// NF_NAT_RANGE_* of include/uapi/linux/netfilter/nf_nat.h.
const (
	natRandom      = 0x04
	natPersistent  = 0x08
	natRandomFully = 0x10
	natNetmap      = 0x40
)

// doNat is nft_nat: dnat and snat. Either way the packet is accepted.
func (m *machine) doNat(f *fields) {
	m.nativeNAT = true
	family := familyOf(uint8(f.u32(2)))
	kind := "dnat"
	if f.u32(1) == 0 {
		kind = "snat"
	}
	m.each(func(s *state) {
		m.narrowFamily(s, family)
		e := host.Effect{Kind: kind, Source: kind == "snat", Evidence: natFlags(f.u32(7))}
		addr, port := m.interval(s, f, 3, family), m.interval(s, f, 5, "")
		m.aim(&e, addr, port)
		if f.u32(7)&natNetmap != 0 {
			for i := range e.To {
				e.To[i].Prefix = true
			}
		}
		s.branch.Effects = append(s.branch.Effects, e)
		s.end(host.Accept, "")
	})
}

// doMasq is nft_masq.
func (m *machine) doMasq(f *fields) {
	m.nativeNAT = true
	m.each(func(s *state) {
		e := host.Effect{Kind: "masquerade", Source: true, Evidence: natFlags(f.u32(1))}
		if f.has(2) {
			m.aim(&e, nil, m.interval(s, f, 2, ""))
		}
		s.branch.Effects = append(s.branch.Effects, e)
		s.end(host.Accept, "")
	})
}

// doRedir is nft_redir.
func (m *machine) doRedir(f *fields) {
	m.nativeNAT = true
	m.each(func(s *state) {
		e := host.Effect{Kind: "redirect", Evidence: natFlags(f.u32(3))}
		m.aim(&e, nil, m.interval(s, f, 1, ""))
		s.branch.Effects = append(s.branch.Effects, e)
		s.end(host.Accept, "")
	})
}

// doTproxy is nft_tproxy: where a socket is found the rule goes on.
func (m *machine) doTproxy(f *fields) {
	m.nativeNAT = true
	family := familyOf(uint8(f.u32(1)))
	m.each(func(s *state) {
		m.narrowFamily(s, family)
		e := host.Effect{Kind: "tproxy"}
		var addr, port []value
		if f.has(2) {
			addr = []value{m.get(s, f.u32(2), addrSize(family))}
		}
		if f.has(3) {
			port = []value{m.get(s, f.u32(3), 2)}
		}
		m.aim(&e, addr, port)
		s.branch.Effects = append(s.branch.Effects, e)
	})
}

func (m *machine) narrowFamily(s *state, family host.Family) {
	if family != host.IP && family != host.IP6 {
		return
	}
	switch m.family(s) {
	case "":
		s.branch.Match.Family = family
	case family:
	default:
		s.kill(contradiction)
	}
}

// interval reads the registers of attributes n and n+1: one value, or two where
// they differ. Ports (no family) are two bytes.
func (m *machine) interval(s *state, f *fields, n int, family host.Family) []value {
	size := 2
	if family != "" {
		size = addrSize(family)
	}
	if !f.has(n) {
		return nil
	}
	out := []value{m.get(s, f.u32(n), size)}
	if f.has(n+1) && f.u32(n+1) != f.u32(n) {
		out = append(out, m.get(s, f.u32(n+1), size))
	}
	return out
}

func addrSize(family host.Family) int {
	if family == host.IP {
		return 4
	}
	return 16
}

func natFlags(flags uint32) []string {
	var out []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{{natRandom, "random"}, {natPersistent, "persistent"}, {natRandomFully, "fully-random"}} {
		if flags&f.bit != 0 {
			out = append(out, f.name)
		}
	}
	return out
}

// aim fills in where an effect leads, from the values of an address (one, or
// both ends of a range) and of a port.
func (m *machine) aim(e *host.Effect, addr, port []value) {
	addrs, ok := m.destinations(e, addr, "address")
	ports, ok2 := m.destinations(e, port, "port")
	if !ok || !ok2 {
		return
	}
	for _, v := range slices.Concat(addr, port) {
		if v.kind == choice && len(v.alts) == 0 {
			e.Evidence = append(e.Evidence, v.words)
			return
		}
	}
	if len(addr) > 0 && len(port) > 0 && len(addrs) == len(ports) && addr[0].words == port[0].words {
		for i := range addrs { // both from the same element of one map
			e.To = append(e.To, target(addrs[i], ports[i]))
		}
		return
	}
	for _, a := range addrs {
		for _, p := range ports {
			e.To = append(e.To, target(a, p))
		}
	}
}

// destinations lists what the ends of a range can be; a nil entry is "kept".
func (m *machine) destinations(e *host.Effect, ends []value, what string) ([][][]byte, bool) {
	if len(ends) == 0 {
		return [][][]byte{nil}, true
	}
	n := 1
	lists := make([][][]byte, len(ends))
	for i := range ends {
		v := ends[i]
		if v.kind == number && v.mod <= maxChoices {
			all := v.asChoice()
			v = all.part(0, v.size)
		}
		switch v.kind {
		case constant:
			lists[i] = [][]byte{v.data}
		case choice:
			lists[i] = v.alts
			m.tellBalance(e, &v)
		default:
			e.Unknown = "its " + what + " comes from " + m.origin(&v)
			return nil, false
		}
		n = max(n, len(lists[i]))
	}
	out := make([][][]byte, 0, n)
	for k := range n {
		var one [][]byte
		for _, list := range lists {
			if len(list) > 0 {
				one = append(one, list[min(k, len(list)-1)])
			}
		}
		out = append(out, one)
	}
	return out, true
}

func (m *machine) tellBalance(e *host.Effect, v *value) {
	words := "balanced by " + v.words
	if len(v.alts) > 0 && !slices.Contains(e.Evidence, words) {
		e.Evidence = append(e.Evidence, words)
	}
}

func (m *machine) origin(v *value) string {
	if len(m.states) == 0 {
		return v.words
	}
	return m.describe(&m.states[0], v)
}

func target(addr, port [][]byte) host.Target {
	var t host.Target
	if len(addr) > 0 {
		t.Lo, _ = netip.AddrFromSlice(addr[0])
		t.Hi, _ = netip.AddrFromSlice(addr[len(addr)-1])
	}
	if len(port) > 0 && len(port[0]) >= 2 {
		t.PortLo, t.PortHi = small(port[0][:2]), small(port[len(port)-1][:2])
		t.ToZero = t.PortLo == 0 && t.PortHi == 0
	}
	return t
}
