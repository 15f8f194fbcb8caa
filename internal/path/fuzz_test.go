package path_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// torn makes spaces that no reader would: jumps in circles and to chains that
// are not there, sets out of order, numbers without meaning.
type torn struct{ *rand.Rand }

func (r torn) one(n int) bool { return r.IntN(n) == 0 }

func pickOf[T any](r torn, list ...T) T { return list[r.IntN(len(list))] }

func (r torn) addr() netip.Addr {
	return pickOf(r, netip.Addr{}, netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("fd01::1"), netip.MustParseAddr("::ffff:10.1.0.1"),
		netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
		netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("127.0.0.1"))
}

func (r torn) addrs() host.Addrs {
	var out host.Addrs
	for range r.IntN(3) {
		out = append(out, host.Range[netip.Addr]{Lo: r.addr(), Hi: r.addr()})
	}
	return out
}

func (r torn) number() uint16 { return pickOf[uint16](r, 0, 1, 80, 81, 443, 65535) }

func (r torn) ports() host.Ports {
	var out host.Ports
	for range r.IntN(3) {
		out = append(out, host.Range[host.Port]{Lo: host.Port(r.number()), Hi: host.Port(r.number())})
	}
	return out
}

func (r torn) iface() string { return pickOf(r, "", "in0", "out0", "lo", "br0", "*", "in*", "absent") }

func (r torn) ifaces() host.Ifaces {
	var out host.Ifaces
	for range r.IntN(3) {
		out.Names = append(out.Names, r.iface())
	}
	out.Not = r.one(2)
	return out
}

func (r torn) family() host.Family {
	return pickOf(r, host.IP, host.IP6, host.Inet, host.Bridge, host.Netdev, host.ARP, host.Both, "", "none")
}

func (r torn) match() host.Match {
	m := host.Match{Address: r.addrs(), Source: r.addrs(), Ports: r.ports(), SPorts: r.ports(), In: r.ifaces(), Out: r.ifaces()}
	if r.one(2) {
		m = host.Match{}
	}
	if r.one(4) {
		m.Family = r.family()
		m.Protos = host.Protos{{Lo: host.Proto(r.IntN(256)), Hi: host.Proto(r.IntN(256))}}
	}
	if r.one(5) {
		m.Conditions, m.Waiting = []string{pickOf(r, "", "-f", "it rains")}, pickOf(r, "", host.EmptyIPSet("s"))
	}
	for range r.IntN(3) {
		m.Tests = append(m.Tests, host.Test{Words: pickOf(r, "", "it rains"), Field: host.Field(r.IntN(40)), Mask: r.Uint32(), Spans: []host.Span{{Lo: r.Uint32(), Hi: r.Uint32()}},
			Not: r.one(2), NeedsFlow: r.one(3), Ifaces: r.ifaces(), Addrs: r.addrs(), Ports: r.ports()})
	}
	return m
}

func (r torn) target() host.Target {
	return host.Target{Lo: r.addr(), Hi: r.addr(), Prefix: r.one(3), PortLo: r.number(), PortHi: r.number(), ToZero: r.one(9), Base: pickOf[uint16](r, 0, 0, 80, 65535), Dev: pickOf(r, "", "out0"), Unix: pickOf(r, "", "/x")}
}

func (r torn) effect() host.Effect {
	e := host.Effect{Kind: pickOf(r, "dnat", "redirect", "netmap", "tproxy", "rewrite", "forward", "dup", "queue", "mac-redirect", "snat", "masquerade", "", "?"),
		Unknown: pickOf(r, "", "", "", "a map"), Source: r.one(5), Evidence: []string{pickOf(r, "", "random")}}
	for range r.IntN(3) {
		e.To = append(e.To, r.target())
	}
	return e
}

func (r torn) branch() host.Branch {
	b := host.Branch{Match: r.match(), Verdict: host.Verdict(r.IntN(11)), Chain: fmt.Sprintf("c%d", r.IntN(6))}
	for range r.IntN(2) {
		b.Effects = append(b.Effects, r.effect())
	}
	for range r.IntN(2) {
		b.Assigns = append(b.Assigns, host.Assign{Field: host.Field(r.IntN(30)), Mask: r.Uint32(), Value: r.Uint32(), From: host.Field(r.IntN(5)), FromMask: r.Uint32(), Unknown: pickOf(r, "", "", "a hash")})
	}
	return b
}

