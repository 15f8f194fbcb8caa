package portmap

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// destinations are where the last redirect sends packets. What a rewrite keeps of
// them, the address or the port, is what the redirects before it made of them. A
// translation begins at the connection's tuple instead (nf_nat_manip_pkt), which
// only rewrites before the tracking have changed.
func (m *Map) destinations(a *answer) []string {
	last := a.last()
	before := a.taken[:slices.Index(a.taken, last)]
	if last.Kind != "rewrite" {
		before = m.untracked(before)
	}
	if last.Kind == "tproxy" || len(before) == 0 {
		return m.targets(last)
	}
	changed := false
	var out []string
	for _, t := range last.To {
		full := completed(t, last.Kind == "rewrite", before)
		changed = changed || full != t
		out = append(out, full.String())
	}
	if !changed {
		return m.targets(last)
	}
	return out
}

// conntrack is the priority of the connection tracking in prerouting and output
// (NF_IP_PRI_CONNTRACK, linux/netfilter_ipv4.h).
const conntrack = -200

// untracked are the rewrites before the connection tracking.
func (m *Map) untracked(list []*host.Effect) []*host.Effect {
	return slices.DeleteFunc(slices.Clone(list), func(e *host.Effect) bool {
		rows := m.by[e]
		return e.Kind != "rewrite" || len(rows) == 0 || m.rows[rows[0]].Rule == nil || m.rows[rows[0]].Rule.Priority >= conntrack
	})
}

// completed fills in what a target keeps, from the nearest redirect before that
// set it; keepsAddress says whether no address means that it is kept, and not this host.
// One of several destinations leaves it open.
func completed(t host.Target, keepsAddress bool, before []*host.Effect) host.Target {
	if t.Dev != "" || t.Unix != "" {
		return t
	}
	for _, e := range slices.Backward(before) {
		if e.Kind == "tproxy" || len(e.To) != 1 || e.To[0].Dev != "" || e.To[0].Unix != "" {
			continue
		}
		x := e.To[0]
		if t.PortLo == 0 && !t.ToZero && (x.PortLo != 0 || x.ToZero) {
			t.PortLo, t.PortHi, t.Base, t.ToZero = x.PortLo, x.PortHi, x.Base, x.ToZero
		}
		if keepsAddress && !t.Lo.IsValid() {
			t.Lo, t.Hi, t.Prefix = x.Lo, x.Hi, x.Prefix
			keepsAddress = e.Kind == "rewrite"
		}
	}
	return t
}
