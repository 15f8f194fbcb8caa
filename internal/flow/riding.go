package flow

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// Riding gives the question whether a translated flow rides a rule: what its
// client asked for lies in the match, and who answers is one of the
// destinations. Conditions in words are not looked at; interfaces and marks do
// not stand in a flow.
//
// Only kinds that conntrack translates have flows: dnat, redirect, netmap.
func Riding(m *host.Match, to []host.Target, kind string) func(Flow) bool {
	return func(f Flow) bool {
		switch kind {
		case "dnat", "redirect", "netmap":
			return f.Translated() && taken(m, &f.Orig) && answered(to, &f)
		}
		return false
	}
}

func taken(m *host.Match, t *Tuple) bool {
	family := host.IP
	if t.Dst.Is6() {
		family = host.IP6
	}
	if m.Family != "" && m.Family != host.Both && m.Family != family {
		return false
	}
	if !m.Protos.Has(t.Proto) || !m.Address.Has(t.Dst) || !m.Source.Has(t.Src) {
		return false
	}
	if !t.Proto.HasPorts() {
		return m.Ports.Any() && m.SPorts.Any()
	}
	return m.Ports.Has(host.Port(t.DstPort)) && m.SPorts.Has(host.Port(t.SrcPort))
}

func answered(to []host.Target, f *Flow) bool {
	for _, t := range to {
		if portFits(t, f) && addrFits(t, f.Orig.Dst, f.Reply.Src) {
			return true
		}
	}
	return false
}

// portFits: a destination without ports keeps the one that was asked for
// (net/netfilter/nf_nat_core.c). Of shifted ranges any port may be the answer,
// since the kernel goes on to the next where one is in use.
func portFits(t host.Target, f *Flow) bool {
	if t.PortLo == 0 && t.PortHi == 0 {
		return f.Reply.SrcPort == f.Orig.DstPort
	}
	return f.Reply.SrcPort >= t.PortLo && f.Reply.SrcPort <= max(t.PortLo, t.PortHi)
}

// addrFits: a destination without address is this host, on whichever of its
// addresses the packet came in; that of a prefix keeps the host part.
func addrFits(t host.Target, asked, answers netip.Addr) bool {
	switch {
	case t.Local():
		return true
	case !t.Lo.IsValid() || t.Lo.Is4() != answers.Is4():
		return false
	case answers.Less(t.Lo) || t.Hi.Less(answers):
		return false
	}
	return !t.Prefix || sameHostPart(t, asked, answers)
}

// sameHostPart compares the bits in which the ends of the prefix differ.
func sameHostPart(t host.Target, asked, answers netip.Addr) bool {
	lo, hi, a, b := t.Lo.AsSlice(), t.Hi.AsSlice(), asked.AsSlice(), answers.AsSlice()
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if (a[i]^b[i])&(lo[i]^hi[i]) != 0 {
			return false
		}
	}
	return true
}
