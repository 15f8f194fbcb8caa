package tc

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// add puts a filter alone at device e0, or skips the test where the kernel lacks what
// it needs. A tilde is a space inside a word.
func add(t *testing.T, s labtest.Space, filter string) {
	t.Helper()
	argv := append(strings.Fields("tc filter add dev e0"), strings.Fields(filter)...)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "~", " ")
	}
	for _, hook := range []string{"ingress", "egress"} {
		s.MustRun(t, "", "tc", "filter", "del", "dev", "e0", hook)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if _, err := s.Run(ctx, "", argv...); err != nil {
		labtest.Lacking(t, err.Error())
	}
}

const toE1 = " action mirred egress redirect dev e1"

// The classifiers as kernels give them that have them.
func TestClassifiersOfKernelsThatHaveThem(t *testing.T) {
	s := pair(t)
	for _, c := range []struct{ filter, want string }{
		{"ingress protocol ip flower dst_ip 10.0.0.0/8 src_ip 192.0.2.1 ip_proto tcp dst_port 80" + toE1,
			"mirred | active | inbound | ip | tcp | 80 | from 192.0.2.1 | to 10.0.0.0/8 |  | dev:e1"},
		{"ingress protocol ip flower ip_proto udp dst_port 8000-8010 src_port 53" + toE1,
			"mirred | active | inbound | ip | udp | 8000-8010 | from  | to  | source port 53 | dev:e1"},
		{"ingress protocol ipv6 flower dst_ip 2001:db8::/32 ip_proto sctp dst_port 3868" + toE1,
			"mirred | active | inbound | ip6 | sctp | 3868 | from  | to 2001:db8::/32 |  | dev:e1"},
		{"ingress protocol ip flower ip_tos 0x10/0xff" + toE1, "mirred | active | inbound | ip | any | any | from  | to  | flower key 73 = 10; flower key 74 = ff | dev:e1"},
		{"ingress protocol 802.1q flower vlan_id 7 vlan_ethtype ip ip_proto tcp dst_port 443" + toE1,
			"mirred | active | inbound | both | tcp | 443 | from  | to  | frames of protocol 0x8100; flower key 8 = 0800; flower key 23 = 0700; flower key 25 = 0800 | dev:e1"},
		{"ingress protocol ip flower skip_hw ip_proto tcp dst_port 81" + toE1, "mirred | active | inbound | ip | tcp | 81 | from  | to  |  | dev:e1"},
		{"ingress protocol all matchall" + toE1, "mirred | active | inbound | both | any | any | from  | to  |  | dev:e1"},
		{"egress protocol ip matchall action mirred egress mirror dev e1", "mirred | active info | outbound | ip | any | any | from  | to  |  | dev:e1"},
		{"ingress protocol ip handle 0x1/0xff fw" + toE1, "mirred | active | inbound | ip | any | any | from  | to  | mark 0x1/0xff | dev:e1"},
		{"ingress protocol ip handle 5 fw" + toE1, "mirred | active | inbound | ip | any | any | from  | to  | mark 0x5 | dev:e1"},
		{"ingress protocol ip basic match u32(u8~6~0xff~at~9)~and~u32(u16~443~0xffff~at~22)" + toE1,
			"mirred | active | inbound | ip | tcp | 443 | from  | to  | no IP options | dev:e1"},
		{"ingress protocol ip basic match not~u32(u8~6~0xff~at~9)" + toE1, "mirred | active | inbound | ip | any | any | from  | to  | a tree of 1 ematches | dev:e1"},
		{"ingress protocol ip basic match cmp(u16~at~22~layer~0~eq~443)" + toE1, "mirred | active | inbound | ip | any | any | from  | to  | a tree of 1 ematches | dev:e1"},
		{"ingress protocol ip basic match meta(nf_mark~eq~7)" + toE1, "mirred | active | inbound | ip | any | any | from  | to  | a tree of 1 ematches | dev:e1"},
	} {
		t.Run(c.filter, func(t *testing.T) {
			add(t, s, c.filter)
			found, reading := rows(t, s)
			if len(found) != 1 || len(reading.Blind) > 0 {
				t.Fatalf("rows %+v, blind %v", found, reading.Blind)
			}
			if got := words(found[0]); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// What acts on packets and is not judged is blind, whatever classifier leads to it.
func TestActionsOfKernelsThatHaveThem(t *testing.T) {
	s := pair(t)
	for _, c := range []struct{ filter, blind string }{
		{"ingress protocol ip matchall action nat ingress 192.0.2.1/32 10.0.0.1", "nat"},
		{"ingress protocol ip flower ip_proto tcp action pedit ex munge ip dst set 10.0.0.1", "pedit"},
		{"ingress protocol ip matchall action ct zone 1", ""},
		{"ingress protocol ip matchall action ct commit zone 1 nat dst addr 10.0.0.1 pipe", "ct"},
		{"ingress protocol ip matchall action tunnel_key set src_ip 10.0.0.1 dst_ip 10.0.0.2 id 7", "tunnel_key"},
		{"ingress protocol ip matchall action skbedit mark 7", ""},
		{"ingress protocol ip matchall action drop", ""},
		{"ingress protocol ip matchall action vlan push id 7", ""},
		{"ingress protocol ip matchall action police rate 1mbit burst 10k drop", ""},
		{"ingress protocol ip matchall action csum ip", ""},
		{"ingress protocol ip matchall action sample rate 10 group 1", ""},
		{"ingress protocol ip matchall action skbmod set dmac 02:00:00:00:00:01", "skbmod"},
		{"ingress protocol ip matchall action mpls push protocol mpls_uc label 7", "mpls"},
		{"ingress protocol ip matchall action connmark", ""},
	} {
		t.Run(c.filter, func(t *testing.T) {
			add(t, s, c.filter)
			found, reading := rows(t, s)
			if len(found) > 0 {
				t.Errorf("rows %+v", found)
			}
			if n := len(reading.Blind); c.blind == "" && n > 0 || c.blind != "" && (n != 1 || !strings.Contains(reading.Blind[0].What+reading.Blind[0].Why, c.blind)) {
				t.Errorf("blind %v, want %q", reading.Blind, c.blind)
			}
		})
	}
}
