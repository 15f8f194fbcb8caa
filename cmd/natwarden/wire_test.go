package main

import (
	"slices"
	"testing"
)

// Without them every flow would be of no rule, and no relay be found: proof of
// what nobody has looked at.
func TestSourcesBringWhatTheyNeed(t *testing.T) {
	for group, want := range map[string][]string{
		groupFlows:  {"nf_tables", "x_tables", "conntrack"},
		groupRelays: {"sockets", "relays"},
		groupRoutes: {"routes"},
	} {
		in, err := inputFor(nil, nil, []string{group})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range in.Sources {
			if s.Group() != always {
				got = append(got, s.Name())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", group, got, want)
		}
	}
}