func (r torn) chain(n int) *host.Chain {
	c := &host.Chain{Name: fmt.Sprintf("c%d", n), Handle: uint64(r.IntN(4))}
	if r.one(2) {
		c.Base = &host.Base{Hook: pickOf(r, "prerouting", "input", "forward", "output", "postrouting", "ingress", "egress", "brouting", "?"), Priority: pickOf(r, -300, -200, -100, 0, 0, 100),
			Type: pickOf(r, "filter", "nat", "route", ""), Policy: pickOf(r, "accept", "drop", "")}
		if r.one(4) {
			c.Base.Devices = []string{r.iface()}
		}
	}
	for i := range r.IntN(4) {
		rule := &host.Rule{Index: i, Writer: pickOf(r, "nft", "iptables-nft", "")}
		for range r.IntN(3) {
			rule.Branches = append(rule.Branches, r.branch())
		}
		c.Rules = append(c.Rules, rule)
	}
	return c
}

func (r torn) space() *host.Space {
	s := &host.Space{Ifaces: []host.Iface{{Name: "in0", Index: 2, Kind: pickOf(r, "", "bridge", "veth"), Up: true, Other: r.IntN(5), Master: r.IntN(5)}, {Name: "br0", Index: 3, Kind: "bridge", Up: true}, {}},
		Addrs: []string{"10.1.0.1", "torn", "fd01::1"}}
	for n := range r.IntN(4) {
		t := &host.Table{Backend: pickOf(r, "nf_tables", "x_tables", ""), Family: r.family(), Name: fmt.Sprintf("t%d", n), Dormant: r.one(8), Filled: map[string]bool{"s": true}}
		for i := range r.IntN(5) {
			t.Chains = append(t.Chains, r.chain(i))
		}
		s.Tables = append(s.Tables, t)
	}
	for range r.IntN(4) {
		s.Listeners = append(s.Listeners, host.Listener{Proto: pickOf(r, "tcp", "udp", "mptcp", ""), Address: pickOf(r, "0.0.0.0", "::", "torn", "", "10.1.0.1"), Port: r.number(), Transparent: r.one(3), Device: pickOf(r, "", "in0"), Partial: r.one(2)})
	}
	for range r.IntN(2) {
		m := r.match()
		s.Redirects = append(s.Redirects, host.Redirect{Mechanism: pickOf(r, "tc", "bpf", "ipvs", ""), State: pickOf(r, host.Active, host.Unknown, ""), Direction: pickOf(r, "inbound", "outbound"), Match: pickOf(r, nil, &m)})
	}
	if r.one(2) {
		s.NoteTracking()
	}
	return s
}

// tornRoutes answers at random.
type tornRoutes struct{ torn }

func (r tornRoutes) ByMark() bool { return r.one(2) }

func (r tornRoutes) Route(host.RouteQuery) host.Route {
	return host.Route{Kind: host.RouteKind(r.IntN(8)), Out: r.iface(), Via: r.addr(), Why: pickOf(r.torn, "", "why")}
}

func (r tornRoutes) TypeOf(netip.Addr) (uint32, bool) { return r.Uint32N(12), r.one(2) }

func (r tornRoutes) First(string, netip.Addr) netip.Addr { return r.addr() }

func (r torn) packet() path.Packet {
	return path.Packet{Proto: host.Proto(pickOf(r, 6, 17, 132, r.IntN(256))), From: r.addr(), SPort: r.number(), To: r.addr(), Port: r.number(), In: r.iface(), Own: r.one(4), Via: r.addr()}
}

func (r torn) follow(t *testing.T) {
	w := path.World{Space: r.space(), Sockets: r.one(2), Netns: pickOf(r, "", "web")}
	if !r.one(4) {
		w.Routes = tornRoutes{r}
	}
	if r.one(3) {
		next := path.World{Space: r.space(), Netns: "next", Routes: w.Routes}
		w.Beyond = func(path.Hop) (path.Place, bool) { return path.Place{World: next, In: r.iface()}, r.one(2) }
	}
	answer := path.Follow(w, r.packet())
	if len(answer.Outcomes) == 0 {
		t.Error("no outcome")
	}
	for _, o := range answer.Outcomes {
		if o.Kind == "" || o.Reason == "" || o.Certain && (len(answer.Outcomes) > 1 || o.Kind == path.Unknown) {
			t.Errorf("an outcome that says nothing, or too much: %+v of %d", o, len(answer.Outcomes))
		}
	}
	x := path.NewExplorer(w).Explorer()
	class := path.Class{Proto: host.TCP, Family: pickOf(r, host.IP, host.IP6), Own: r.one(3), From: r.addrs(), To: r.addrs(), SPorts: r.ports(), Ports: r.ports(), In: path.NewExplorer(w).Present()}
	x.Explore(class, path.Asked{Brief: r.one(2), Loose: r.one(2)}, 20, func(*path.Cell) bool { return true })
}

// Whatever was read, and however torn it is: an answer with its reason, and no panic.
func FuzzFollow(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { torn{rand.New(rand.NewPCG(seed, 0x746f726e))}.follow(t) })
}
