package xt_test

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipset"
	"github.com/natwarden/natwarden/internal/xt"
)

// show writes alternatives on one line, so that tables can say them.
func show(alts []host.Match) string {
	if alts == nil {
		return "all"
	}
	var list []string
	for _, m := range alts {
		list = append(list, showOne(m))
	}
	return strings.Join(list, " | ")
}

func showOne(m host.Match) string {
	var parts []string
	add := func(word, text string) {
		if text != "" && text != "any" {
			parts = append(parts, word+text)
		}
	}
	add("", string(m.Family))
	if !m.Protos.Any() {
		add("", m.Protos[0].Lo.String())
		if n := len(m.Protos); n > 1 {
			add("", m.Protos[n-1].Lo.String())
		}
	}
	add("ports ", host.PortsString(m.Ports))
	add("sports ", host.PortsString(m.SPorts))
	add("to ", host.AddrsString(m.Address))
	add("from ", host.AddrsString(m.Source))
	add("in ", m.In.String())
	add("out ", m.Out.String())
	add("if ", strings.Join(m.Conditions, "; "))
	add("dead: ", m.Dead)
	add("waiting: ", m.Waiting)
	return strings.Join(parts, ", ")
}

// matchCases are rules' matches and what they take. The bytes come from the
// kernel, by way of the save tests; here the meaning is held.
var matchCases = []struct {
	name     string
	family   host.Family
	match    string
	revision uint8
	info     []byte
	want     string
}{
	{"tcp port", host.IP, "tcp", 0, cat(u16(0, 65535, 80, 80), []byte{0, 0, 0, 0}), "tcp, ports 80"},
	{"tcp not port, syn", host.IP, "tcp", 0, cat(u16(5, 9, 80, 90), []byte{0, 0x17, 2, 2}), "tcp, ports !80-90, sports 5-9, if tcp-flags FIN,SYN,RST,ACK SYN"},
	{"tcp any port", host.IP, "tcp", 0, cat(u16(0, 65535, 0, 65535), []byte{0, 0, 0, 0}), "tcp"},
	{"tcp no port", host.IP, "tcp", 0, cat(u16(0, 65535, 0, 65535), []byte{0, 0, 0, 2}), "tcp, ports none"},
	{"udp", host.IP6, "udp", 0, cat(u16(0, 65535, 53, 54), []byte{0, 0}), "udp, ports 53-54"},
	{"multiport dports", host.IP, "multiport", 1, multiport(1, 0, []uint16{1, 80, 90}, 1), "ports 1,80-90"},
	{"multiport not dports", host.IP, "multiport", 1, multiport(1, 1, []uint16{1, 80, 90}, 1), "ports !1,80-90"},
	{"multiport sports", host.IP, "multiport", 1, multiport(0, 0, []uint16{7}), "sports 7"},
	{"multiport either", host.IP, "multiport", 1, multiport(2, 0, []uint16{7}), "ports 7 | sports 7"},
	{"multiport neither", host.IP, "multiport", 1, multiport(2, 1, []uint16{7}), "ports !7, sports !7"},
	{"multiport r0", host.IP, "multiport", 0, multiport(1, 0, []uint16{7, 9})[:32], "ports 7,9"},
	{"mark", host.IP, "mark", 1, cat(u32(0x20, 0x20), []byte{0, 0, 0, 0}), "if mark 0x20/0x20"},
	{"not connmark", host.IP, "connmark", 1, cat(u32(1, 0xffffffff), []byte{1, 0, 0, 0}), "if not connmark 0x1"},
	{"addrtype", host.IP, "addrtype", 1, cat(u16(0, 4), u32(0)), "if dst-type LOCAL"},
	{"addrtype r0", host.IP, "addrtype", 0, cat(u16(4, 0), u32(1, 0)), "if not src-type LOCAL"},
	{"comment", host.IP, "comment", 0, append([]byte("hello"), make([]byte, 251)...), "all"},
	{"iprange", host.IP, "iprange", 1, iprange(3), "to 10.1.0.1-10.1.0.5, from 10.0.0.1-10.0.0.5"},
	{"not iprange", host.IP, "iprange", 1, iprange(0x21 | 2), "to !10.1.0.1-10.1.0.5, from 10.0.0.1-10.0.0.5"},
	{"state", host.IP, "state", 0, u32(8), "if state NEW"},
	{"nth", host.IP, "statistic", 0, cat(u16(1, 0), u32(1, 0, 0), make([]byte, 8)), "if every 2nd packet (number 0)"},
	{"random", host.IP, "statistic", 0, cat(u16(0, 0), u32(0x40000000, 0, 0), make([]byte, 8)), "if with probability 0.5"},
	{"knock", host.IP, "recent", 1, recent(1, 0), "if source in recent list knock within 30 s (filled by packets)"},
	{"not knocked", host.IP, "recent", 1, recent(1, 1), "if source not in recent list knock within 30 s (filled by packets)"},
	{"knocking", host.IP, "recent", 1, recent(2, 0), "all"},
	{"never knocking", host.IP, "recent", 1, recent(2, 1), "dead: recent --set takes every packet, and the match is inverted"},
	{"time that is past", host.IP, "time", 0, window(0, 1000), "if datestop 1970-01-01T00:16:40, dead: its time ended at 1970-01-01T00:16:40"},
	{"time to come", host.IP, "time", 0, window(2000000000, 0x7fffffff), "if datestart 2033-05-18T03:33:20, waiting: its time begins at 2033-05-18T03:33:20"},
	{"time now", host.IP, "time", 0, window(1000, 2000000000), "if datestart 1970-01-01T00:16:40 datestop 2033-05-18T03:33:20"},
	{"owner", host.IP, "owner", 1, cat(u32(5, 5, 0, 0), []byte{1, 1, 0, 0}), "if not uid-owner 5"},
	{"socket", host.IP, "socket", 1, []byte{1}, "if a local socket answers transparent"},
	{"socket r0", host.IP, "socket", 0, nil, "if a local socket answers"},
	{"u32 port", host.IP, "u32", 0, u32Match(0, u32Port), "ports 80"},
	{"u32 port in IPv6", host.IP6, "u32", 0, u32Match(0, u32Port), `if u32 "0x0>>0x16&0x3c@0x0&0xffff=0x50"`},
	{"not u32 port", host.IP, "u32", 0, u32Match(1, u32Port), `if not u32 "0x0>>0x16&0x3c@0x0&0xffff=0x50"`},
	{"bpf", host.IP, "bpf", 0, cat(u16(1, 6), []byte{0, 0}, u32(1), make([]byte, 516)), "if bpf program of 1 instructions"},
	{"icmp", host.IP, "icmp", 0, []byte{8, 0, 255, 0}, "icmp, if icmp-type 8"},
	{"conntrack proto", host.IP, "conntrack", 3, conntrack(2, 0), "tcp"},
	{"ctorigdst stays words", host.IP, "conntrack", 3, conntrack(8, 0), "if ctorigdst 10.0.0.0/8"},
	{"cgroup r1", host.IP, "cgroup", 1, cat([]byte{1, 0, 0, 0}, []byte("a/b"), make([]byte, 4109)), "if cgroup a/b"},
	{"cgroup r2", host.IP, "cgroup", 2, cat([]byte{1, 0, 1, 0}, []byte("a/b"), make([]byte, 517)), "if not cgroup a/b"},
	{"l2tp", host.IP, "l2tp", 0, cat(u32(3, 7), []byte{2, 1, 15, 0}), "if l2tp tid 3 sid 7 pversion 2 type data"},
	{"nfacct", host.IP, "nfacct", 0, append([]byte("a"), make([]byte, 39)...), "if nfacct-name a"},
	{"ipvs", host.IP, "ipvs", 0, cat(make([]byte, 32), []byte{0, 80, 6, 0, 0, 0, 0, 10}), "if ipvs vproto 6 vport 80"},
	{"bridge ip", host.Bridge, "ip", 0, cat([]byte{10, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0x29, 0}, u16(0, 0, 80, 80)), "ip, tcp, ports 80, from 10.0.0.0/8"},
	{"mark that none fits", host.IP, "mark", 1, cat(u32(3, 1), []byte{0, 0, 0, 0}), "if mark 0x3/0x1, dead: no mark fits 0x3/0x1"},
	{"never by chance", host.IP, "statistic", 0, cat(u16(0, 0), make([]byte, 20)), "dead: its probability is 0"},
	{"always by chance", host.IP, "statistic", 0, cat(u16(0, 1), make([]byte, 20)), "all"},
	{"no quota", host.IP, "quota", 0, make([]byte, 16), "if quota 0, dead: its quota is 0"},
	{"rarer", host.IP6, "srh", 0, nil, "if -m srh (not decoded further)"},
}

