package nft

import (
	"github.com/natwarden/natwarden/internal/host"
)

// doFwd is nft_fwd_netdev: the frame leaves by another interface.
func (m *machine) doFwd(f *fields) {
	m.each(func(s *state) {
		e := host.Effect{Kind: "forward"}
		m.aimDevice(s, &e, f.u32(1))
		if f.has(2) {
			family := familyOf(uint8(f.u32(3)))
			hop := host.Effect{}
			m.aim(&hop, []value{m.get(s, f.u32(2), addrSize(family))}, nil)
			for _, t := range hop.To {
				e.Evidence = append(e.Evidence, "next hop "+t.String())
			}
			if hop.Unknown != "" {
				e.Evidence = append(e.Evidence, "next hop unknown: "+hop.Unknown)
			}
		}
		s.branch.Effects = append(s.branch.Effects, e)
		s.end(host.Stolen, "")
	})
}

// aimDevice fills in the interfaces that a register can name by index.
func (m *machine) aimDevice(s *state, e *host.Effect, register uint32) {
	v := m.get(s, register, 4)
	switch v.kind {
	case constant:
		e.To = append(e.To, host.Target{Dev: m.t.ifname(uint32(hostNumber(v.data, false)))})
	case choice:
		m.tellBalance(e, &v)
		for _, alt := range v.alts {
			e.To = append(e.To, host.Target{Dev: m.t.ifname(uint32(hostNumber(alt, false)))})
		}
	default:
		e.Unknown = "its interface comes from " + m.describe(s, &v)
	}
}

// doDup is nft_dup: a copy goes elsewhere, the packet goes on.
func (m *machine) doDup(f *fields) {
	m.each(func(s *state) {
		e := host.Effect{Kind: "dup"}
		if f.has(1) {
			m.aim(&e, []value{m.get(s, f.u32(1), m.dupSize(s))}, nil)
		}
		if f.has(2) {
			dev := host.Effect{}
			m.aimDevice(s, &dev, f.u32(2))
			e.Unknown = first(e.Unknown, dev.Unknown)
			switch {
			case !f.has(1):
				e.To = dev.To
			default:
				for _, t := range dev.To {
					e.Evidence = append(e.Evidence, "by interface "+t.Dev)
				}
			}
		}
		s.branch.Effects = append(s.branch.Effects, e)
	})
}

// dupSize is that of an address of the packets, or of what stands in the register.
func (m *machine) dupSize(s *state) int {
	switch m.family(s) {
	case host.IP:
		return 4
	case host.IP6:
		return 16
	}
	return 0
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// NFT_QUEUE_FLAG_*
const (
	queueBypass = 0x1
	queueFanout = 0x2
)

// doQueue is nft_queue: a process in user space decides, and may answer.
func (m *machine) doQueue(f *fields) {
	m.each(func(s *state) {
		e := queueEffect(int(f.u16(1)))
		if n := int(f.u16(2)); n > 1 {
			e.Evidence[0] += "-" + itoa(int(f.u16(1))+n-1)
		}
		if f.has(4) {
			v := m.get(s, f.u32(4), 2)
			e.Evidence[0] = "queue by " + m.describe(s, &v)
		}
		if f.u16(3)&queueFanout != 0 {
			e.Evidence = append(e.Evidence, "fanout")
		}
		if f.u16(3)&queueBypass != 0 {
			e.Evidence = append(e.Evidence, "bypass")
		}
		s.branch.Effects = append(s.branch.Effects, e)
		s.end(host.Queue, "")
	})
}

func queueEffect(number int) host.Effect {
	return host.Effect{Kind: "queue", Evidence: []string{"queue " + itoa(number)}}
}

func (m *machine) doReject(f *fields) {
	how := host.Assign{Field: host.FieldReject}
	if f.u32(1) == rejectReset {
		how.Value = host.ByReset
	}
	m.each(func(s *state) {
		s.assign(how)
		s.end(host.Drop, "")
	})
}

// rejectReset is NFT_REJECT_TCP_RST.
const rejectReset = 1
