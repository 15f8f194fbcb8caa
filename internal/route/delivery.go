package route

import (
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// deliveries are the local routes for addresses that are not the host's own,
// with what leads packets to them: by this a TPROXY rule is known to be whole.
func (v *view) deliveries() []host.Delivery {
	out := []host.Delivery{}
	for _, r := range v.routes {
		if r.kind != unix.RTN_LOCAL || v.natural(r) {
			continue
		}
		out = append(out, host.Delivery{
			Family: familyOf(r.family), Route: v.text(r), Fingerprint: object(refRoute, r.raw).Fingerprint,
			Address: host.AddrsOf(r.dst), Always: ownTable(r.table), Rules: v.leading(r)})
	}
	return out
}

// leading are the policy rules that name the route's table.
func (v *view) leading(r route) []host.Selector {
	var out []host.Selector
	for _, x := range v.rules {
		if x.family != r.family || x.table != r.table || x.action != unix.FR_ACT_TO_TBL {
			continue
		}
		// A rule for mark 0, or for all but a mark, takes packets that nobody marked.
		marked := x.hasMark && x.mark&x.markMask != 0 && !x.invert
		out = append(out, host.Selector{Words: x.String(), Marked: marked, Mark: x.mark, Mask: x.markMask})
	}
	return out
}
