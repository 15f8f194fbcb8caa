package nft

import "bytes"

// UsesConntrack says whether a rule makes the kernel track connections: an
// expression or extension that looks at conntrack or translates. Names are looked
// for as they stand in the messages, with their NUL.
func (d *Dump) UsesConntrack() bool {
	var names [][]byte
	for _, name := range []string{"ct", "nat", "masq", "redir", "ct_expect", "connlimit", "synproxy", "flow_offload",
		"conntrack", "state", "connmark", "connbytes", "connlabel", "helper", "cluster",
		"DNAT", "SNAT", "REDIRECT", "MASQUERADE", "NETMAP", "CT", "CONNMARK", "CONNSECMARK", "SYNPROXY"} {
		names = append(names, append([]byte(name), 0))
	}
	for _, t := range d.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if containsAny(r.Exprs, names) {
					return true
				}
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
