package portmap

import (
	"net/netip"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

// What the last redirect keeps is what those before it made: REDIRECT --to-ports
// 9001 and then "ip daddr set", dnat and then "th dport set".
func TestWhatTheLastRedirectKeeps(t *testing.T) {
	a := netip.MustParseAddr("10.1.0.1")
	here := host.Target{PortLo: 9001, PortHi: 9001}
	for name, c := range map[string]struct {
		kinds    []string
		to       []host.Target
		want     string
		priority int
	}{
		"the address after a port":     {[]string{"redirect", "rewrite"}, []host.Target{here, host.AddrTarget(a, 0)}, "10.1.0.1:9001", 0},
		"the port after an address":    {[]string{"dnat", "rewrite"}, []host.Target{host.AddrTarget(a, 80), here}, "10.1.0.1:9001", 0},
		"the port after this host":     {[]string{"dnat", "redirect", "rewrite"}, []host.Target{host.AddrTarget(a, 80), {}, here}, ":9001", 0},
		"this host after an address":   {[]string{"rewrite", "redirect"}, []host.Target{host.AddrTarget(a, 80), here}, ":9001", 0},
		"both":                         {[]string{"rewrite", "dnat"}, []host.Target{here, host.AddrTarget(a, 80)}, "10.1.0.1:80", 0},
		"the port of two before":       {[]string{"redirect", "rewrite", "rewrite"}, []host.Target{here, {}, host.AddrTarget(a, 0)}, "10.1.0.1:9001", 0},
		"a device keeps what it gets":  {[]string{"dnat", "forward"}, []host.Target{host.AddrTarget(a, 80), {Dev: "eth1"}}, "dev:eth1", 0},
		"a translation of a rewrite":   {[]string{"rewrite", "dnat"}, []host.Target{here, host.AddrTarget(a, 0)}, "10.1.0.1", 0},
		"and of one before tracking":   {[]string{"rewrite", "dnat"}, []host.Target{here, host.AddrTarget(a, 0)}, "10.1.0.1:9001", -300},
		"the port that TPROXY chooses": {[]string{"tproxy", "rewrite"}, []host.Target{here, host.AddrTarget(a, 0)}, "10.1.0.1", 0},
	} {
		var taken []*host.Effect
		for i, k := range c.kinds {
			taken = append(taken, &host.Effect{Kind: k, To: []host.Target{c.to[i]}})
		}
		m := &Map{}
		m.by = map[*host.Effect][]int{}
		for i, e := range taken {
			m.by[e] = []int{i}
			m.rows = append(m.rows, host.Redirect{To: []string{e.To[0].String()}, Rule: &host.RuleRef{Priority: c.priority}})
		}
		if got := m.destinations(&answer{taken: taken}); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}
