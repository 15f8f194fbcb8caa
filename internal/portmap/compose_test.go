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
		kinds []string
		to    []host.Target
		want  string
	}{
		"the address after a port":     {[]string{"redirect", "rewrite"}, []host.Target{here, host.AddrTarget(a, 0)}, "10.1.0.1:9001"},
		"the port after an address":    {[]string{"dnat", "rewrite"}, []host.Target{host.AddrTarget(a, 80), here}, "10.1.0.1:9001"},
		"the port after this host":     {[]string{"dnat", "redirect", "rewrite"}, []host.Target{host.AddrTarget(a, 80), {}, here}, ":9001"},
		"this host after an address":   {[]string{"rewrite", "redirect"}, []host.Target{host.AddrTarget(a, 80), here}, ":9001"},
		"both":                         {[]string{"rewrite", "dnat"}, []host.Target{here, host.AddrTarget(a, 80)}, "10.1.0.1:80"},
		"the port of two before":       {[]string{"redirect", "rewrite", "rewrite"}, []host.Target{here, {}, host.AddrTarget(a, 0)}, "10.1.0.1:9001"},
		"a device keeps what it gets":  {[]string{"dnat", "forward"}, []host.Target{host.AddrTarget(a, 80), {Dev: "eth1"}}, "dev:eth1"},
		"the port that TPROXY chooses": {[]string{"tproxy", "rewrite"}, []host.Target{here, host.AddrTarget(a, 0)}, "10.1.0.1"},
	} {
		var taken []*host.Effect
		for i, k := range c.kinds {
			taken = append(taken, &host.Effect{Kind: k, To: []host.Target{c.to[i]}})
		}
		m := &Map{}
		last := taken[len(taken)-1]
		m.by, m.rows = map[*host.Effect][]int{last: {0}}, []host.Redirect{{To: []string{last.To[0].String()}}}
		if got := m.destinations(&answer{taken: taken}); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}
