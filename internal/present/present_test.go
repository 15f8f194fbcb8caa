package present

import (
	"context"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/genl"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
)

// look runs the source in a namespace and gives what it names.
func look(t *testing.T, space labtest.Space) []string {
	t.Helper()
	var what []string
	space.MustDo(t, func(ctx context.Context) error {
		into := host.Space{Tables: []*host.Table{{Backend: "nf_tables"}}}
		var err error
		if into.Ifaces, into.Addrs, err = netns.Ifaces(ctx); err != nil {
			return err
		}
		reading, err := Source{}.Read(ctx, &into)
		for _, b := range reading.Blind {
			what = append(what, b.What+": "+b.Why)
		}
		return err
	})
	return what
}

func TestAnEmptyNamespaceHasNothing(t *testing.T) {
	space := labtest.New(t, "nft")
	space.MustRun(t, "table ip x { chain c { type filter hook input priority 0; }; }", "nft", "-f", "-")
	if got := look(t, space); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestRoutesThatWrapAreNamed(t *testing.T) {
	space := labtest.New(t, "ip")
	space.MustRun(t, "", "ip", "link", "set", "lo", "up")
	for _, route := range []string{
		"-6 route add 2001:db8:1::/64 encap seg6 mode encap segs 2001:db8::1 dev lo",
		"-6 route add 2001:db8:2::/64 encap seg6 mode encap segs 2001:db8::1 dev lo table 77",
		"-6 route add 2001:db8:3::/64 encap seg6local action End.DX4 nh4 192.0.2.9 dev lo",
	} {
		space.MustRun(t, "", append([]string{"ip"}, strings.Fields(route)...)...)
	}
	got := look(t, space)
	if len(got) != 2 || !strings.HasPrefix(got[0], "routes with encapsulation seg6: 2 of them") || !strings.HasPrefix(got[1], "routes with encapsulation seg6local: 1 of them") {
		t.Errorf("%q", got)
	}
}

func TestNextHopObjectsThatWrapAreNamed(t *testing.T) {
	space := labtest.New(t, "ip")
	space.MustRun(t, "", "ip", "link", "set", "lo", "up")
	space.MustRun(t, "", "ip", "-6", "nexthop", "add", "id", "7", "encap", "seg6", "mode", "encap", "segs", "2001:db8::1", "dev", "lo")
	if got := look(t, space); len(got) != 1 || !strings.HasPrefix(got[0], "routes with encapsulation seg6: 1 of them") {
		t.Errorf("%q", got)
	}
}

func TestExpressSocketsAreNamed(t *testing.T) {
	space := labtest.New(t)
	fd := -1
	space.MustDo(t, func(context.Context) error {
		var err error
		fd, err = unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Skipf("this kernel has no AF_XDP sockets: %v", err)
		}
		return nil
	})
	if got := look(t, space); len(got) != 1 || !strings.HasPrefix(got[0], "AF_XDP sockets: 1 open") {
		t.Errorf("%q", got)
	}
	unix.Close(fd)
	if got := look(t, space); len(got) > 0 {
		t.Errorf("closed, and still: %q", got)
	}
}

func TestAProgramBehindATunnelIsNamed(t *testing.T) {
	space := labtest.New(t, "ip")
	var tun *os.File
	space.MustDo(t, func(context.Context) error {
		fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Skipf("this kernel has no TUN: %v", err)
		}
		request, err := unix.NewIfreq("tun7")
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		tun = os.NewFile(uintptr(fd), tunDevice)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return err
		}
		return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
	})
	if got := look(t, space); len(got) > 0 {
		t.Errorf("the interface is down, and: %q", got)
	}
	space.MustRun(t, "", "ip", "link", "set", "tun7", "up")
	if got := look(t, space); len(got) != 1 || !strings.Contains(got[0], "interface tun7: present.test (pid ") {
		t.Errorf("%q", got)
	}
	tun.Close()
	var left []string
	for range 50 { // the kernel takes the carrier away a little later
		if left = look(t, space); len(left) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("nobody is behind it, and: %q", left)
}

func TestKnownProgramsPassOn(t *testing.T) {
	tests := map[string]struct {
		holders  []host.Process
		attended bool
		doubted  bool
	}{
		"a VPN":                       {[]host.Process{{Exe: "/usr/sbin/openvpn", HostExe: true}}, true, false},
		"a machine":                   {[]host.Process{{Exe: "/usr/bin/qemu-system-x86_64", HostExe: true}}, true, false},
		"only called that way":        {[]host.Process{{Exe: "/usr/sbin/openvpn"}}, true, true},
		"another program":             {[]host.Process{{Exe: "/usr/local/bin/tun2socks", HostExe: true}}, true, true},
		"a VPN and another":           {[]host.Process{{Exe: "/usr/sbin/openvpn", HostExe: true}, {Exe: "/tmp/x"}}, true, true},
		"nobody":                      {nil, false, false},
		"somebody who is not in view": {nil, true, true},
	}
	for name, tt := range tests {
		if why := doubt(tt.holders, tt.attended); (why != "") != tt.doubted {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// What this kernel has not, as its headers give it (little endian).
func TestMessagesOfOtherKernels(t *testing.T) {
	decode := func(text string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// OVS_DP_CMD_NEW: genlmsghdr, struct ovs_header, OVS_DP_ATTR_NAME "ovs-system".
	m, err := genl.Parse(decode("01020000 05000000 0f000100 6f76732d73797374656d00 00"))
	if err != nil {
		t.Fatal(err)
	}
	got := datapaths([]genl.Message{m, {}})
	if len(got) != 2 || got[0].What != `Open vSwitch datapath "ovs-system"` || got[1].What != "Open vSwitch datapath without a name" {
		t.Errorf("%v", got)
	}
	// NFT_MSG_NEWFLOWTABLE: nfgenmsg, NFTA_FLOWTABLE_TABLE "filter", NFTA_FLOWTABLE_NAME "ft".
	name, ok := flowtable(decode("02000000 0b000100 66696c74657200 00 07000200 667400 00"))
	if !ok || name != `"ft" of table "filter"` {
		t.Errorf("%q, %v", name, ok)
	}
	if _, ok := flowtable(decode("0200")); ok {
		t.Error("half a message is a flowtable")
	}
}

func TestSeveralNextHopsAreLookedInto(t *testing.T) {
	// RTA_MULTIPATH of two hops, of which the second has RTA_ENCAP_TYPE 1 (mpls).
	hops, err := hex.DecodeString("1c000900" + "0800000001000000" + "1000000001000000" + "0600150001000000")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[uint16]int{}
	countRoute(kinds, append(make([]byte, unix.SizeofRtMsg), hops...))
	if kinds[1] != 1 || len(kinds) != 1 {
		t.Errorf("%v", kinds)
	}
	if encapName(1) != "mpls" || encapName(99) != "99" {
		t.Error("names of encapsulations")
	}
}

func TestSocketsAreCounted(t *testing.T) {
	const table = "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\n" +
		"XDP       1024      3      -1   NI       0   no   kernel      n  n  n  n\nPACKET    1408      1      -1   NI       0   no   kernel\nBAD x\nTORN 1 x\n"
	for name, want := range map[string]int{"XDP": 3, "PACKET": 1, "SMC": 0, "BAD": 0, "TORN": 0} {
		if got := open(table, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add([]byte{0x1c, 0, 9, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0x10, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0x15, 0, 1, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		kinds := map[uint16]int{}
		countRoute(kinds, b)
		countNexthop(kinds, b)
		flowtable(b)
		if m, err := genl.Parse(b); err == nil {
			datapath(m)
		}
	})
}
