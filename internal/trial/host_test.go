//go:build amd64

package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/flow"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/nft"
	"github.com/natwarden/natwarden/internal/xtables"
)

// houseNFT are the redirects of nf_tables in the host on trial, among rules that
// are none: a rule, one element each of a named map and of an interval map, an anonymous map, a chain.
const houseNFT = `
table ip nat {
	counter hits { packets 5 bytes 300 }
	map named {
		type inet_service : ipv4_addr . inet_service
		elements = { 1000 : 10.0.0.1 . 80, 1001 : 10.0.0.2 . 80 }
	}
	map spans {
		type inet_service : ipv4_addr
		flags interval
		elements = { 100-109 : 10.0.0.5, 110-119 : 10.0.0.6 }
	}
	chain pre {
		type nat hook prerouting priority -100
		tcp dport 500 counter name hits accept
		tcp dport 80 counter packets 3 bytes 180 dnat to 10.77.2.2:8080 comment "web"
		dnat ip to tcp dport map @named
		udp dport { 53, 54 } redirect to :5353
		dnat to tcp dport map @spans
		dnat to tcp dport map { 2000 : 10.0.0.1, 2001 : 10.0.0.2 }
		tcp dport 501 counter packets 7 bytes 420 accept
	}
}
table ip6 other {
	chain pre { type nat hook prerouting priority -100
		tcp dport 8080 dnat to [fd00::1]:80
		tcp dport 8081 accept
	}
}
`

// houseLegacy and houseLegacy6 are those of x_tables, with counters.
const houseLegacy = `*nat
:PREROUTING ACCEPT [7:420]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:WEB - [0:0]
[5:300] -A PREROUTING -p tcp -m tcp --dport 81 -j DNAT --to-destination 10.77.2.2:8081
[6:360] -A PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT
[7:420] -A PREROUTING -m addrtype --dst-type LOCAL -j WEB
[8:480] -A WEB -p tcp -m multiport --dports 443,8443 -j DNAT --to-destination 10.77.2.2
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[1:40] -A FORWARD -p tcp -m tcp --dport 1 -j ACCEPT
COMMIT
`

const houseLegacy6 = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[5:300] -A PREROUTING -p tcp -m tcp --dport 82 -j REDIRECT --to-ports 8082
[6:360] -A PREROUTING -p tcp -m tcp --dport 83 -j ACCEPT
COMMIT
`

// houseLinks is made once. Without IPv6 on the links there are no addresses that
// come by themselves, sooner or later.
const houseLinks = `ip link add dev e0 type veth peer name e1
sysctl -qw net.ipv6.conf.e0.disable_ipv6=1 net.ipv6.conf.e1.disable_ipv6=1
ip addr add 10.77.1.1/24 dev e0
ip addr add 10.77.2.1/24 dev e1
ip link set lo up
ip link set e0 up
ip link set e1 up
sysctl -qw net.ipv4.ip_forward=1
ip rule add pref 10 iif e0 ipproto tcp dport 80 lookup 200`

// houseRoutes are the redirects of the routing: a local route, a policy rule, a
// proxy neighbour, a sysctl. It can be said again.
const houseRoutes = `ip rule del pref 10
ip rule add pref 10 iif e0 ipproto tcp dport 80 lookup 200
ip route replace local 203.0.113.0/24 dev lo
ip route replace default via 10.77.2.2 table 200 mtu 1400
ip neigh replace proxy 10.77.1.78 dev e0
sysctl -qw net.ipv4.conf.e0.proxy_arp=1`

// housePolicy allows some elements of maps whose others are violations.
const housePolicy = `version: 1
allow:
  redirects:
    - id: some
      reason: on trial
      owner: ops@example.org
      permanent: true
      match: {proto: tcp, ports: "1000,100-109,2001", table: nat}
