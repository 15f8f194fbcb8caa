package audit

import (
	"net/netip"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/policy"
)

// A redirect behind another one of the same packets acts as soon as that one is
// gone. It is inactive only where the policy lets the first one stay.
func TestARedirectBehindAnAllowedOneIsInactive(t *testing.T) {
	first, second := host.AddrTarget(netip.MustParseAddr("10.77.2.2"), 8080), host.AddrTarget(netip.MustParseAddr("10.77.2.3"), 8080)
	rules := rulesWith(host.Effect{Kind: "dnat", To: []host.Target{first}})
	fill := rules.fill
	rules.fill = func(s *host.Space) {
		fill(s)
		c := s.Tables[0].Chains[0]
		again := *c.Rules[0]
		again.Handle, again.Index, again.Fingerprint = 8, 2, "second"
		again.Branches = []host.Branch{{Match: again.Branches[0].Match, Verdict: host.Accept, Effects: []host.Effect{{Kind: "dnat", To: []host.Target{second}}}}}
		c.Rules = append(c.Rules, &again)
		s.Ifaces = []host.Iface{{Name: "eth0", Index: 2}}
	}
	allowed, err := policy.Parse([]byte(`version: 1
allow:
  redirects:
    - {id: web, reason: r, owner: o, permanent: true, match: {to: "10.77.2.2:8080"}}
`), "p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		pol            *policy.Policy
		state, verdict string
	}{
		"nothing is allowed":   {policy.Builtin(), host.Active, host.Violation},
		"the first is allowed": {allowed, host.Inactive, host.Info},
	} {
		r, err := Run(t.Context(), Input{Spaces: []Space{here()}, Sources: []Source{rules}}, tt.pol, today)
		if err != nil {
			t.Fatal(err)
		}
		if x := r.Redirects[1]; x.State != tt.state || x.Verdict != tt.verdict {
			t.Errorf("%s: %s %s %q, want %s %s", name, x.State, x.Verdict, x.Why, tt.state, tt.verdict)
		}
	}
}
