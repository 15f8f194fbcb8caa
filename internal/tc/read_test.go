package tc

import (
	"context"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func pair(t *testing.T) labtest.Space {
	s := labtest.New(t, "ip", "tc")
	for _, line := range []string{"ip link add dev e0 type veth peer name e1", "ip link set e0 up", "ip link set e1 up", "tc qdisc add dev e0 clsact"} {
		s.MustRun(t, "", strings.Fields(line)...)
	}
	return s
}

func rows(t *testing.T, s labtest.Space) ([]host.Redirect, host.Reading) {
	t.Helper()
	var space host.Space
	var reading host.Reading
	s.MustDo(t, func(ctx context.Context) (err error) {
		reading, err = Source{}.Read(ctx, &space)
		return err
	})
	return space.Redirects, reading
}

// words writes a row in one line.
func words(r host.Redirect) string {
	info := ""
	if r.Info {
		info = " info"
	}
	return strings.Join([]string{r.Kind, r.State + info, r.Direction, string(r.Family), r.Proto, r.Ports, "from " + r.Source, "to " + r.Address,
		strings.Join(r.Conditions, "; "), strings.Join(r.To, ",")}, " | ")
}

func TestFiltersOfTheKernel(t *testing.T) {
	for _, c := range []struct{ filter, want string }{
		{"ingress protocol ip u32 match ip dst 10.0.0.1/32 match ip protocol 6 0xff match ip dport 80 0xffff action mirred egress redirect dev e1",
			"mirred | active | inbound | ip | tcp | 80 | from  | to 10.0.0.1 | no IP options | dev:e1"},
		{"ingress protocol ip u32 match ip src 10.0.0.0/8 match ip ihl 5 0xf match ip sport 1024 0xfc00 action mirred ingress redirect dev e1",
			"mirred | active | inbound | ip | any | any | from 10.0.0.0/8 | to  | source port 1024-2047 | dev:e1"},
		{"ingress protocol ipv6 u32 match ip6 dst 2001:db8::/32 match ip6 protocol 17 0xff match ip6 dport 53 0xffff action mirred egress redirect dev e1",
			"mirred | active | inbound | ip6 | udp | 53 | from  | to 2001:db8::/32 | no IPv6 extension headers | dev:e1"},
		{"ingress protocol all u32 match u32 0x50 0xffff at 20 action mirred egress redirect dev e1",
			"mirred | active | inbound | both | any | any | from  | to  | bytes 0050/ffff at 22 | dev:e1"},
		{"ingress protocol ip u32 match tcp dst 80 0xffff action mirred egress redirect dev e1",
			"mirred | active | inbound | ip | any | any | from  | to  | bytes 00000050/0000ffff at nexthdr+0 | dev:e1"},
		{"egress protocol ip u32 match u32 0 0 action mirred egress mirror dev e1",
			"mirred | active info | outbound | ip | any | any | from  | to  |  | dev:e1"},
		{"ingress protocol ip chain 7 u32 match u32 0 0 action mirred egress redirect dev e1",
			"mirred | active | inbound | ip | any | any | from  | to  | reached by a jump to chain 7 | dev:e1"},
		{"ingress protocol all bpf bytecode 1,6,0,0,4294967295 action mirred egress redirect dev e1", ""},
		{"ingress protocol 0x8100 u32 match u32 0 0 action mirred egress redirect dev e1",
			"mirred | active | inbound | both | any | any | from  | to  | frames of protocol 0x8100 | dev:e1"},
	} {
		t.Run(c.filter, func(t *testing.T) {
			s := pair(t)
			argv := append(strings.Fields("tc filter add dev e0"), strings.Fields(c.filter)...)
			for i := range argv {
				if strings.HasPrefix(argv[i], "1,6,") {
					argv[i], c.want = "1,6 0 0 4294967295", "mirred | active | inbound | both | any | any | from  | to  | classic BPF bytecode (1 instructions) | dev:e1"
				}
			}
			s.MustRun(t, "", argv...)
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

func TestATargetThatIsDownOrGone(t *testing.T) {
	s := pair(t)
	s.MustRun(t, "", strings.Fields("ip link add dev f0 type veth peer name f1")...)
	s.MustRun(t, "", strings.Fields("tc filter add dev e0 ingress protocol ip u32 match u32 0 0 action mirred egress redirect dev f0")...)
	if found, _ := rows(t, s); len(found) != 1 || found[0].State != host.Latent {
		t.Errorf("down: %+v", found)
	}
	s.MustRun(t, "", "ip", "link", "del", "f0")
	if found, _ := rows(t, s); len(found) != 1 || found[0].State != host.Inactive {
		t.Errorf("gone: %+v", found)
	}
}

func TestFiltersOfAClassfulQdisc(t *testing.T) {
	s := pair(t)
	for _, line := range []string{"tc qdisc add dev e1 root handle 7: htb default 1", "tc class add dev e1 parent 7: classid 7:1 htb rate 1gbit",
		"tc filter add dev e1 parent 7: protocol ip u32 match ip dport 81 0xffff action mirred egress redirect dev e0",
		"tc filter add dev e1 parent 7:1 protocol ip u32 match ip dport 82 0xffff action mirred egress redirect dev e0"} {
		s.MustRun(t, "", strings.Fields(line)...)
	}
	found, _ := rows(t, s)
	if len(found) != 2 || found[0].Ports+found[1].Ports != "8281" || found[0].Direction != "outbound" {
		t.Errorf("rows %+v", found)
	}
}

func TestASharedBlockIsToldForEachDevice(t *testing.T) {
	s := pair(t)
	for _, line := range []string{"tc qdisc del dev e0 clsact", "tc qdisc add dev e0 ingress_block 5 ingress", "tc qdisc add dev e1 ingress_block 5 ingress",
		"tc filter add block 5 protocol ip u32 match ip dport 80 0xffff action mirred egress redirect dev e1"} {
		s.MustRun(t, "", strings.Fields(line)...)
	}
	found, _ := rows(t, s)
	if len(found) != 2 || found[0].ID == found[1].ID || !strings.Contains(found[0].Evidence[0], "block 5") {
		t.Errorf("rows %+v", found)
	}
}

func TestANamespaceWithoutFilters(t *testing.T) {
	s := labtest.New(t, "ip")
	if found, reading := rows(t, s); len(found) > 0 || len(reading.Blind) > 0 || reading.State != host.Read {
		t.Errorf("rows %v, reading %+v", found, reading)
	}
}
