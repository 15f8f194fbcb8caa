package route

import (
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// policyRoutes finds rules that send traffic to another machine: those asked
// before the local table (they take away the host's own addresses), and those
// that choose by port or protocol.
func (v *view) policyRoutes() []host.Redirect {
	var out []host.Redirect
	for _, r := range v.rules {
		if r.action != unix.FR_ACT_TO_TBL || r.l3mdev || ownTable(r.table) {
			continue
		}
		before := v.beforeLocal(r)
		if !before && !r.chooses() {
			continue
		}
		targets := v.leads(r)
		if len(targets) == 0 {
			continue
		}
		out = append(out, v.policyRow(r, before, targets))
	}
	return out
}

func ownTable(t uint32) bool {
	return t == unix.RT_TABLE_LOCAL || t == unix.RT_TABLE_MAIN || t == unix.RT_TABLE_DEFAULT
}

// chooses says whether the rule picks traffic by port or protocol: that is how
// one service is sent elsewhere. Rules by source, interface or mark alone are
// how a host with several uplinks or a VPN routes.
func (r rule) chooses() bool {
	return r.dport != [2]uint16{} || r.sport != [2]uint16{} || r.proto != 0
}

// beforeLocal says whether the rule is asked before the local table, so that
// it can take packets for the host's own addresses.
func (v *view) beforeLocal(r rule) bool {
	for _, l := range v.rules {
		if l.family == r.family && l.table == unix.RT_TABLE_LOCAL && l.action == unix.FR_ACT_TO_TBL && l.priority < r.priority {
			return false
		}
	}
	return true
}

// leads gives where the table sends packets: next hops and devices. Tables
// that only throw away or hold local routes lead nowhere else.
func (v *view) leads(r rule) []host.Target {
	var out []host.Target
	for _, x := range v.routes {
		if x.family != r.family || x.table != r.table || x.kind != unix.RTN_UNICAST {
			continue
		}
		switch {
		case x.gateway.IsValid():
			out = append(out, host.AddrTarget(x.gateway, 0))
		case x.oif != 0:
			out = append(out, host.Target{Dev: v.ifname(x.oif)})
		default:
			out = append(out, host.Target{Dev: "several next hops"})
		}
	}
	return out
}

func (v *view) policyRow(r rule, before bool, targets []host.Target) host.Redirect {
	x := row("route", "policy-route", familyOf(r.family))
	v.restrict(&x, r)
	x.Targets = targets
	x.Evidence = append(x.Evidence, "ip rule "+r.String())
	for _, rt := range v.routes {
		if rt.family == r.family && rt.table == r.table {
			x.Evidence = append(x.Evidence, "route "+v.text(rt))
		}
	}
	x.Why = []string{"the rule is asked after the local table: it takes packets that are not for this host"}
	if before {
		x.Why = []string{"the rule is asked before the local table: it takes packets for this host's own addresses"}
	}
	if !before && !v.forwards(r.family) && r.iif != "lo" {
		x.Direction = "outbound"
		x.Why = append(x.Why, "forwarding is off: only packets of this host itself")
	}
	x.Ref = v.ref(refRule, r.String(), r.raw)
	x.Advice = "ip rule del pref " + priority(r) + ", and restore `ip rule add pref 0 lookup local` where it was moved"
	return finish(x, r.String())
}

func (v *view) forwards(family uint8) bool {
	if family == unix.AF_INET6 {
		return v.sysctl.forward6
	}
	return v.sysctl.forward4
}

// restrict states what the rule selects.
func (v *view) restrict(x *host.Redirect, r rule) {
	if r.invert {
		x.Conditions = append(x.Conditions, "not: "+r.String())
		return
	}
	m := x.Match
	if r.proto != 0 {
		m.Protos = host.ProtosOf(host.Proto(r.proto))
	}
	if r.dport != [2]uint16{} {
		m.Ports = host.PortsOf(r.dport[0], r.dport[1])
	}
	if r.sport != [2]uint16{} {
		m.SPorts = host.PortsOf(r.sport[0], r.sport[1])
		x.Conditions = append(x.Conditions, "source port "+rangeText(r.sport))
	}
	if r.dst.Bits() > 0 {
		m.Address = host.AddrsOf(r.dst)
	}
	if r.src.Bits() > 0 {
		m.Source = host.AddrsOf(r.src)
	}
	if r.iif != "" {
		m.In = host.Ifaces{Names: []string{r.iif}}
		x.Conditions = append(x.Conditions, "in "+r.iif)
	}
	if r.hasMark {
		x.Conditions = append(x.Conditions, "mark "+markText(r))
	}
}
