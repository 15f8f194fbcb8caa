package nft

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// Names of those who write rules, as the contract has them.
const (
	writerNft      = "nft"
	writerIptables = "iptables-nft"
	writerEbtables = "ebtables-nft"
)

// writer says which tool a rule is from. An x_tables match or target is surely
// not nft's; without one the rule must stand in a table that looks like
// iptables' and hold a counter, as every rule of iptables-nft does, and nothing
// that iptables-nft does not write.
func (m *machine) writer() string {
	if !m.xtUsed && (!m.t.mine || m.native || !m.counted) {
		return writerNft
	}
	if m.nativeNAT {
		return writerNft
	}
	if m.t.family == host.Bridge {
		return writerEbtables
	}
	return writerIptables
}

// xtablesTables are the names that iptables-nft and ebtables-nft give.
var xtablesTables = map[host.Family][]string{
	host.IP:     {"filter", "nat", "mangle", "raw", "security"},
	host.IP6:    {"filter", "nat", "mangle", "raw", "security"},
	host.ARP:    {"filter"},
	host.Bridge: {"filter", "nat", "broute"},
}

// xtablesHooks are the base chains of iptables: their names and hooks.
var xtablesHooks = map[string]string{
	"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward", "OUTPUT": "output",
	"POSTROUTING": "postrouting", "BROUTING": "brouting",
}

// looksLikeXtables says whether name and chains of a table are as iptables makes
// them: a base chain is called after its hook.
func (t *tableDecoder) looksLikeXtables() bool {
	if !slices.Contains(xtablesTables[t.family], t.raw.Name) {
		return false
	}
	for _, c := range t.raw.Chains {
		if b := t.base(c); b != nil && xtablesHooks[c.Name] != b.Hook {
			return false
		}
	}
	return true
}

// Types of user data in a rule (libnftnl, enum nftnl_udata_rule_types).
const udataComment = 0

// commentOf reads the comment from a rule's user data: type, length, bytes,
// one byte each for the first two (libnftnl, udata.c).
func commentOf(userdata []byte) string {
	for len(userdata) >= 2 {
		kind, n := userdata[0], int(userdata[1])
		if n > len(userdata)-2 {
			return ""
		}
		if kind == udataComment {
			return Text(userdata[2 : 2+n])
		}
		userdata = userdata[2+n:]
	}
	return ""
}
