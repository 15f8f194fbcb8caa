package relay

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// longestChain bounds how many relays on this host are followed one behind
// another.
const longestChain = 5

// joinChains follows destinations on this host: where another relay answers
// there that leads outside, so does the first.
func (f *finder) joinChains(ctx context.Context) {
	servers := f.unixServers(ctx)
	for range longestChain {
		changed := false
		for i := range f.rows {
			changed = f.extend(&f.rows[i], servers) || changed
		}
		if !changed {
			return
		}
	}
}

// extend adds to a row what stands behind its destinations on this host. It
// says whether that was new.
func (f *finder) extend(w *row, servers map[string][]row) bool {
	changed := false
	for _, d := range slices.Clone(w.to) {
		var next []row
		switch {
		case d.name != "" || d.outside(f.own):
			continue
		case d.target.Unix != "":
			next = servers[d.target.Unix]
		default:
			next = f.answering(d.target, w)
		}
		for _, n := range next {
			changed = w.join(d, n, f.own) || changed
		}
	}
	return changed
}

// join takes over where another row leads, if that is another machine.
func (w *row) join(through destination, n row, own func(netip.Addr) bool) bool {
	changed := n.open && !w.open
	w.open = w.open || n.open
	for _, d := range n.to {
		if !slices.Contains(w.to, d) && (d.outside(own) || d.target.Unix != "") {
			w.to, changed = append(w.to[:len(w.to):len(w.to)], d), true
		}
	}
	if changed {
		w.behind = append(w.behind, fmt.Sprintf("%s is served by %s (pid %d), which passes on as well", through, n.process.Name, n.process.PID))
	}
	return changed
}

// answering gives the rows of the listeners that take connections to an
// address of this host.
func (f *finder) answering(t host.Target, but *row) []row {
	var out []row
	for i := range f.rows {
		n := &f.rows[i]
		if n == but || n.listener.Port != t.PortLo || n.fed {
			continue
		}
		bound, err := netip.ParseAddr(n.listener.Address)
		if err == nil && (bound.IsUnspecified() || !t.Lo.IsValid() || bound.Unmap() == t.Lo) {
			out = append(out, *n)
		}
	}
	return out
}

// unixServers finds what serves the unix sockets that rows lead to, where that
// is a known relay.
func (f *finder) unixServers(ctx context.Context) map[string][]row {
	out := map[string][]row{}
	wanted := map[uint64]bool{}
	for _, w := range f.rows {
		for _, d := range w.to {
			if inode := f.unix[d.target.Unix]; inode != 0 && d.target.Unix != "" {
				wanted[inode] = true
			}
		}
	}
	if len(wanted) == 0 {
		return out
	}
	held, err := proc.Holders(ctx, wanted)
	if err != nil {
		f.blind = append(f.blind, host.Blind{Source: source, What: "who serves unix sockets", Why: err.Error()})
		return out
	}
	describer := proc.NewDescriber(nil)
	for path, inode := range f.unix {
		for _, pid := range held.PIDs[inode] {
			p, err := describer.Describe(ctx, pid)
			if err != nil {
				continue // it has ended
			}
			for _, h := range f.know(&p).hops {
				if h.listen.unix == path {
					out[path] = append(out[path], row{process: &p, hop: h})
				}
			}
		}
	}
	return out
}
