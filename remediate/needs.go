package remediate

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// Needs are the kinds that --include must name before Run ends a redirect; none
// for rules, elements and flows that act.
func Needs(r *host.Redirect) []string {
	var kinds []string
	for _, kind := range []string{includeFor(r), needOf(r)} {
		if kind != "" && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if r.State == host.Inactive || r.State == host.Latent {
		kinds = append(kinds, IncludeInactive)
	}
	return kinds
}

func needOf(r *host.Redirect) string {
	if r.Ref == nil {
		return ""
	}
	return kindOf(r)
}
