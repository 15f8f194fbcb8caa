package nft

import (
	"context"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func read(t testing.TB, s labtest.Space, o Options) *Dump {
	t.Helper()
	var d *Dump
	s.MustDo(t, func(ctx context.Context) (err error) {
		d, err = Read(ctx, o)
		return err
	})
	return d
}

const sample = `
table ip nat {
	map web { type inet_service : ipv4_addr; elements = { 80 : 10.0.0.1, 81 : 10.0.0.2 }; }
	counter hits { }
	chain pre { type nat hook prerouting priority -100; policy accept;
		tcp dport { 1, 2, 3 } counter name hits redirect to :8080
		dnat to tcp dport map @web
		jump other
	}
	chain other { tcp dport 99 drop; }
}
table netdev in { chain c { type filter hook ingress devices = { lo } priority 5; }; }
table bridge b { chain c { }; }
table arp a { chain c { type filter hook input priority 0; policy drop; }; }
`

func TestReadGivesEveryFamily(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, sample, "nft", "-f", "-")
	d := read(t, s, Options{Objects: true})
	if d.Generation == 0 || len(d.Tables) != 4 {
		t.Fatalf("generation %d, %d tables, want some and 4", d.Generation, len(d.Tables))
	}
	nat := d.Tables[0]
	if nat.Name != "nat" || nat.Family != 2 || len(nat.Chains) != 2 || len(nat.Sets) != 2 || len(nat.Others) != 1 {
		t.Fatalf("table nat: %q of family %d, %d chains, %d sets, %d others", nat.Name, nat.Family, len(nat.Chains), len(nat.Sets), len(nat.Others))
	}
	pre := nat.Chains[0]
	if pre.Name != "pre" || pre.Type != "nat" || pre.Policy != 1 || pre.Hook == nil || pre.Hook.Priority != -100 || len(pre.Rules) != 3 {
		t.Errorf("chain pre: %+v", pre)
	}
	if n := len(nat.Chains[1].Rules); n != 1 {
		t.Errorf("chain other has %d rules, want 1", n)
	}
	elements := map[string]int{}
	for _, set := range nat.Sets {
		elements[set.Name] = len(set.Elements)
	}
	if elements["web"] != 2 || elements["__set0"] != 3 {
		t.Errorf("elements: %v", elements)
	}
	if h := d.Tables[1].Chains[0].Hook; h == nil || len(h.Devices) != 1 || h.Devices[0] != "lo" || h.Priority != 5 {
		t.Errorf("netdev hook: %+v", h)
	}
	if d.Tables[3].Chains[0].Policy != 0 {
		t.Error("policy drop read as accept")
	}
}
