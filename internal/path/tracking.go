package path

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// tracks says whether the kernel tracks connections of the family. It
// does where a rule asks for it (nf_ct_netns_get): without one the chains of type
// nat hang at their hooks and are never run.
func (e *Engine) tracks(family host.Family) truth {
	for _, t := range e.world.Space.Tables {
		if concerns(t, family) && slices.ContainsFunc(t.Chains, func(c *host.Chain) bool { return chainTracks(t, c, family) }) {
			return yes
		}
	}
	if !e.world.Space.TrackedIn(family) {
		return no
	}
	return maybe
}

func chainTracks(t *host.Table, c *host.Chain, family host.Family) bool {
	return slices.ContainsFunc(c.Rules, func(r *host.Rule) bool {
		return slices.ContainsFunc(r.Branches, func(b host.Branch) bool { return branchTracks(b) || branchTranslates(t, b, family) })
	})
}

// branchTranslates knows translations. In a table of both families one asks for
// tracking of its own family only, which its destination tells (nft_nat_init).
func branchTranslates(t *host.Table, b host.Branch, family host.Family) bool {
	return slices.ContainsFunc(b.Effects, func(e host.Effect) bool {
		switch e.Kind {
		case "redirect", "masquerade":
			return true
		case "dnat", "netmap", "snat":
			return t.Family != host.Inet || slices.ContainsFunc(e.To, func(x host.Target) bool { return x.Lo.IsValid() && x.Lo.Is4() == (family == host.IP) })
		}
		return false
	})
}

// branchTracks knows the uses of connection tracking that the model states; of
// others, which stand in words, it is not sure.
func branchTracks(b host.Branch) bool {
	return slices.ContainsFunc(b.Assigns, func(a host.Assign) bool { return a.Field == host.FieldCTMark || a.From == host.FieldCTMark }) ||
		slices.ContainsFunc(b.Match.Tests, func(t host.Test) bool {
			return t.NeedsFlow || t.Field == host.FieldCTState || t.Field == host.FieldOriginal
		})
}

// tracked is where connection tracking looks at the packet.
func (k *walker) tracked(ways []state) []state {
	const words = "connections of the family are tracked"
	out := k.list(len(ways))
	for _, s := range ways {
		if s.flow != noFlow {
			out = append(out, s)
			continue
		}
		if k.tracking == maybe && k.view.nat {
			out = append(out, s.guessing(negated(words)))
			s = s.guessing(words)
		}
		if s.orig = s.tuple; k.tracking != no {
			s.flow = newFlow
		}
		out = append(out, s)
	}
	return out
}
