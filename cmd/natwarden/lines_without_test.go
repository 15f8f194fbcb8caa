package main

import (
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

// Others write between the audit and the guard. The editors find the rule all the
// same, so the walk without it must not go on as if it were there.
func TestWithoutFindsMovedRules(t *testing.T) {
	rule := func(handle uint64, index int, print string) *host.Rule {
		return &host.Rule{Handle: handle, Index: index, Fingerprint: print, Branches: []host.Branch{{}}}
	}
	nft := func(handle uint64, index int, print string) host.Ref {
		return host.Ref{Backend: "nf_tables", Family: host.IP, Table: "nat", Chain: "PREROUTING", Handle: handle, Index: index, Fingerprint: print}
	}
	legacy := func(index int, print string) host.Ref {
		ref := nft(0, index, print)
		ref.Backend = "x_tables"
		return ref
	}
	for name, test := range map[string]struct {
		rules []*host.Rule
		gone  []host.Ref
		left  int
		all   bool
	}{
		"where it stood":                   {[]*host.Rule{rule(7, 1, "a"), rule(8, 2, "b")}, []host.Ref{nft(7, 1, "a")}, 1, true},
		"behind a rule of others":          {[]*host.Rule{rule(9, 1, "new"), rule(7, 2, "a")}, []host.Ref{nft(7, 1, "a")}, 1, true},
		"another with its handle":          {[]*host.Rule{rule(7, 1, "other")}, []host.Ref{nft(7, 1, "a")}, 1, false},
		"gone":                             {[]*host.Rule{rule(8, 1, "a")}, []host.Ref{nft(7, 1, "a")}, 1, false},
		"legacy where it stood":            {[]*host.Rule{rule(0, 1, "a"), rule(0, 2, "a")}, []host.Ref{legacy(1, "a")}, 1, true},
		"legacy behind a rule of others":   {[]*host.Rule{rule(0, 1, "new"), rule(0, 2, "a")}, []host.Ref{legacy(1, "a")}, 1, true},
		"legacy, no telling which of them": {[]*host.Rule{rule(0, 1, "new"), rule(0, 2, "a"), rule(0, 3, "a")}, []host.Ref{legacy(1, "a")}, 3, false},
		"no rule":                          {[]*host.Rule{rule(7, 1, "a")}, []host.Ref{{Backend: "rtnetlink", Table: "route"}}, 1, true},
	} {
		table := &host.Table{Backend: test.gone[0].Backend, Family: host.IP, Name: "nat", Chains: []*host.Chain{{Name: "PREROUTING", Rules: test.rules}}}
		out, all := without(&host.Space{Tables: []*host.Table{table}}, test.gone)
		if left := len(out.Tables[0].Chains[0].Rules); left != test.left || all != test.all {
			t.Errorf("%s: %d rules are left, all found: %v; want %d, %v", name, left, all, test.left, test.all)
		}
	}
}
