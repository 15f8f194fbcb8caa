package audit

import (
	"cmp"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// inOrder sorts the rows that are no rules: their sources run side by side, and
// a report must not depend on which of them was first.
func inOrder(rows []host.Redirect) []host.Redirect {
	slices.SortStableFunc(rows, func(a, b host.Redirect) int {
		return cmp.Or(cmp.Compare(rank(a.Mechanism), rank(b.Mechanism)), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Ports, b.Ports), cmp.Compare(a.Address, b.Address), cmp.Compare(a.ID, b.ID))
	})
	return rows
}

// rank is the order of the mechanisms in a report: the contract's.
func rank(mechanism string) int {
	return slices.Index([]string{"rule", "route", "neighbour", "tc", "bpf", "ipvs", "relay", "socket", "flow", "saved"}, mechanism)
}
