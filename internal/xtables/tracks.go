package xtables

import "bytes"

// UsesConntrack says whether an entry makes the kernel track connections: a
// match that looks at conntrack, or a target that translates. Names are looked for
// as they stand in the entries, with their NUL.
func (d *Dump) UsesConntrack() bool {
	for _, t := range d.Tables {
		for _, name := range []string{"conntrack", "state", "connmark", "connbytes", "connlabel", "connlimit", "helper", "cluster",
			"DNAT", "SNAT", "REDIRECT", "MASQUERADE", "NETMAP", "CT", "CONNMARK", "CONNSECMARK", "SYNPROXY"} {
			if bytes.Contains(t.Blob, append([]byte(name), 0)) {
				return true
			}
		}
	}
	return false
}