`

// houseFlow rides the rule for port 80.
const houseFlow = "-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -s 10.77.1.2 -d 10.77.1.1 --sport 40000 --dport 80 -g 10.77.2.2:8080"

// must runs a program of the system and gives what it printed.
func must(t *testing.T, input, line string) string {
	t.Helper()
	words := strings.Fields(line)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// buildLinks makes the part of the host that needs making once.
func buildLinks(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(houseLinks) {
		must(t, "", line)
	}
	time.Sleep(50 * time.Millisecond) // the links come up
}

// build makes the rules and routes of the host anew, whatever stands there.
func build(t *testing.T) {
	t.Helper()
	must(t, "flush ruleset\n"+houseNFT, "nft -f -")
	must(t, houseLegacy, "iptables-legacy-restore -c")
	must(t, houseLegacy6, "ip6tables-legacy-restore -c")
	buildRoutes(t)
}

// buildRoutes makes the redirects of the routing anew.
func buildRoutes(t *testing.T) {
	t.Helper()
	lines := strings.Split(houseRoutes, "\n")
	_ = exec.CommandContext(t.Context(), "ip", strings.Fields(lines[0])[1:]...).Run() // it may be gone
	for _, line := range lines[1:] {
		must(t, "", line)
	}
}

// flowThere puts the flow into the conntrack table; it may be there already.
func flowThere(t *testing.T) {
	t.Helper()
	_ = exec.CommandContext(t.Context(), "conntrack", append([]string{"-I", "-t", "3000"}, strings.Fields(houseFlow)...)...).Run()
}

func flows(t *testing.T) int {
	t.Helper()
	all, err := flow.Translated(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// marks is what must be exactly as before, or exactly as after: the raw bytes of
// every rule in order, sets and elements, the bytes of the tables of
// iptables-legacy, routes and sysctls. No handles; counters of x_tables apart.
func marks(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	markNFT(ctx, t, out)
	d, err := xtables.Read(ctx)
	if err != nil || len(d.Blind) > 0 {
		t.Fatal(err, d.Blind)
	}
	for _, table := range d.Tables {
		markTable(out, table)
	}
	for _, line := range []string{"ip rule", "ip route show table all", "ip neigh show proxy"} {
		lines := strings.Split(must(t, "", line), "\n")
		slices.Sort(lines)
		out[line] = strings.Join(lines, "\n")
	}
	for _, key := range []string{"ip_forward", "conf/e0/proxy_arp"} {
		data, err := os.ReadFile("/proc/sys/net/ipv4/" + key)
		if err != nil {
			t.Fatal(err)
		}
		out[key] = string(data)
	}
	return out
}

func markNFT(ctx context.Context, t *testing.T, out map[string]string) {
	t.Helper()
	d, err := nft.Read(ctx, nft.Options{Objects: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range d.Tables {
		for _, c := range table.Chains {
			hook, _ := json.Marshal(c.Hook)
			lines := []string{fmt.Sprintf("%s %s %d flags %d", c.Type, hook, c.Policy, c.Flags)}
			for _, r := range c.Rules {
				lines = append(lines, fmt.Sprintf("%x %x", r.Exprs, r.Userdata))
			}
			out[fmt.Sprintf("nft %d %s %s", table.Family, table.Name, c.Name)] = strings.Join(lines, "\n")
		}
		for _, s := range table.Sets {
			lines := []string{}
			for _, e := range s.Elements {
				lines = append(lines, fmt.Sprintf("%x", e))
			}
			slices.Sort(lines)
			lines = append(lines, fmt.Sprintf("%x %d %d %d %d %x", s.Flags, s.KeyType, s.KeyLen, s.DataType, s.DataLen, s.Userdata))
			out[fmt.Sprintf("nft %d %s @%s", table.Family, table.Name, s.Name)] = strings.Join(lines, "\n")
		}
	}
}

// Where struct ipt_entry and ip6t_entry hold their counters, in bytes, 16 of them.
var countersAt = map[host.Family]int{host.IP: 96, host.IP6: 152}

// markTable marks a table's bytes, and apart from them its counters.
func markTable(out map[string]string, table *xtables.Table) {
	key := fmt.Sprintf("legacy %s %s", table.Family, table.Name)
	lines := []string{fmt.Sprint(table.HookEntry, table.Underflow)}
	var counters []string
	for i := range table.Entries {
		entry := bytes.Clone(table.Raw(i))
		at := entry[countersAt[table.Family]:][:16]
		counters = append(counters, fmt.Sprintf("%x", at))
		clear(at)
		lines = append(lines, fmt.Sprintf("%x", entry))
	}
	out[key], out["counters of "+key] = strings.Join(lines, "\n"), strings.Join(counters, "\n")
}

// eventually waits, up to five seconds, until something is so.
func eventually(is func() bool) bool {
	for until := time.Now().Add(5 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			return false
		}
	}
	return true
}

// differences names what two marks do not share.
func differences(a, b map[string]string) []string {
	var out []string
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if a[key] != b[key] {
			out = append(out, key+": "+firstDifference(a[key], b[key]))
		}
	}
	return out
}

// firstDifference shows where two texts of lines part.
func firstDifference(a, b string) string {
	one, other := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(one), len(other)) {
		x, y := "nothing", "nothing"
		if i < len(one) {
			x = one[i]
		}
		if i < len(other) {
			y = other[i]
		}
		if x != y {
			return fmt.Sprintf("line %d: %.120q, want %.120q (%d lines, want %d)", i, x, y, len(one), len(other))
		}
	}
	return "nothing"
}
