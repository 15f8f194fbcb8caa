package route

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

const links = `link add dev e0 type veth peer name e1
addr add 10.77.1.1/24 dev e0
addr add 10.77.2.1/24 dev e1
addr add fd77:1::1/64 dev e0 nodad
link set lo up
link set e0 up
link set e1 up
`

func TestRedirectsByRouting(t *testing.T) {
	tests := map[string]struct {
		batch  string
		sysctl []string
		want   []string
	}{
		"an ordinary host": {},
		"anyip": {batch: "route add local 203.0.113.0/24 dev lo\n-6 route add local 2001:db8::/32 dev lo",
			want: []string{"route local-route active ip any 203.0.113.0/24 :*", "route local-route active ip6 any 2001:db8::/32 :*"}},
		"anyip in a table that nothing asks": {batch: "route add local default dev lo table 77",
			want: []string{"route local-route inactive ip any  :*"}},
		"anyip in a table for a mark": {batch: "route add local default dev lo table 77\nrule add fwmark 1 lookup 77",
			want: []string{"route local-route active ip any  :*"}},
		"the own address sent away": {batch: "rule add pref 100 lookup local\nrule del pref 0\nrule add pref 10 iif e0 ipproto tcp dport 80 lookup 200\nroute add default via 10.77.2.2 table 200",
			want: []string{"route policy-route active ip 80  10.77.2.2"}},
		"a port sent elsewhere": {batch: "rule add pref 10 ipproto tcp dport 443 lookup 200\nroute add default via 10.77.2.2 table 200", sysctl: []string{"net.ipv4.ip_forward=1"},
			want: []string{"route policy-route active ip 443  10.77.2.2"}},
		"two uplinks": {batch: "rule add from 10.77.2.1 lookup 200\nroute add default via 10.77.2.2 table 200"},
		"proxy neighbours": {batch: "neigh add proxy 10.77.1.78 dev e0\n-6 neigh add proxy fd77:1::78 dev e0",
			sysctl: []string{"net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.e0.proxy_ndp=1"},
			want:   []string{"neighbour proxy-neigh active ip any 10.77.1.78 10.77.1.78", "neighbour proxy-neigh active ip6 any fd77:1::78 fd77:1::78"}},
		"a proxy neighbour without forwarding": {batch: "neigh add proxy 10.77.1.78 dev e0", sysctl: []string{"net.ipv4.ip_forward=0"},
			want: []string{"neighbour proxy-neigh inactive ip any 10.77.1.78 10.77.1.78"}},
		"proxy arp": {sysctl: []string{"net.ipv4.ip_forward=1", "net.ipv4.conf.e0.proxy_arp=1"},
			want: []string{"neighbour proxy-arp active ip any  "}},
		"a second address": {batch: "addr add 10.77.1.60/32 dev e0",
			want: []string{"route address active ip any 10.77.1.60 :* info"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := labtest.New(t, "ip", "sysctl")
			s.MustRun(t, links, "ip", "-batch", "-")
			for _, line := range strings.Split(tt.batch, "\n") {
				if line != "" {
					s.MustRun(t, "", append([]string{"ip"}, strings.Fields(line)...)...)
				}
			}
			for _, line := range tt.sysctl {
				s.MustRun(t, "", "sysctl", "-qw", line)
			}
			var space host.Space
			s.MustDo(t, func(ctx context.Context) error { _, err := (Source{}).Read(ctx, &space); return err })
			var got []string
			for _, r := range space.Redirects {
				got = append(got, summary(&r))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

func summary(r *host.Redirect) string {
	s := strings.Join([]string{r.Mechanism, r.Kind, r.State, string(r.Family), r.Ports, r.Address, strings.Join(r.To, ",")}, " ")
	if r.Info {
		s += " info"
	}
	return s
}

func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		// None of them may panic; what they say of garbage does not matter.
		_, _ = decodeRoute(b)
		_, _ = decodeRule(b)
		_, _ = decodeNeighbour(b)
		_, _ = decodeAddress(b)
	})
}

func TestDeliveriesSayWhatLeadsToThem(t *testing.T) {
	space := labtest.New(t, "ip")
	space.MustRun(t, links+`route add local default dev lo table 77
rule add pref 100 fwmark 1/3 lookup 77
rule add pref 101 not fwmark 4 lookup 77
rule add pref 102 fwmark 0 lookup 77
rule add pref 103 fwmark 8 iif e0 lookup 77
route add local 198.51.100.0/24 dev lo table 78
`, "ip", "-batch", "-")
	space.MustRun(t, "", "ip", "-6", "route", "add", "local", "2001:db8::/32", "dev", "lo")
	space.MustDo(t, func(ctx context.Context) error {
		var into host.Space
		if _, err := (Source{}).Read(ctx, &into); err != nil {
			return err
		}
		got := map[string]string{}
		for _, d := range into.Deliveries {
			var marks []string
			for _, r := range d.Rules {
				marks = append(marks, fmt.Sprintf("%v %#x/%#x", r.Marked, r.Mark, r.Mask))
			}
			got[d.Route] = fmt.Sprintf("%s always %v %s", d.Family, d.Always, strings.Join(marks, ", "))
			if !slices.ContainsFunc(into.Redirects, func(r host.Redirect) bool { return r.Ref != nil && r.Ref.Fingerprint == d.Fingerprint }) {
				t.Errorf("%s has no row", d.Route)
			}
		}
		want := map[string]string{
			"local default dev lo table 77":          "ip always false true 0x1/0x3, false 0x4/0xffffffff, false 0x0/0xffffffff, true 0x8/0xffffffff",
			"local 2001:db8::/32 dev lo table local": "ip6 always true false 0x0/0xffffffff",
			"local 198.51.100.0/24 dev lo table 78":  "ip always false ",
		}
		for route, text := range want {
			if got[route] != text {
				t.Errorf("%s: %q, want %q", route, got[route], text)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%q", got)
		}
		return nil
	})
}
