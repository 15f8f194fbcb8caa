package ipset_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipset"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

type setCase struct {
	name, create string
	add          []string
	family       host.Family
	want         []string
}

// made is one set of every type that Debian's ipset 7.17 makes, with elements,
// and what is to be read of it.
var made = []setCase{
	{"ips", "hash:ip timeout 600", []string{"10.0.0.1", "10.0.0.2"}, host.IP, []string{"10.0.0.1", "10.0.0.2"}},
	{"ips6", "hash:ip family inet6", []string{"fd00::1"}, host.IP6, []string{"fd00::1"}},
	{"masked", "hash:ip netmask 24", []string{"10.0.7.9"}, host.IP, []string{"10.0.7.0/24"}},
	{"nets", "hash:net", []string{"10.0.0.0/8", "10.1.0.0/16 nomatch"}, host.IP, []string{"10.0.0.0/8", "10.1.0.0/16 nomatch"}},
	{"map", "bitmap:ip range 10.0.0.0/24", []string{"10.0.0.7"}, host.IP, []string{"10.0.0.7"}},
	{"map16", "bitmap:ip range 10.0.0.0/16 netmask 24", []string{"10.0.3.0"}, host.IP, []string{"10.0.3.0/24"}},
	{"ports", "bitmap:port range 0-1024", []string{"80", "443"}, "", []string{"80", "443"}},
	{"ipmac", "bitmap:ip,mac range 10.0.0.0/24", []string{"10.0.0.3,02:00:00:00:00:01"}, host.IP, []string{"10.0.0.3 02:00:00:00:00:01"}},
	{"macs", "hash:mac", []string{"02:00:00:00:00:02"}, "", []string{"02:00:00:00:00:02"}},
	{"ipport", "hash:ip,port", []string{"10.0.0.1,udp:53"}, host.IP, []string{"10.0.0.1 udp:53"}},
	{"netport", "hash:net,port", []string{"10.0.0.0/30,tcp:80"}, host.IP, []string{"10.0.0.0/30 tcp:80"}},
	{"ippi", "hash:ip,port,ip", []string{"10.0.0.1,80,10.0.0.2"}, host.IP, []string{"10.0.0.1 tcp:80 10.0.0.2"}},
	{"ippn", "hash:ip,port,net", []string{"10.0.0.1,80,10.2.0.0/16"}, host.IP, []string{"10.0.0.1 tcp:80 10.2.0.0/16"}},
	{"netnet", "hash:net,net family inet6", []string{"fd00::/64,fd01::/48"}, host.IP6, []string{"fd00::/64 fd01::/48"}},
	{"npn", "hash:net,port,net", []string{"10.0.0.0/24,sctp:9,10.1.0.0/16"}, host.IP, []string{"10.0.0.0/24 sctp:9 10.1.0.0/16"}},
	{"netif", "hash:net,iface", []string{"10.0.0.0/24,eth0", "0.0.0.0/0,physdev:p1"}, host.IP, []string{"0.0.0.0/0 physdev:p1", "10.0.0.0/24 eth0"}},
	{"marked", "hash:ip,mark markmask 0xff", []string{"10.0.0.1,0x17"}, host.IP, []string{"10.0.0.1 mark:0x17"}},
	{"empty", "hash:ip", nil, host.IP, nil},
	{"list", "list:set", []string{"ips", "nets"}, "", []string{"set:ips", "set:nets"}},
}

// makeSets makes the sets that this kernel has types for.
func makeSets(t *testing.T, s labtest.Space) (could []setCase) {
	t.Helper()
	for _, m := range made {
		script := fmt.Sprintf("create %s %s\n", m.name, m.create)
		for _, e := range m.add {
			script += fmt.Sprintf("add %s %s\n", m.name, e)
		}
		if out, err := s.Run(t.Context(), script, "ipset", "restore"); err == nil {
			could = append(could, m)
		} else if !strings.Contains(out, "not supported") {
			t.Fatal(err)
		}
	}
	return could
}

