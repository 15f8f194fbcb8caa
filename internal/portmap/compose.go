package portmap

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// destinations are where the last redirect sends packets. What it keeps of them,
// the address or the port, is what the redirects before it made of them.
func (m *Map) destinations(a *answer) []string {
	last := a.last()
	before := a.taken[:slices.Index(a.taken, last)]
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
