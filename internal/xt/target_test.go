package xt_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

// compat is struct nf_nat_ipv4_multi_range_compat with one range.
func compat(flags uint32, lo, hi string, ports ...byte) []byte {
	a, b := netip.MustParseAddr(lo).As4(), netip.MustParseAddr(hi).As4()
	return cat(u32(1, flags), a[:], b[:], append(ports, make([]byte, 4-len(ports))...))
}

// range2 is struct nf_nat_range2; its first 40 bytes are nf_nat_range.
func range2(flags uint32, lo, hi string, ports ...byte) []byte {
	part := func(text string) []byte {
		b := make([]byte, 16)
		copy(b, netip.MustParseAddr(text).AsSlice())
		return b
	}
	return cat(u32(flags), part(lo), part(hi), append(ports, make([]byte, 8-len(ports))...))
}

func showEffects(effects []host.Effect) string {
	var list []string
	for _, e := range effects {
		text := e.Kind
		if e.Source {
			text += " (source)"
		}
		for _, to := range e.To {
			text += " " + to.String()
		}
		if len(e.Evidence) > 0 {
			text += " [" + strings.Join(e.Evidence, "; ") + "]"
		}
		if e.Unknown != "" {
			text += " unknown: " + e.Unknown
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

var verdicts = map[host.Verdict]string{host.Continue: "continue", host.Accept: "accept", host.Drop: "drop", host.Return: "return",
	host.Queue: "queue", host.Uncertain: "uncertain"}

// targetCases are targets of rules and what they do.
var targetCases = []struct {
	family   host.Family
	target   string
	revision uint8
	info     []byte
	want     string // verdict: effects
	text     string
}{
	{host.IP, "DNAT", 0, compat(3, "10.0.5.1", "10.0.5.1", 0x1f, 0x90, 0x1f, 0x90), "accept: dnat 10.0.5.1:8080", "-j DNAT --to-destination 10.0.5.1:8080"},
	{host.IP, "DNAT", 1, range2(3, "10.0.5.1", "10.0.5.9", 0, 80, 0, 90)[:40], "accept: dnat 10.0.5.1-10.0.5.9:80-90", "-j DNAT --to-destination 10.0.5.1-10.0.5.9:80-90"},
	{host.IP, "DNAT", 2, range2(0x23, "10.0.5.1", "10.0.5.1", 0, 80, 0, 81, 0x23, 0x28), "accept: dnat 10.0.5.1:80-81/9000", "-j DNAT --to-destination 10.0.5.1:80-81/9000"},
	{host.IP, "DNAT", 2, range2(2, "0.0.0.0", "0.0.0.0", 0, 80, 0, 80), "accept: dnat :80", "-j DNAT --to-destination :80"},
	{host.IP6, "DNAT", 1, range2(3, "fd00::1", "fd00::1", 0, 80, 0, 80)[:40], "accept: dnat [fd00::1]:80", "-j DNAT --to-destination [fd00::1]:80"},
	{host.IP6, "DNAT", 2, range2(0x1d, "fd00::1", "fd00::f"), "accept: dnat fd00::1-fd00::f [random; random-fully; persistent]", "-j DNAT --to-destination fd00::1-fd00::f --random --random-fully --persistent"},
	{host.IP6, "DNAT", 2, range2(3, "fd00::10", "fd00::1f", 0, 80, 0, 80), "accept: dnat [fd00::10]-[fd00::1f]:80", "-j DNAT --to-destination [fd00::10-fd00::1f]:80"},
	{host.IP, "DNAT", 2, range2(0x81, "10.0.5.1", "10.0.5.1"), "accept: dnat 10.0.5.1 unknown: nat flags 0x81 are unknown", "-j DNAT --to-destination 10.0.5.1"},
	{host.IP, "DNAT", 2, range2(1, "10.0.5.9", "10.0.5.1"), "accept: dnat 10.0.5.9-10.0.5.1 unknown: its address range runs backwards", "-j DNAT --to-destination 10.0.5.9-10.0.5.1"},
	{host.IP, "DNAT", 2, range2(3, "10.0.5.1", "10.0.5.1", 0, 0, 0, 0), "accept: dnat 10.0.5.1:0", "-j DNAT --to-destination 10.0.5.1:0"},
	{host.IP, "REDIRECT", 0, compat(0, "0.0.0.0", "0.0.0.0"), "accept: redirect :*", "-j REDIRECT"},
	{host.IP, "REDIRECT", 0, compat(2, "0.0.0.0", "0.0.0.0", 0x0c, 0x38, 0x0c, 0x38), "accept: redirect :3128", "-j REDIRECT --to-ports 3128"},
	{host.IP6, "REDIRECT", 0, range2(2, "::", "::", 0x0c, 0x38, 0x0c, 0x39)[:40], "accept: redirect :3128-3129", "-j REDIRECT --to-ports 3128-3129"},
	{host.IP, "MASQUERADE", 0, compat(0, "0.0.0.0", "0.0.0.0"), "accept: masquerade (source) :*", "-j MASQUERADE"},
	{host.IP, "SNAT", 2, range2(1, "10.0.0.1", "10.0.0.1"), "accept: snat (source) 10.0.0.1", "-j SNAT --to-source 10.0.0.1"},
	{host.IP, "NETMAP", 0, compat(1, "10.9.9.0", "10.9.9.255"), "accept: netmap 10.9.9.0/24", "-j NETMAP --to 10.9.9.0/24"},
	{host.IP, "NETMAP", 0, compat(1, "10.9.9.1", "10.9.9.1"), "accept: netmap 10.9.9.1/32", "-j NETMAP --to 10.9.9.1/32"},
	{host.IP6, "NETMAP", 0, range2(1, "fd02::", "fd02::ffff:ffff:ffff:ffff")[:40], "accept: netmap fd02::/64", "-j NETMAP --to fd02::/64"},
	{host.IP, "TPROXY", 0, cat(u32(1, 1), []byte{0, 0, 0, 0, 0x0c, 0x39, 0, 0}), "accept: tproxy :3129 [tproxy-mark 0x1/0x1]", "-j TPROXY --on-port 3129 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1"},
	{host.IP, "TPROXY", 1, cat(u32(1, 1), []byte{127, 0, 0, 1}, make([]byte, 12), []byte{0x0c, 0x39, 0, 0}), "accept: tproxy 127.0.0.1:3129 [tproxy-mark 0x1/0x1]", "-j TPROXY --on-port 3129 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1"},
	{host.IP6, "TPROXY", 1, cat(u32(1, 1), make([]byte, 20)), "accept: tproxy :* [tproxy-mark 0x1/0x1]", "-j TPROXY --on-port 0 --on-ip :: --tproxy-mark 0x1/0x1"},
	{host.IP, "NFQUEUE", 0, u16(7), "queue: queue [queue 7]", "-j NFQUEUE --queue-num 7"},
	{host.IP, "NFQUEUE", 3, u16(1, 4, 1), "queue: queue [queues 1-4; bypass: accepted while nobody listens on the queue]", "-j NFQUEUE --queue-balance 1:4 --queue-bypass"},
	{host.IP, "QUEUE", 0, nil, "queue: queue [queue 0]", "-j QUEUE"},
	{host.IP, "TEE", 1, cat([]byte{10, 0, 0, 9}, make([]byte, 36)), "continue: dup 10.0.0.9", "-j TEE --gateway 10.0.0.9"},
	{host.IP6, "DNPT", 0, npt(64, 64), "continue: rewrite fd02::/64 [dnpt from fd01::/64]", "-j DNPT --src-pfx fd01::/64 --dst-pfx fd02::/64"},
	{host.IP6, "SNPT", 0, npt(48, 48), "continue: rewrite (source) fd02::/48 [snpt from fd01::/48]", "-j SNPT --src-pfx fd01::/48 --dst-pfx fd02::/48"},
	{host.IP, "REJECT", 0, u32(3), "drop: ", "-j REJECT --reject-with icmp-port-unreachable"},
	{host.IP, "MARK", 2, u32(1, 0xffffffff), "continue: ", "-j MARK --set-xmark 0x1/0xffffffff"},
	{host.IP, "NOTRACK", 0, nil, "continue: ", "-j NOTRACK"},
	{host.IP, "TRACE", 0, nil, "continue: ", "-j TRACE"},
	{host.IP, "SYNPROXY", 0, []byte{1, 0, 0, 0}, "uncertain: ", "-j SYNPROXY --mss 0"},
	{host.IP, "LED", 0, cat([]byte("net"), make([]byte, 37)), "continue: ", "-j LED --led-trigger-id net"},
	{host.ARP, "mangle", 0, cat(make([]byte, 36), []byte{10, 0, 0, 9, 8, 0, 0, 0}, u32(1)), "accept: mac-redirect [arp mangle-ip-d 10.0.0.9]", "-j mangle --mangle-ip-d 10.0.0.9"},
	{host.Bridge, "snat", 0, []byte{2, 0, 0, 0, 0, 1, 0, 0, 0xed, 0xff, 0xff, 0xff}, "continue: mac-redirect (source) [source MAC 02:00:00:00:00:01]", "-j snat --to-src 02:00:00:00:00:01 --snat-arp --snat-target CONTINUE"},
	{host.Bridge, "standard", 0, []byte{0xfe, 0xff, 0xff, 0xff}, "drop: ", "-j DROP"},
}

func npt(from, to uint8) []byte {
	b := make([]byte, 36)
	copy(b, []byte{0xfd, 1})
	copy(b[16:], []byte{0xfd, 2})
	b[32], b[33] = from, to
	return b
}

func TestTargets(t *testing.T) {
	for _, c := range targetCases {
		e := xt.Ext{Family: c.family, Name: c.target, Revision: c.revision, Info: c.info}
		r, ok := xt.Target(e, xt.Env{})
		if got := verdicts[r.Verdict] + ": " + showEffects(r.Effects); got != c.want || r.Text != c.text || !ok {
			t.Errorf("%s\n%s, want\n%s (%s)", r.Text, got, c.want, c.text)
		}
		e.Info = cat(c.info, make([]byte, 8))
		if padded, ok := xt.Target(e, xt.Env{}); !ok || fmt.Sprint(padded) != fmt.Sprint(r) {
			t.Errorf("%s with padding: %+v", c.text, padded)
		}
		for n := range c.info {
			e.Info = c.info[:n]
			if cut, ok := xt.Target(e, xt.Env{}); ok && fmt.Sprint(cut) != fmt.Sprint(r) || !ok && cut.Verdict != host.Uncertain {
				t.Errorf("%s cut to %d bytes: %+v", c.text, n, cut)
			}
		}
	}
}

// Of a revision that is not known, nothing is said.
func TestUnknownTargets(t *testing.T) {
	for _, e := range []xt.Ext{
		{Family: host.IP, Name: "DNAT", Revision: 3, Info: make([]byte, 80)},
		{Family: host.IP, Name: "DNAT", Revision: 0, Info: cat(u32(2), make([]byte, 40))},
		{Family: host.IP, Name: "TPROXY", Revision: 2, Info: make([]byte, 80)},
		{Family: host.IP, Name: "NFQUEUE", Revision: 4, Info: make([]byte, 80)},
		{Family: host.IP, Name: "DNETMAP", Info: make([]byte, 80)},
		{Family: host.Bridge, Name: "redirect", Info: []byte{0, 0, 0, 0}},
		{Family: host.IP, Name: "MARK", Revision: 0, Info: make([]byte, 80)},
	} {
		r, ok := xt.Target(e, xt.Env{})
		if ok || r.Verdict != host.Uncertain || !strings.HasPrefix(r.Text, "-j "+e.Name+" (not understood)") {
			t.Errorf("%s r%d: %+v, %v", e.Name, e.Revision, r, ok)
		}
	}
}

func TestSetTargetFills(t *testing.T) {
	none := append(u16(65535), 0, 0)
	r, ok := xt.Target(xt.Ext{Family: host.IP, Name: "SET", Revision: 2,
		Info: cat(setInfo(1, "s", false), none, u32(1, 90))}, xt.Env{Sets: someSets})
	if !ok || len(r.Fills) != 1 || r.Fills[0] != "hosts" || r.Text != "-j SET --add-set hosts src --exist --timeout 90" {
		t.Errorf("%+v, %v", r, ok)
	}
	r, ok = xt.Target(xt.Ext{Family: host.IP, Name: "SET", Revision: 1, Info: cat(none, setInfo(1, "d", false))}, xt.Env{Sets: someSets})
	if !ok || len(r.Fills) != 0 || r.Text != "-j SET --del-set hosts dst" {
		t.Errorf("%+v, %v", r, ok)
	}
}

// The names are those that the match of an empty set waits for, and what goes
// into a list goes into its members.
func TestSetTargetFillsWhatMatchesWaitFor(t *testing.T) {
	none := []byte{0xff, 0xff, 0, 0}
	for index, want := range map[uint16]string{12: host.EmptyIPSet(`"odd\x1b\"name"`), 15: host.EmptyIPSet("void")} {
		r, _ := xt.Target(xt.Ext{Family: host.IP, Name: "SET", Revision: 1, Info: cat(setInfo(index, "s", false), none)}, xt.Env{Sets: someSets})
		alts, _, _ := xt.Match(xt.Ext{Family: host.IP, Name: "set", Revision: 1, Info: setInfo(index, "s", false)}, xt.Env{Sets: someSets})
		if alts[0].Waiting != want || !slices.ContainsFunc(r.Fills, func(n string) bool { return host.EmptyIPSet(n) == want }) {
			t.Errorf("%d: waiting %q, fills %q", index, alts[0].Waiting, r.Fills)
		}
	}
}
