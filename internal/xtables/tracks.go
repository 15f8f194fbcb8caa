package xtables

import (
	"bytes"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// UsesConntrack says whether an entry makes the kernel track connections: a
// match that looks at conntrack, or a target that translates. Names are looked for
// as they stand in the entries, with their NUL.
func (d *Dump) UsesConntrack() bool { return len(d.TrackedFamilies()) > 0 }

// TrackedFamilies are the families of packets, IP and IP6, for which an entry does.
func (d *Dump) TrackedFamilies() []host.Family {
	var out []host.Family
	for _, t := range d.Tables {
		for _, name := range []string{"conntrack", "state", "connmark", "connbytes", "connlabel", "connlimit", "helper", "cluster",
			"DNAT", "SNAT", "REDIRECT", "MASQUERADE", "NETMAP", "CT", "CONNMARK", "CONNSECMARK", "SYNPROXY"} {
			if !slices.Contains(out, t.Family) && bytes.Contains(t.Blob, append([]byte(name), 0)) {
				out = append(out, t.Family)
			}
		}
	}
	return out
}
