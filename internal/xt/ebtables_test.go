package xt_test

import (
	"context"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/nft"
	"github.com/natwarden/natwarden/internal/xt"
)

// bridgeRules are rules of ebtables-nft and what of them stands in nf_tables as
// x_tables extensions, as ebtables-nft-save prints it.
var bridgeRules = []struct{ rule, want string }{
	{"-p IPv4 --ip-proto tcp --ip-dport 8080 --ip-src 10.0.0.0/8 -j dnat --to-destination 02:00:00:00:00:01", "--ip-src 10.0.0.0/8 --ip-proto tcp --ip-dport 8080 -j dnat --to-dst 02:00:00:00:00:01 --dnat-target ACCEPT"},
	{"-p IPv4 --ip-proto tcp ! --ip-dport 8080:8090 ! --ip-dst 10.0.0.1 --ip-tos 0x10 -j redirect", "--ip-dst ! 10.0.0.1 --ip-tos 0x10 --ip-proto tcp --ip-dport ! 8080:8090 -j redirect"},
	{"-p IPv6 --ip6-proto udp --ip6-dport 53 --ip6-sport 1:9 --ip6-dst fd00::/64 -j redirect --redirect-target DROP", "--ip6-dst fd00::/64 --ip6-proto udp --ip6-sport 1:9 --ip6-dport 53 -j redirect --redirect-target DROP"},
	{"-p ARP --arp-op Request --arp-ip-dst 10.0.0.9 -j arpreply --arpreply-mac 02:00:00:00:00:03", "--arp-op Request --arp-ip-dst 10.0.0.9 -j arpreply --arpreply-mac 02:00:00:00:00:03"},
	{"-p ARP --arp-op Request -j arpreply --arpreply-mac 02:00:00:00:00:03 --arpreply-target ACCEPT", "--arp-op Request -j arpreply --arpreply-mac 02:00:00:00:00:03 --arpreply-target ACCEPT"},
	{"-j mark --mark-or 0x5 --mark-target CONTINUE", "-j mark --mark-or 0x5 --mark-target CONTINUE"},
	{"-p 802_1Q --vlan-id 5 -j DROP", "--vlan-id 5"},
	{"--mark 5/7 -j DROP", "--mark 0x5/0x7"},
	{"--mark /7 -j DROP", "--mark /0x7"},
	{"--pkttype-type ! multicast -j DROP", "--pkttype-type ! multicast"},
	{"-p IPv4 --ip-proto icmp --ip-icmp-type 8/0 -j DROP", "--ip-proto icmp --ip-icmp-type 8/0"},
	{"-p ARP --arp-gratuitous --arp-mac-src 02:00:00:00:00:03 -j DROP", "--arp-mac-src 02:00:00:00:00:03 --arp-gratuitous"},
	{"-p ARP --arp-htype 1 --arp-ptype 0x800 --arp-ip-src 10.0.0.0/8 -j DROP", "--arp-htype 1 --arp-ptype 0x800 --arp-ip-src 10.0.0.0/8"},
	{"--log --log-prefix x --log-level info --log-ip -j DROP", `--log-level info --log-prefix "x" --log-ip`},
	{"--nflog-group 3 --nflog-prefix abc -j DROP", `--nflog-prefix "abc" --nflog-group 3`},
}

func TestTextIsWhatEbtablesNftSavePrints(t *testing.T) {
	s := labtest.New(t, "ebtables-nft")
	for _, r := range bridgeRules {
		s.MustRun(t, "", append([]string{"ebtables-nft", "-t", "nat", "-A", "PREROUTING"}, strings.Fields(r.rule)...)...)
	}
	saved := s.MustRun(t, "", "ebtables-nft-save")
	var dump *nft.Dump
	s.MustDo(t, func(ctx context.Context) (err error) {
		dump, err = nft.Read(ctx, nft.Options{})
		return err
	})
	rules := chainNamed(t, dump, "PREROUTING").Rules
	for i, r := range bridgeRules {
		d, err := nftRule(host.Bridge, rules[i].Exprs, xt.Env{})
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(d.texts, " "); text != r.want || len(d.bad) > 0 {
			t.Errorf("%s\ndecoded: %s\nwant:    %s\nnot understood: %v", r.rule, text, r.want, d.bad)
		}
		if !strings.Contains(saved, r.want) {
			t.Errorf("ebtables-nft-save does not print %q:\n%s", r.want, saved)
		}
	}
}

func chainNamed(t *testing.T, dump *nft.Dump, name string) *nft.Chain {
	t.Helper()
	for _, table := range dump.Tables {
		for _, chain := range table.Chains {
			if chain.Name == name {
				return chain
			}
		}
	}
	t.Fatalf("no chain %s was read", name)
	return nil
}

// A frame that the bridge hands to this host or to another MAC is a redirect.
func TestBridgeTargets(t *testing.T) {
	for _, c := range []struct {
		name     string
		info     []byte
		verdict  host.Verdict
		kind     string
		source   bool
		evidence string
	}{
		{"redirect", []byte{0xff, 0xff, 0xff, 0xff}, host.Accept, "mac-redirect", false, "the frame goes to this host's own MAC"},
		{"redirect", []byte{0xfe, 0xff, 0xff, 0xff}, host.Drop, "mac-redirect", false, "the frame goes to this host's own MAC"},
		{"dnat", []byte{2, 0, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff}, host.Accept, "mac-redirect", false, "destination MAC 02:00:00:00:00:01"},
		{"snat", []byte{2, 0, 0, 0, 0, 1, 0, 0, 0xfd, 0xff, 0xff, 0xff}, host.Continue, "mac-redirect", true, "source MAC 02:00:00:00:00:01"},
		{"arpreply", []byte{2, 0, 0, 0, 0, 1, 0, 0, 0xfe, 0xff, 0xff, 0xff}, host.Drop, "mac-redirect", false, "answers ARP requests with MAC 02:00:00:00:00:01"},
	} {
		r, ok := xt.Target(xt.Ext{Family: host.Bridge, Name: c.name, Info: c.info}, xt.Env{})
		if !ok || r.Verdict != c.verdict || len(r.Effects) != 1 {
			t.Errorf("%s: %+v, %v", c.name, r, ok)
			continue
		}
		if e := r.Effects[0]; e.Kind != c.kind || e.Source != c.source || len(e.Evidence) != 1 || e.Evidence[0] != c.evidence {
			t.Errorf("%s: effect %+v", c.name, e)
		}
	}
}
