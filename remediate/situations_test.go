package remediate_test

import (
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/remediate"
)

// What others may have done to the places of a change before it is rolled back:
// what still has its place is back, the rest is said, nothing of theirs is touched.
func TestRollbackMeetsAnotherWorld(t *testing.T) {
	const legacy = "iptables-legacy -t nat "
	for name, tc := range map[string]struct {
		allowed string   // ports of redirects that stay
		others  []string // commands; one that begins with "nft " has a script behind it
		code    int
		has     []string // the listing afterwards
		not     []string
		left    []string // words of what is left, each in one of them
	}{
		"chain renamed": {"", []string{"nft rename chain inet t pre other"}, 2,
			[]string{"chain other"}, []string{"chain pre ", "redirect to :5353"}, []string{"inet t pre is gone"}},
		"chain gone": {"", []string{"nft flush chain inet t pre; delete chain inet t pre"}, 2,
			[]string{"1000 :"}, []string{"chain pre", "redirect to :5353"}, []string{"inet t pre is gone"}},
		"table gone": {"", []string{"nft delete table inet t"}, 2,
			[]string{"DNAT"}, []string{"inet t"}, []string{"inet t pre is gone"}},
		"table of the same names made anew": {"", []string{"nft delete table inet t; " +
			"table inet t { map named { type inet_service : ipv4_addr . inet_service; }; map spans { type inet_service : ipv4_addr; flags interval; }; " +
			"chain pre { type nat hook prerouting priority -100; tcp dport 7 accept; tcp dport 501 counter accept; }; }"}, 0,
			[]string{"tcp dport 7 accept\n", "udp dport { 53, 54 } redirect to :5353", "@named"}, nil, nil},
		"map of another type": {"", []string{"nft delete map inet t named; add map inet t named { type ipv4_addr : verdict; }"}, 2,
			[]string{"type ipv4_addr : verdict", "udp dport { 53, 54 } redirect to :5353"}, []string{"1000 :"}, []string{"no longer of the same kind"}},
		"map gone": {"", []string{"nft delete map inet t named"}, 2,
			[]string{"udp dport { 53, 54 } redirect to :5353"}, []string{"@named"}, []string{"set named, which it looks at, is gone"}},
		"element taken": {"1001", []string{"nft add element inet t named { 1000 : 9.9.9.9 . 99 }"}, 2,
			[]string{"1000 : 9.9.9.9 . 99", "1001 : 10.0.0.2 . 80"}, []string{"1000 : 10.0.0.1"}, []string{"is there with other content"}},
		"map of the element gone": {"1001", []string{"nft flush chain inet t pre; delete map inet t named"}, 2,
			[]string{"udp dport { 53, 54 } redirect to :5353"}, []string{"1000 :"}, []string{"set inet t named is gone"}},
		"map of the element replaced": {"1001", []string{"nft flush chain inet t pre; delete map inet t named; add map inet t named { type inet_service : verdict; }"}, 2,
			[]string{"type inet_service : verdict"}, []string{"1000 :"}, []string{"@named"}},
		"element put back by somebody": {"1001", []string{"nft add element inet t named { 1000 : 10.0.0.1 . 80 }"}, 0,
			[]string{"1000 : 10.0.0.1 . 80"}, nil, nil},
		"edited rule gone": {"2001", []string{"nft flush chain inet t pre"}, 2,
			[]string{"udp dport { 53, 54 } redirect to :5353"}, []string{"2000 :"}, []string{"gone already, or was changed"}},
		"interval taken in part": {"110-119", []string{"nft add element inet t spans { 105-106 : 9.9.9.9 }"}, 2,
			[]string{"105-106 : 9.9.9.9", "110-119 : 10.0.0.6", "300-400 : 10.0.0.7"}, []string{"100-109"}, []string{"@spans"}},
		"others at the front": {"", []string{"nft insert rule inet t pre tcp dport 7 accept; insert rule inet t pre tcp dport 8 accept", legacy + "-I PREROUTING -p tcp --dport 7 -j ACCEPT"}, 0,
			[]string{"tcp dport 8 accept\n\t\ttcp dport 7 accept\n\t\ttcp dport 500 counter packets 0 bytes 0 accept\n\t\tmeta nfproto ipv4 dnat ip to tcp dport map @named",
				"--dport 7 -j ACCEPT\n-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT"}, nil, nil},
		"its neighbours gone": {"", []string{legacy + "-F PREROUTING"}, 0,
			[]string{"-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.10:8080\n-A PREROUTING -p tcp -m tcp --dport 81"}, nil, nil},
		"back already": {"", []string{legacy + "-I PREROUTING 1 -p tcp --dport 80 -j DNAT --to-destination 192.168.1.10:8080"}, 0,
			[]string{"--dport 81 -j REDIRECT"}, nil, nil},
		"the same redirect, changed": {"", []string{"nft insert rule inet t pre udp dport { 53, 54 } redirect to :5454"}, 0,
			[]string{"redirect to :5454", "redirect to :5353"}, nil, nil},
		"dormant": {"", []string{"nft add table inet t { flags dormant; }"}, 0,
			[]string{"flags dormant", "redirect to :5353"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.run(t, rows(t, b.Space, func(r *host.Redirect) bool { return tc.allowed != "" && r.Ports == tc.allowed }), 0)
			for _, command := range tc.others {
				if script, is := strings.CutPrefix(command, "nft "); is {
					b.MustRun(t, script+"\n", "nft", "-f", "-")
				} else {
					b.MustRun(t, "", strings.Fields(command)...)
				}
			}
			r := b.rollback(t, tc.code)
			got := listing(t, b.Space)
			for _, want := range tc.has {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not there", want)
				}
			}
			for _, no := range tc.not {
				if strings.Contains(got, no) {
					t.Errorf("%q is there", no)
				}
			}
			for _, want := range tc.left {
				if !said(r, want) {
					t.Errorf("it is not said: %q", want)
				}
			}
			if t.Failed() {
				t.Logf("%s\n%+v\n%q", got, r.Left, r.Notes)
			}
		})
	}
}

func said(r *remediate.Result, words string) bool {
	for _, l := range r.Left {
		if strings.Contains(l.Why, words) {
			return true
		}
	}
	return false
}
