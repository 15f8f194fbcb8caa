package nft

import (
	"bytes"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// UsesConntrack says whether a rule makes the kernel track connections: an
// expression or extension that looks at conntrack or translates. Names are looked
// for as they stand in the messages, with their NUL.
func (d *Dump) UsesConntrack() bool { return slices.ContainsFunc(d.Tables, usesConntrack) }

// TrackedFamilies are the families of packets, IP and IP6, for which a rule does.
func (d *Dump) TrackedFamilies() []host.Family {
	var out []host.Family
	for _, family := range []host.Family{host.IP, host.IP6} {
		if slices.ContainsFunc(d.Tables, func(t *Table) bool {
			f := familyOf(t.Family)
			return f != otherFamily(family) && usesConntrack(t)
		}) {
			out = append(out, family)
		}
	}
	return out
}

func otherFamily(f host.Family) host.Family {
	if f == host.IP {
		return host.IP6
	}
	return host.IP
}

func usesConntrack(t *Table) bool {
	var names [][]byte
	for _, name := range []string{"ct", "nat", "masq", "redir", "ct_expect", "connlimit", "synproxy", "flow_offload",
		"conntrack", "state", "connmark", "connbytes", "connlabel", "helper", "cluster",
		"DNAT", "SNAT", "REDIRECT", "MASQUERADE", "NETMAP", "CT", "CONNMARK", "CONNSECMARK", "SYNPROXY"} {
		names = append(names, append([]byte(name), 0))
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if containsAny(r.Exprs, names) {
				return true
			}
		}
	}
	return false
}

func containsAny(b []byte, names [][]byte) bool {
	for _, name := range names {
		if bytes.Contains(b, name) {
			return true
		}
	}
	return false
}
