package path_test

import (
	"fmt"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// rulesOnOtherPorts are n rules that do not take the packet.
func rulesOnOtherPorts(n int) []host.Branch {
	out := make([]host.Branch, n)
	for i := range out {
		out[i] = dnat(host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(uint16(1000+i%60000), uint16(1000+i%60000)), Conditions: []string{}}, "10.2.0.2:80")
	}
	return out
}

func benchmark(b *testing.B, tables ...*host.Table) {
	space := &host.Space{Tables: tables}
	space.NoteTracking()
	w := path.World{Space: space, Routes: routes{}, Sockets: true}
	for b.Loop() {
		path.Follow(w, packet(80))
	}
}

// One packet past 50,000 rules in one chain.
func BenchmarkFollowOneChain(b *testing.B) {
	benchmark(b, table("t", chain("nat", "prerouting", -100, "accept", rulesOnOtherPorts(50000)...)))
}

// One packet past 50,000 rules in 3,000 chains, as kube-proxy lays them out:
// a jump for each service, of which none fits.
func BenchmarkFollowManyChains(b *testing.B) {
	t := table("t")
	var jumps []host.Branch
	for i := range 3000 {
		c := chain("", "", 0, "", rulesOnOtherPorts(16)...)
		c.Name = fmt.Sprintf("SVC-%d", i)
		t.Chains = append(t.Chains, c)
		jumps = append(jumps, host.Branch{Verdict: host.Jump, Chain: c.Name})
	}
	t.Chains = append(t.Chains, chain("nat", "prerouting", -100, "accept", jumps...))
	benchmark(b, t)
}
