package edit

import (
	"encoding/binary"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// XT_STATISTIC_MODE_NTH of include/uapi/linux/netfilter/xt_statistic.h: the
// other mode is random and remembers nothing.
const statisticNth = 1

// XT_BPF_MODE_FD_ELF of include/uapi/linux/netfilter/xt_bpf.h: the rule holds
// the number of a file that was open in the process that wrote it.
const bpfELF = 2

// stateful names the matches of a rule that start anew whenever their table
// is written: the kernel makes their memory when it checks the entry. Tables
// of hashlimit and lists of recent live on by their names.
func stateful(family host.Family, raw []byte) []string {
	return matchesOf(family, raw, "limit", "quota", "connlimit", "statistic")
}

// forgetful names the matches of a rule that have nothing left to remember
// when it is put back, if no other rule shared their memory meanwhile.
func forgetful(family host.Family, raw []byte) []string {
	return matchesOf(family, raw, "limit", "quota", "connlimit", "statistic", "hashlimit", "recent")
}

// matchesOf gives which of the named matches a rule has. A statistic match
// counts only where it remembers something.
func matchesOf(family host.Family, raw []byte, names ...string) []string {
	var found []string
	xtables.EachMatch(family, raw, func(name string, _ uint8, info []byte) {
		if name == "statistic" && (len(info) < 2 || binary.NativeEndian.Uint16(info) != statisticNth) {
			return
		}
		if slices.Contains(names, name) && !slices.Contains(found, name) {
			found = append(found, name)
		}
	})
	return found
}

// holdsELF says whether a rule holds the number of an open file, which means
// nothing in any other process: its table cannot be written again.
func holdsELF(family host.Family, raw []byte) bool {
	found := false
	xtables.EachMatch(family, raw, func(name string, revision uint8, info []byte) {
		found = found || name == "bpf" && revision == 1 && len(info) >= 2 && binary.NativeEndian.Uint16(info) == bpfELF
	})
	return found
}
