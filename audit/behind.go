package audit

import (
	"slices"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/policy"
)

// judgeBehind looks again at redirects all of whose packets others take first.
// Where the policy allows those others they stay, and the redirect behind them
// never acts; else it is the next to act, and stays active.
func (r *Report) judgeBehind(pol *policy.Policy, now time.Time) {
	verdicts := map[string]string{}
	for i := range r.Redirects {
		verdicts[r.Redirects[i].ID] = r.Redirects[i].Verdict
	}
	for i := range r.Redirects {
		row := &r.Redirects[i]
		if len(row.Behind) == 0 || row.State != host.Active || slices.ContainsFunc(row.Behind, func(id string) bool { return verdicts[id] != host.Allowed }) {
			continue
		}
		row.State, row.Why = host.Inactive, []string{"shadowed: redirects that the policy allows take all of its packets first: see " + row.Behind[0]}
		row.Verdict, row.AllowedBy, _ = pol.JudgeRedirect(row, now)
	}
}