func write(s ipset.Set, e ipset.Element) string {
	var parts []string
	second := false
	for _, dim := range s.Dims() {
		switch dim {
		case "ip", "net":
			if second {
				parts = append(parts, host.AddrRangeString(e.Lo2, e.Hi2))
			} else {
				parts = append(parts, host.AddrRangeString(e.Lo, e.Hi))
			}
			second = true
		case "port":
			if text := fmt.Sprint(e.PortLo); e.Proto == 0 {
				parts = append(parts, text)
			} else {
				parts = append(parts, e.Proto.String()+":"+text)
			}
		case "mac":
			parts = append(parts, fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", e.MAC[0], e.MAC[1], e.MAC[2], e.MAC[3], e.MAC[4], e.MAC[5]))
		case "iface":
			parts = append(parts, map[bool]string{true: "physdev:"}[e.Physdev]+e.Iface)
		case "mark":
			parts = append(parts, fmt.Sprintf("mark:%#x", e.Mark))
		case "set":
			parts = append(parts, "set:"+e.Member)
		}
	}
	if e.NoMatch {
		parts = append(parts, "nomatch")
	}
	return strings.Join(parts, " ")
}

func readIn(t testing.TB, s labtest.Space) *ipset.Sets {
	t.Helper()
	var sets *ipset.Sets
	s.MustDo(t, func(ctx context.Context) (err error) {
		sets, err = ipset.Read(ctx)
		return err
	})
	return sets
}

func TestReadsEveryTypeOfSet(t *testing.T) {
	s := labtest.New(t, "ipset")
	could := makeSets(t, s)
	sets := readIn(t, s)
	if len(sets.All()) != len(could) || len(could) < 15 {
		t.Errorf("read %d sets of %d", len(sets.All()), len(could))
	}
	for _, m := range could {
		got, ok := sets.ByName(m.name)
		if !ok {
			t.Errorf("%s was not read", m.name)
			continue
		}
		if typ, _, _ := strings.Cut(m.create, " "); got.Type != typ || got.Family != m.family || got.Unread != "" {
			t.Errorf("%s: type %q, family %q, unread %q", m.name, got.Type, got.Family, got.Unread)
		}
		if got.Timeouts != strings.Contains(m.create, "timeout") {
			t.Errorf("%s: timeouts %v", m.name, got.Timeouts)
		}
		if again, ok := sets.ByIndex(got.Index); !ok || again.Name != m.name {
			t.Errorf("%s has index %d, which is %q", m.name, got.Index, again.Name)
		}
		compare(t, got, m.want)
	}
}

func compare(t *testing.T, got ipset.Set, want []string) {
	t.Helper()
	have := map[string]bool{}
	for _, e := range got.Elements {
		have[write(got, e)] = true
	}
	for _, w := range want {
		if !have[w] {
			t.Errorf("%s: no element %q among %v", got.Name, w, have)
		}
	}
	if len(have) != len(want) {
		t.Errorf("%s: elements %v, want %v", got.Name, have, want)
	}
}

func TestALargeSetComesWhole(t *testing.T) {
	s := labtest.New(t, "ipset")
	var script strings.Builder
	script.WriteString("create before hash:ip\nadd before 10.9.9.9\ncreate big hash:ip\ncreate zafter hash:ip\nadd zafter 10.8.8.8\n")
	const count = 5000
	for i := range count {
		fmt.Fprintf(&script, "add big 10.1.%d.%d\n", i/250, i%250)
	}
	s.MustRun(t, script.String(), "ipset", "restore")
	sets := readIn(t, s)
	if big, _ := sets.ByName("big"); len(big.Elements) != count {
		t.Errorf("read %d elements of %d", len(big.Elements), count)
	}
	if len(sets.All()) != 3 {
		t.Errorf("read %d sets of 3", len(sets.All()))
	}
}

func TestNoSetsIsNoError(t *testing.T) {
	s := labtest.New(t)
	if sets := readIn(t, s); len(sets.All()) != 0 {
		t.Errorf("a new namespace has sets: %v", sets.All())
	}
}

func TestAskingEndsWithTheContext(t *testing.T) {
	s := labtest.New(t, "ipset")
	s.MustRun(t, "", "ipset", "create", "a", "hash:ip")
	s.MustDo(t, func(context.Context) error {
		ctx, stop := context.WithCancel(context.Background())
		stop()
		if _, err := ipset.Read(ctx); err == nil {
			t.Error("a cancelled reading gave no error")
		}
		return nil
	})
}
