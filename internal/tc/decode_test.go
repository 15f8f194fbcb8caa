package tc

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/host"
)

type attr struct {
	kind uint16
	data []byte
}

func packed(t testing.TB, all ...attr) []byte {
	t.Helper()
	var out []netlink.Attribute
	for _, a := range all {
		out = append(out, netlink.Attribute{Type: a.kind, Data: a.data})
	}
	b, err := pack(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func native32(ns ...uint32) (b []byte) {
	for _, n := range ns {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	return b
}

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// message is an RTM_NEWTFILTER at the ingress of device 2.
func message(t testing.TB, kind string, proto uint16, options ...attr) hung {
	t.Helper()
	info := uint32(49152)<<16 | uint32(hostOrder(proto))
	header := append(make([]byte, 4), native32(2, 1, parentIngress, info)...)
	attrs := packed(t, attr{unix.TCA_KIND, append([]byte(kind), 0)}, attr{unix.TCA_OPTIONS, packed(t, options...)})
	return hung{spot{2, parentIngress, "clsact"}, append(header, attrs...)}
}

// does is an attribute of actions that holds one.
func does(t testing.TB, holder uint16, kind string, options ...attr) attr {
	return attr{holder, packed(t, attr{1, packed(t, attr{actKind, append([]byte(kind), 0)}, attr{actOptions, packed(t, options...)})})}
}

// redirecting is mirred to device 3.
func redirecting(t testing.TB, holder uint16) attr {
	return does(t, holder, "mirred", attr{mirredParms, native32(9, 0, 4, 1, 1, egressRedirect, 3)})
}

func judgedRows(t *testing.T, h hung) *findings {
	t.Helper()
	v := &view{links: map[uint32]link{2: {"h0", true}, 3: {"h1", true}}, filters: []hung{h}}
	v.countTables()
	x := &findings{ctx: t.Context(), v: v, catalog: bpf.NewCatalog()}
	f, err := decodeFilter(h)
	if err != nil {
		t.Fatal(err)
	}
	x.filter(f)
	return x
}

func TestClassifiersThatThisKernelMayLack(t *testing.T) {
	ematch := func(flags uint16, key ...uint32) []byte {
		b := binary.NativeEndian.AppendUint16(nil, 0)
		b = binary.NativeEndian.AppendUint16(b, ematchU32)
		b = append(binary.NativeEndian.AppendUint16(b, flags), 0, 0)
		for _, k := range key[:2] {
			b = binary.BigEndian.AppendUint32(b, k)
		}
		return append(b, native32(key[2:]...)...)
	}
	for _, c := range []struct {
		name string
		h    hung
		want string
	}{
		{"flower with all that it can", message(t, "flower", ethIP, redirecting(t, 3), attr{flowerEthType, be16(ethIP)}, attr{flowerIPProto, []byte{6}},
			attr{flowerAddress4, []byte{10, 0, 0, 0}}, attr{flowerAddress4 + 1, []byte{255, 0, 0, 0}}, attr{19, be16(80)}, attr{36, be16(0xffff)}, attr{22, native32(8)}),
			"mirred | active | inbound | ip | tcp | 80 | from  | to 10.0.0.0/8 |  | dev:h1"},
		{"flower with a range and IPv6", message(t, "flower", ethIPv6, redirecting(t, 3), attr{flowerIPProto, []byte{17}},
			attr{flowerSource6, make([]byte, 16)}, attr{flowerDstMin, be16(8000)}, attr{flowerDstMax, be16(8010)}),
			"mirred | active | inbound | ip6 | udp | 8000-8010 | from :: | to  |  | dev:h1"},
		{"flower with what is not decoded", message(t, "flower", ethIP, redirecting(t, 3), attr{23, []byte{7, 0}}),
			"mirred | active | inbound | ip | any | any | from  | to  | flower key 23 = 0700 | dev:h1"},
		{"matchall", message(t, "matchall", ethAll, redirecting(t, 2)), "mirred | active | inbound | both | any | any | from  | to  |  | dev:h1"},
		{"fw", message(t, "fw", ethIP, redirecting(t, 4), attr{5, native32(0xff)}), "mirred | active | inbound | ip | any | any | from  | to  | mark 0x1/0xff | dev:h1"},
		{"basic with a chain of u32", message(t, "basic", ethIP, redirecting(t, 3), attr{basicEmatches, packed(t, attr{ematchHeader, native32(2)},
			attr{ematchList, packed(t, attr{1, ematch(1, 0x00ff0000, 0x00060000, 8, 0)}, attr{2, ematch(0, 0xffff, 443, 20, 0)})})}),
			"mirred | active | inbound | ip | tcp | 443 | from  | to  | no IP options | dev:h1"},
		{"basic with a choice", message(t, "basic", ethIP, redirecting(t, 3), attr{basicEmatches, packed(t, attr{ematchHeader, native32(1)},
			attr{ematchList, packed(t, attr{1, ematch(ematchOr, 0xffff, 443, 20, 0)})})}),
			"mirred | active | inbound | ip | any | any | from  | to  | a tree of 1 ematches | dev:h1"},
		{"cgroup", message(t, "cgroup", ethAll, redirecting(t, 1)), "mirred | active | inbound | both | any | any | from  | to  | cgroup classifier | dev:h1"},
		{"u32 that contradicts itself", message(t, "u32", ethIP, redirecting(t, 7), attr{u32Sel, append([]byte{1, 0, 2, 0}, append(make([]byte, 12),
			0xff, 0, 0, 0, 10, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 11, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0)...)}),
			"mirred | inactive | inbound | ip | any | any | from  | to 11.0.0.0/8 |  | dev:h1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := judgedRows(t, c.h)
			if len(x.rows) != 1 || len(x.blind) > 0 {
				t.Fatalf("rows %+v, blind %v", x.rows, x.blind)
			}
			if got := words(x.rows[0]); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if x.rows[0].Ref == nil {
				t.Error("the row has no Ref")
			}
		})
	}
}

func TestWhatIsNotJudgedIsBlind(t *testing.T) {
	parms := native32(1, 0, 0, 1, 1)
	for _, c := range []struct {
		name  string
		h     hung
		blind string
	}{
		{"nat", message(t, "matchall", ethIP, does(t, 2, "nat", attr{1, parms})), "nat"},
		{"pedit", message(t, "matchall", ethIP, does(t, 2, "pedit", attr{2, parms})), "pedit"},
		{"ct with nat", message(t, "matchall", ethIP, does(t, 2, "ct", attr{ctAction, []byte{ctNAT, 0}})), "ct"},
		{"ct that only tracks", message(t, "matchall", ethIP, does(t, 2, "ct", attr{ctAction, []byte{1, 0}})), ""},
		{"tunnel_key", message(t, "matchall", ethIP, does(t, 2, "tunnel_key", attr{2, parms})), "tunnel_key"},
		{"an action that is not known", message(t, "matchall", ethIP, does(t, 2, "frobnicate")), "frobnicate"},
		{"a classifier that is not known", message(t, "telepathy", ethIP), "telepathy"},
		{"mirred that is torn", message(t, "matchall", ethIP, does(t, 2, "mirred", attr{mirredParms, native32(1)})), "mirred"},
		{"gact", message(t, "matchall", ethIP, does(t, 2, "gact", attr{2, parms})), ""},
		{"a program that is gone", message(t, "bpf", ethAll, attr{bpfID, native32(0xfffffff0)}), "bpf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := judgedRows(t, c.h)
			if len(x.rows) > 0 {
				t.Errorf("rows %+v", x.rows)
			}
			if c.blind == "" && len(x.blind) > 0 || c.blind != "" && (len(x.blind) != 1 || !strings.Contains(x.blind[0].What+x.blind[0].Why, c.blind)) {
				t.Errorf("blind %v, want %q", x.blind, c.blind)
			}
		})
	}
}

// What the kernel counts or numbers by itself is no part of a filter.
func TestFingerprintsStay(t *testing.T) {
	counted := func(index, refs, used uint32) hung {
		return message(t, "matchall", ethIP, attr{4, native32(used, used)}, attr{3, native32(8 * used)}, does(t, 2, "mirred",
			attr{mirredParms, native32(index, 0, 4, refs, 1, egressRedirect, 3)}, attr{1, native32(used, used, used)}))
	}
	object := func(h hung) Object {
		v := &view{links: map[uint32]link{2: {"h0", true}}}
		f, err := decodeFilter(h)
		if err != nil {
			t.Fatal(err)
		}
		o, err := v.object(f)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if a, b := object(counted(1, 1, 0)), object(counted(9, 1, 1)); a.Fingerprint != b.Fingerprint {
		t.Errorf("%x and %x", a.Raw, b.Raw)
	}
	if a, b := object(counted(1, 1, 0)), object(message(t, "matchall", ethIP)); a.Fingerprint == b.Fingerprint {
		t.Error("different filters have one fingerprint")
	}
}

func TestPrefixesOfPortsAndAddresses(t *testing.T) {
	var k bytemask
	k.key([]byte{0, 0, 0xff, 0xf0, 0, 0, 0x1f, 0x90, 20, 0, 0, 0, 0, 0, 0, 0})
	m := host.Match{Family: host.IP}
	k.narrow(&m)
	if got := host.PortsString(m.Ports); got != "8080-8095" {
		t.Errorf("ports %s", got)
	}
	k = bytemask{}
	k.key([]byte{0, 0, 0, 0xff, 0, 0, 0, 1, 16, 0, 0, 0, 0, 0, 0, 0}) // the last byte of the address only
	m = host.Match{Family: host.IP}
	k.narrow(&m)
	if !m.Address.Any() || len(m.Conditions) != 1 {
		t.Errorf("match %+v", m)
	}
}

// FuzzFilter feeds torn messages; what is taken must be told or be blind.
func FuzzFilter(f *testing.F) {
	for _, h := range []hung{message(f, "u32", ethIP, attr{u32Sel, make([]byte, 48)}, redirecting(f, 7)), message(f, "flower", ethIPv6, redirecting(f, 3), attr{flowerAddress6, make([]byte, 16)}),
		message(f, "basic", ethIP, attr{basicEmatches, packed(f, attr{ematchList, make([]byte, 32)})}), message(f, "bpf", ethAll, attr{bpfOps, make([]byte, 16)})} {
		f.Add(h.raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h := hung{spot{2, parentIngress, "clsact"}, b}
		v := &view{links: map[uint32]link{2: {"h0", true}}, filters: []hung{h}}
		v.countTables()
		decoded, err := decodeFilter(h)
		if err != nil {
			return
		}
		x := &findings{ctx: t.Context(), v: v, catalog: bpf.NewCatalog()}
		if id, ok := decoded.options.u32(bpfID); ok && id != 0 {
			return // a program of this machine
		}
		if decoded.kind != "bpf" {
			x.filter(decoded)
		}
		if o, err := v.object(decoded); err == nil {
			if _, err := Deletion(o); err != nil {
				t.Errorf("it cannot be deleted: %v", err)
			}
		}
	})
}
