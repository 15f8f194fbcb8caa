package route

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// localRoutes finds AnyIP: routes of type local for addresses that the host
// does not hold, so that it answers for them.
func (v *view) localRoutes() []host.Redirect {
	var out []host.Redirect
	for _, r := range v.routes {
		if r.kind != unix.RTN_LOCAL || v.natural(r) {
			continue
		}
		x := row("route", "local-route", familyOf(r.family))
		x.Match.Address = host.AddrsOf(r.dst)
		x.Targets = []host.Target{{}}
		x.Evidence = append(x.Evidence, v.text(r))
		x.State, x.Why = v.reach(r)
		x.Ref = v.ref(refRoute, v.text(r), r.raw)
		x.Advice = "ip route del " + v.typed(r)
		if r.family == unix.AF_INET6 {
			x.Advice = "ip -6 route del " + v.typed(r)
		}
		out = append(out, finish(x, v.text(r)))
	}
	return out
}

// natural says whether the kernel makes the route by itself: for an address of
// the host, or for loopback.
func (v *view) natural(r route) bool {
	if r.dst.IsSingleIP() && v.owns(r.dst.Addr()) {
		return true
	}
	loopback4 := netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)
	if r.dst.Addr().IsLoopback() && (r.dst.IsSingleIP() || r.dst.Masked() == loopback4) {
		return true
	}
	// IPv6 anycast addresses of subnets are of their own type, but older kernels
	// list the subnet-router one as local.
	return r.proto == unix.RTPROT_KERNEL && r.family == unix.AF_INET6 && r.dst.IsSingleIP()
}

// reach says whether some packet is routed by the table, and when.
func (v *view) reach(r route) (string, []string) {
	if r.table == unix.RT_TABLE_LOCAL || r.table == unix.RT_TABLE_MAIN || r.table == unix.RT_TABLE_DEFAULT {
		return host.Active, []string{"table " + tableName(r.table) + " is used for every packet"}
	}
	for _, rule := range v.rules {
		if rule.family == r.family && rule.table == r.table && rule.action == unix.FR_ACT_TO_TBL {
			return host.Active, []string{"policy rule " + rule.String()}
		}
	}
	return host.Inactive, []string{fmt.Sprintf("no policy rule uses table %s", tableName(r.table))}
}