func cat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func u16(values ...uint16) (b []byte) {
	for _, v := range values {
		b = binary.NativeEndian.AppendUint16(b, v)
	}
	return b
}

func u32(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

// multiport is struct xt_multiport_v1; ranges are the places that begin a range.
func multiport(which, not uint8, ports []uint16, ranges ...int) []byte {
	b := make([]byte, 48)
	b[0], b[1], b[47] = which, uint8(len(ports)), not
	copy(b[2:], u16(ports...))
	for _, i := range ranges {
		b[32+i] = 1
	}
	return b
}

func iprange(flags uint8) []byte {
	b := make([]byte, 68)
	copy(b[0:], []byte{10, 0, 0, 1})
	copy(b[16:], []byte{10, 0, 0, 5})
	copy(b[32:], []byte{10, 1, 0, 1})
	copy(b[48:], []byte{10, 1, 0, 5})
	b[64] = flags
	return b
}

func recent(ops, not uint8) []byte {
	b := make([]byte, 228)
	copy(b, u32(30, 0))
	b[8], b[9] = ops, not
	copy(b[10:], "knock")
	copy(b[212:], []byte{255, 255, 255, 255})
	return b
}

func window(start, stop uint32) []byte {
	return cat(u32(start, stop, 0, 24*60*60-1, 0xfffffffe), []byte{0xfe, 0, 0, 0})
}

// u32Port is the test 0>>22&0x3C@0&0xFFFF=80.
var u32Port = cat(
	u32(0, 0, 22, 2, 0x3c, 0, 0, 3, 0xffff, 0), make([]byte, 48),
	u32(80, 80), make([]byte, 80), []byte{5, 1, 0, 0})

func u32Match(not uint8, test []byte) []byte {
	b := make([]byte, 1984)
	copy(b, test)
	b[1980], b[1981] = 1, not
	return b
}

func conntrack(flags, inv uint16) []byte {
	b := make([]byte, 164)
	copy(b[32:], []byte{10, 0, 0, 0})
	copy(b[48:], []byte{255, 0, 0, 0})
	copy(b[136:], u16(6))
	copy(b[146:], u16(flags, inv))
	return b
}

// now is a time at which the tests of dates happen.
var now = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func TestMatchMeaning(t *testing.T) {
	for _, c := range matchCases {
		alts, text, ok := xt.Match(xt.Ext{Family: c.family, Name: c.match, Revision: c.revision, Info: c.info}, xt.Env{Now: now})
		if got := show(alts); got != c.want || !ok {
			t.Errorf("%s: %s\n%s, want\n%s", c.name, text, got, c.want)
		}
	}
}

// Padding changes nothing, and a byte too few is not understood.
func TestMatchBounds(t *testing.T) {
	for _, c := range matchCases {
		if c.match == "comment" || c.match == "srh" || len(c.info) == 0 {
			continue // of any length
		}
		e := xt.Ext{Family: c.family, Name: c.match, Revision: c.revision, Info: cat(c.info, make([]byte, 8))}
		if alts, _, ok := xt.Match(e, xt.Env{Now: now}); !ok || show(alts) != c.want {
			t.Errorf("%s with padding: %s, %v", c.name, show(alts), ok)
		}
		for n := range c.info {
			e.Info = c.info[:n]
			if alts, _, ok := xt.Match(e, xt.Env{Now: now}); !ok && alts != nil || ok && show(alts) != c.want {
				t.Errorf("%s cut to %d bytes: %s", c.name, n, show(alts))
			}
		}
	}
}

func TestUnknownMatchIsNamed(t *testing.T) {
	alts, text, ok := xt.Match(xt.Ext{Family: host.IP, Name: "new\x1bthing"}, xt.Env{})
	if ok || alts != nil || text != `-m "new\x1bthing" (not understood)` {
		t.Errorf("%v %q %v", alts, text, ok)
	}
}

func TestNoTextDrivesATerminal(t *testing.T) {
	comment := append([]byte("a\x1b[31m\n\x7f\xff\u202e\"b"), make([]byte, 64)...)
	_, text, _ := xt.Match(xt.Ext{Family: host.IP, Name: "comment", Info: comment}, xt.Env{})
	if want := `-m comment --comment "a\x1b[31m\x0a\x7f\xff\xe2\x80\xae\"b"`; text != want {
		t.Errorf("%s, want %s", text, want)
	}
}

// setsOf are sets by index.
type setsOf map[uint16]ipset.Set

func (s setsOf) ByIndex(index uint16) (ipset.Set, bool) { set, ok := s[index]; return set, ok }

func (s setsOf) ByName(name string) (ipset.Set, bool) {
	for _, set := range s {
		if set.Name == name {
			return set, true
		}
	}
	return ipset.Set{}, false
}

func net(prefix string) ipset.Element {
	p := netip.MustParsePrefix(prefix)
	return ipset.Element{Lo: p.Addr(), Hi: host.LastAddr(p), Bits: p.Bits()}
}

func netPort(prefix string, proto host.Proto, port uint16) ipset.Element {
	e := net(prefix)
	e.Proto, e.PortLo, e.PortHi = proto, port, port
	return e
}

func except(e ipset.Element) ipset.Element { e.NoMatch = true; return e }

var someSets = setsOf{
	1:  {Name: "hosts", Type: "hash:ip", Family: host.IP, Timeouts: true, Elements: []ipset.Element{net("10.0.0.1/32"), net("10.0.0.2/32")}},
	2:  {Name: "pairs", Type: "hash:ip,port", Family: host.IP, Elements: []ipset.Element{netPort("10.0.0.1/32", host.TCP, 80), netPort("10.0.0.2/32", host.UDP, 53)}},
	3:  {Name: "void", Type: "hash:ip", Family: host.IP},
	4:  {Name: "nets", Type: "hash:net", Family: host.IP, Elements: []ipset.Element{net("10.1.0.0/16"), except(net("10.1.2.0/24")), net("10.1.2.3/32")}},
	5:  {Name: "six", Type: "hash:ip", Family: host.IP6, Elements: []ipset.Element{net("fd00::1/128")}},
	6:  {Name: "ports", Type: "bitmap:port", Elements: []ipset.Element{{PortLo: 80, PortHi: 80}, {PortLo: 443, PortHi: 443}}},
	7:  {Name: "all", Type: "list:set", Elements: []ipset.Element{{Member: "hosts"}, {Member: "void"}, {Member: "pairs"}}},
	8:  {Name: "ifs", Type: "hash:net,iface", Family: host.IP, Elements: []ipset.Element{{Lo: netip.MustParseAddr("10.0.0.0"), Hi: netip.MustParseAddr("10.0.0.255"), Iface: "eth", Wildcard: true}}},
	9:  {Name: "torn", Type: "hash:ip", Family: host.IP, Unread: "its bitmask is not evaluated"},
	10: {Name: "netnet", Type: "hash:net,net", Family: host.IP, Elements: []ipset.Element{{Lo: netip.MustParseAddr("10.0.0.1"), Hi: netip.MustParseAddr("10.0.0.1"), Lo2: netip.MustParseAddr("10.9.0.0"), Hi2: netip.MustParseAddr("10.9.255.255")}}},
	11: {Name: "loop", Type: "list:set", Elements: []ipset.Element{{Member: "loop"}}},
	12: {Name: "odd\x1b\"name", Type: "hash:ip", Family: host.IP},
	13: {Name: "marks", Type: "hash:ip,mark", Family: host.IP, MarkMask: 0xff, Elements: []ipset.Element{{Lo: netip.MustParseAddr("10.0.0.1"), Hi: netip.MustParseAddr("10.0.0.1"), Mark: 5}}},
	14: {Name: "macs", Type: "hash:mac", Elements: []ipset.Element{{MAC: [6]byte{2, 0, 0, 0, 0, 1}, HasMAC: true}}},
	15: {Name: "nothing", Type: "list:set", Elements: []ipset.Element{{Member: "void"}}},
}

// setInfo is struct xt_set_info; dirs is one letter for each dimension.
func setInfo(index uint16, dirs string, not bool) []byte {
	flags := uint8(0)
	if not {
		flags = 1
	}
	for i, c := range dirs {
		if c == 's' {
			flags |= 2 << i
		}
	}
	return append(u16(index), uint8(len(dirs)), flags)
}

func TestSetMatch(t *testing.T) {
	for _, c := range []struct {
		index uint16
		dirs  string
		not   bool
		want  string
	}{
		{1, "s", false, "from 10.0.0.1-10.0.0.2, if src in ipset hosts (entries expire)"},
		{1, "d", false, "to 10.0.0.1-10.0.0.2, if dst in ipset hosts (entries expire)"},
		{1, "s", true, "from !10.0.0.1-10.0.0.2, if src not in ipset hosts (entries expire)"},
		{2, "dd", false, "tcp, ports 80, to 10.0.0.1, if dst,dst in ipset pairs | udp, ports 53, to 10.0.0.2, if dst,dst in ipset pairs"},
		{2, "sd", false, "tcp, ports 80, from 10.0.0.1, if src,dst in ipset pairs | udp, ports 53, from 10.0.0.2, if src,dst in ipset pairs"},
		{2, "sd", true, "if src,dst not in ipset pairs (2 elements)"},
		{2, "d", false, "dead: ipset pairs wants 2 directions, the rule gives 1"},
		{2, "d", true, "all"},
		{3, "s", false, "if src in ipset void, waiting: ipset void is empty"},
		{3, "s", true, "if src not in ipset void"},
		{4, "d", false, "to 10.1.0.0/23,10.1.2.3,10.1.3.0-10.1.255.255, if dst in ipset nets"},
		{5, "s", false, "dead: ipset six holds addresses of the other family"},
		{6, "d", false, "tcp, udp, ports 80,443, if dst in ipset ports"},
		{6, "s", true, "sports !80,443, if src not in ipset ports"},
		{7, "sd", false, "from 10.0.0.1-10.0.0.2, if src,dst in ipset hosts (entries expire); src,dst in ipset all | " +
			"if src,dst in ipset void; src,dst in ipset all, waiting: ipset void is empty | " +
			"tcp, ports 80, from 10.0.0.1, if src,dst in ipset pairs; src,dst in ipset all | " +
			"udp, ports 53, from 10.0.0.2, if src,dst in ipset pairs; src,dst in ipset all"},
		{7, "s", true, "if src not in ipset all"},
		{8, "ss", false, "from 10.0.0.0/24, in eth*, if src,src in ipset ifs"},
		{8, "dd", false, "to 10.0.0.0/24, out eth*, if dst,dst in ipset ifs"},
		{9, "s", false, "if src in ipset torn (its bitmask is not evaluated)"},
		{10, "sd", false, "to 10.9.0.0/16, from 10.0.0.1, if src,dst in ipset netnet"},
		{11, "s", false, "if src in ipset loop"},
		{12, "s", false, `if src in ipset "odd\x1b\"name", waiting: ipset "odd\x1b\"name" is empty`},
		{13, "ss", false, "from 10.0.0.1, if src,src in ipset marks; mark 0x5/0xff"},
		{14, "s", false, "if src in ipset macs; src-mac 02:00:00:00:00:01"},
		{15, "s", false, "if src in ipset void; src in ipset nothing, waiting: ipset void is empty"},
		{99, "s", false, "if src in ipset index:99 (not readable)"},
	} {
		e := xt.Ext{Family: host.IP, Name: "set", Revision: 1, Info: setInfo(c.index, c.dirs, c.not)}
		alts, text, ok := xt.Match(e, xt.Env{Sets: someSets})
		if got := show(alts); got != c.want || !ok {
			t.Errorf("%s\n%s, want\n%s", text, got, c.want)
		}
	}
}

// What the entries of a set say now, others may say tomorrow.
func TestSetsAreNamedWhoseEntriesNarrow(t *testing.T) {
	for index, want := range map[uint16]string{1: "hosts", 2: "pairs", 7: "hosts"} {
		e := xt.Ext{Family: host.IP, Name: "set", Revision: 1, Info: setInfo(index, "sd", false)}
		alts, _, _ := xt.Match(e, xt.Env{Sets: someSets})
		if len(alts) == 0 || len(alts[0].Lists) == 0 || alts[0].Lists[0] != want {
			t.Errorf("set %d: %+v, want %s", index, alts, want)
		}
	}
}

func TestALargeSetIsWords(t *testing.T) {
	big := ipset.Set{Name: "big", Type: "hash:ip,port", Family: host.IP}
	for i := range 1025 {
		big.Elements = append(big.Elements, netPort("10.0.0.1/32", host.TCP, uint16(i)))
	}
	e := xt.Ext{Family: host.IP, Name: "set", Revision: 1, Info: setInfo(1, "dd", false)}
	alts, _, _ := xt.Match(e, xt.Env{Sets: setsOf{1: big}})
	if got := show(alts); got != "if dst,dst in ipset big (1025 elements)" {
		t.Error(got)
	}
	big.Elements = big.Elements[:1024]
	if alts, _, _ = xt.Match(e, xt.Env{Sets: setsOf{1: big}}); len(alts) != 1024 {
		t.Errorf("%d alternatives of 1024", len(alts))
	}
}
