package audit

import "github.com/natwarden/natwarden/policy"

// exceptions lists the policy entries that allowed something, in the order of
// the policy.
func exceptions(pol *policy.Policy, used map[string]bool) []Exception {
	out := []Exception{}
	add := func(e policy.Entry) {
		if !used[e.ID] {
			return
		}
		x := Exception{ID: e.ID, Reason: e.Reason, Owner: e.Owner}
		if !e.Permanent {
			x.Expires = e.Expires.Format("2006-01-02")
		}
		out = append(out, x)
	}
	for _, e := range pol.Redirects {
		add(e.Entry)
	}
	for _, e := range pol.Listeners {
		add(e.Entry)
	}
	return out
}
