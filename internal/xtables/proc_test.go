package xtables

import (
	"slices"
	"testing"
)

// Only modules can tell whether ebtables-legacy has rules.
func TestModulesOfEbtables(t *testing.T) {
	const modules = `ebtable_nat 16384 1 - Live 0x0000000000000000
ebtable_filter 16384 0 - Live 0x0000000000000000
ebtables 45056 2 ebtable_nat,ebtable_filter, Live 0x0000000000000000
ebtable_broute 16384 - - Live 0x0000000000000000
ip_tables 36864 1 iptable_nat, Live 0x0000000000000000
`
	if got := modulesInUse(modules); !slices.Equal(got, []string{"nat", "broute"}) {
		t.Errorf("in use: %v", got)
	}
	const builtin = "kernel/net/bridge/netfilter/ebtables.ko\nkernel/net/bridge/netfilter/ebtable_nat.ko\n"
	if got := builtinTables(builtin); !slices.Equal(got, []string{"nat"}) {
		t.Errorf("built in: %v", got)
	}
	if modulesInUse("") != nil || builtinTables("") != nil {
		t.Error("a kernel without modules has tables")
	}
}
