package main

import (
	"bytes"

	"github.com/natwarden/natwarden/internal/host"
)

// without is a namespace as it would be when objects are gone: a rule, or an
// element of a set. all is false where a rule that they name is not there any more, or cannot be
// told from others: then what is left says nothing about the change.
func without(space *host.Space, gone []host.Ref) (out *host.Space, all bool) {
	out = &host.Space{Netns: space.Netns, NetnsUID: space.NetnsUID, Ifaces: space.Ifaces, Addrs: space.Addrs, Listeners: space.Listeners,
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
	named, all := namedBy(space, gone)
	for _, t := range space.Tables {
		out.Tables = append(out.Tables, tableWithout(t, gone, named))
	}
	return out, all
}

// namedBy gives for each rule the refs that name it; all says whether each of
// them names one.
func namedBy(space *host.Space, refs []host.Ref) (named map[*host.Rule][]host.Ref, all bool) {
	named, all = map[*host.Rule][]host.Ref{}, true
	for _, ref := range refs {
		if !isRule(ref) {
			continue
		}
		r := ruleNow(space, ref)
		named[r] = append(named[r], ref)
		all = all && r != nil
	}
	return named, all
}

// ruleNow finds a rule again as the editors do, for others may have written since
// it was read: by its handle, or, in iptables-legacy, by its content, as long as
// it stands where it stood or is the only one of its kind. nil where it is not found.
func ruleNow(space *host.Space, ref host.Ref) *host.Rule {
	var found []*host.Rule
	for _, t := range space.Tables {
		if !isOf(ref, t) {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if c.Name != ref.Chain || r.Handle != ref.Handle || r.Fingerprint != ref.Fingerprint {
					continue
				}
				if r.Index == ref.Index || ref.Handle != 0 {
					return r
				}
				found = append(found, r)
			}
		}
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

func isOf(ref host.Ref, t *host.Table) bool {
	return ref.Backend == t.Backend && ref.Family == t.Family && ref.Table == t.Name
}

func tableWithout(t *host.Table, gone []host.Ref, named map[*host.Rule][]host.Ref) *host.Table {
	var shared []host.Ref // elements of sets with a name, which any rule may use
	mine := false
	for _, ref := range gone {
		if isOf(ref, t) {
			mine = true
			if ref.Set != "" && !ref.Anonymous {
				shared = append(shared, ref)
			}
		}
	}
	if !mine {
		return t
	}
	out := *t
	out.Chains = make([]*host.Chain, len(t.Chains))
	for i, c := range t.Chains {
		less := *c
		less.Rules = nil
		for _, r := range c.Rules {
			if kept := ruleWithout(r, append(named[r], shared...)); kept != nil {
				less.Rules = append(less.Rules, kept)
			}
		}
		out.Chains[i] = &less
	}
	return &out
}

// ruleWithout is what stays of a rule; nil for nothing.
func ruleWithout(r *host.Rule, gone []host.Ref) *host.Rule {
	kept := *r
	for i := range gone {
		if gone[i].Set == "" {
			return nil
		}
		kept.Branches = branchesWithout(kept.Branches, &gone[i])
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
