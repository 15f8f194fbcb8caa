package nft

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// UsesConntrack says whether a rule makes the kernel track connections: an
// expression or extension that looks at conntrack or translates. Names are looked
// for as they stand in the messages, with their NUL.
func (d *Dump) UsesConntrack() bool { return len(d.TrackedFamilies()) > 0 }

// TrackedFamilies are the families of packets, IP and IP6, for which a rule does.
func (d *Dump) TrackedFamilies() []host.Family {
	var out []host.Family
	for _, family := range []host.Family{host.IP, host.IP6} {
		if slices.ContainsFunc(d.Tables, func(t *Table) bool {
			return familyOf(t.Family) != otherFamily(family) && usesConntrack(t, family)
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

// usesConntrack says whether a rule of the table asks for tracking of packets of
// the family. A translation asks for its own family only, also in an inet table
// (nft_nat_init); all else for that of the table.
func usesConntrack(t *Table, family host.Family) bool {
	var names [][]byte
	for _, name := range []string{"ct", "masq", "redir", "ct_expect", "connlimit", "synproxy", "flow_offload",
		"conntrack", "state", "connmark", "connbytes", "connlabel", "helper", "cluster",
		"DNAT", "SNAT", "REDIRECT", "MASQUERADE", "NETMAP", "CT", "CONNMARK", "CONNSECMARK", "SYNPROXY"} {
		names = append(names, append([]byte(name), 0))
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if containsAny(r.Exprs, names) || translates(t, r.Exprs, family) {
				return true
			}
		}
	}
	return false
}

// Attributes of a list of expressions, and of nat (enum nft_list_attributes,
// nft_expr_attributes, nft_nat_attributes).
const (
	listElem  = 1
	exprName  = 1
	exprData  = 2
	natFamily = 2
)

// translates says whether one of the expressions is a nat for the family.
func translates(t *Table, exprs []byte, family host.Family) bool {
	if !bytes.Contains(exprs, []byte("nat\x00")) {
		return false
	}
	if familyOf(t.Family) != host.Inet {
		return true
	}
	this, other := false, false
	_ = Walk(exprs, func(typ uint16, e []byte) {
		if typ == listElem && Text(Find(e, exprName)) == "nat" {
			of := U32(FindPath(e, exprData, natFamily)) == familyNumber(family)
			this, other = this || of, other || !of
		}
	})
	return this || !other // the word alone may be the name of something
}

func familyNumber(f host.Family) uint32 {
	if f == host.IP6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

func containsAny(b []byte, names [][]byte) bool {
	for _, name := range names {
		if bytes.Contains(b, name) {
			return true
		}
	}
	return false
}
