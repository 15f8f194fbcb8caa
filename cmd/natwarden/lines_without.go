package main

import (
	"bytes"

	"github.com/natwarden/natwarden/internal/host"
)

// without is a namespace as it would be when objects are gone: a rule, or an
// element of a set.
func without(space *host.Space, gone []host.Ref) *host.Space {
	out := &host.Space{Netns: space.Netns, NetnsUID: space.NetnsUID, Ifaces: space.Ifaces, Addrs: space.Addrs, Listeners: space.Listeners,
		Packets: space.Packets, Queues: space.Queues, Redirects: space.Redirects, Deliveries: space.Deliveries, Unreached: space.Unreached, Generation: space.Generation,
		Failed: space.Failed, Partial: space.Partial}
	for _, family := range []host.Family{host.IP, host.IP6} {
		if space.TrackedIn(family) {
			out.NoteTracking(family)
		}
	}
	if marker := space.Marker(); marker != "" {
		out.NoteMarker(marker)
	}
	for _, t := range space.Tables {
		out.Tables = append(out.Tables, tableWithout(t, gone))
	}
	return out
}

func tableWithout(t *host.Table, gone []host.Ref) *host.Table {
	var mine []host.Ref
	for _, ref := range gone {
		if ref.Backend == t.Backend && ref.Family == t.Family && ref.Table == t.Name {
			mine = append(mine, ref)
		}
	}
	if len(mine) == 0 {
		return t
	}
	out := *t
	out.Chains = make([]*host.Chain, len(t.Chains))
	for i, c := range t.Chains {
		less := *c
		less.Rules = nil
		for _, r := range c.Rules {
			if kept := ruleWithout(c, r, mine); kept != nil {
				less.Rules = append(less.Rules, kept)
			}
		}
		out.Chains[i] = &less
	}
	return &out
}

// ruleWithout is what stays of a rule; nil for nothing.
func ruleWithout(c *host.Chain, r *host.Rule, gone []host.Ref) *host.Rule {
	kept := *r
	for i := range gone {
		ref := &gone[i]
		itself := ref.Chain == c.Name && ref.Handle == r.Handle && ref.Index == r.Index
		switch {
		case ref.Set == "" && itself:
			return nil
		case ref.Set != "" && (itself || !ref.Anonymous):
			kept.Branches = branchesWithout(kept.Branches, ref)
		}
	}
	if len(kept.Branches) == 0 && len(r.Branches) > 0 {
		return nil
	}
	return &kept
}

func branchesWithout(all []host.Branch, ref *host.Ref) []host.Branch {
	var out []host.Branch
	for _, b := range all {
		if e := b.Element; e == nil || e.Set != ref.Set || !bytes.Equal(e.Raw, ref.Key) {
			out = append(out, b)
		}
	}
	return out
}
