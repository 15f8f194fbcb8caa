package portmap_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
	"github.com/natwarden/natwarden/internal/portmap"
	"github.com/natwarden/natwarden/internal/walk"
)

// router is a host at 10.1.0.1 on eth0 that sends all else on.
type router struct{}

func (router) ByMark() bool { return false }

func (router) Route(q host.RouteQuery) host.Route {
	if q.Dst == netip.MustParseAddr("10.1.0.1") {
		return host.Route{Kind: host.RouteLocal}
	}
	return host.Route{Kind: host.RouteUnicast, Out: "out0"}
}

func (router) TypeOf(a netip.Addr) (uint32, bool) {
	if a == netip.MustParseAddr("10.1.0.1") {
		return 2, true
	}
	return 1, true
}

func (router) First(string, netip.Addr) netip.Addr { return netip.MustParseAddr("10.1.0.1") }

func (router) Around(a netip.Addr) (netip.Addr, netip.Addr) {
	own := netip.MustParseAddr("10.1.0.1")
	switch {
	case a.Less(own):
		return netip.MustParseAddr("0.0.0.0"), own.Prev()
	case a == own:
		return own, own
	}
	return own.Next(), netip.MustParseAddr("255.255.255.255")
}

func (router) OfTypes(kinds uint32, _ netip.Addr) (host.Addrs, bool) {
	if kinds&(1<<2) != 0 {
		own := netip.MustParseAddr("10.1.0.1")
		return host.AddrRange(own, own), true
	}
	return host.Nothing[netip.Addr](), true
}

func (router) Asked() host.RouteAsks { return host.RouteAsks{} }

func number(base uint32, i int) netip.Addr {
	n := base + uint32(i)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func tcp(port uint16, to ...netip.Addr) host.Match {
	m := host.Match{Family: host.IP, Protos: host.ProtosOf(host.TCP), Conditions: []string{}}
	if port != 0 {
		m.Ports = host.PortsOf(port, port)
	}
	for _, a := range to {
		m.Address = host.AddrRange(a, a)
	}
	return m
}

func dnat(m host.Match, to netip.Addr, port uint16) host.Branch {
	return host.Branch{Match: m, Verdict: host.Accept, Effects: []host.Effect{{Kind: "dnat", To: []host.Target{host.AddrTarget(to, port)}}}}
}

func rules(branches ...host.Branch) []*host.Rule {
	var out []*host.Rule
	for i, b := range branches {
		out = append(out, &host.Rule{Handle: uint64(i + 1), Index: i + 1, Writer: "iptables-nft", Fingerprint: fmt.Sprint(i), Branches: []host.Branch{b}})
	}
	return out
}

// oneChain is n rules in one chain.
func oneChain(n int) *host.Space {
	var list []host.Branch
	for i := range n {
		list = append(list, dnat(tcp(uint16(1024+i%60000), number(0xac100000, i)), number(0x0a800000, i), 8080))
	}
	return spaceOf(&host.Chain{Name: "PREROUTING", Handle: 1, Base: &host.Base{Hook: "prerouting", Priority: -100, Type: "nat", Policy: "accept"}, Rules: rules(list...)})
}

// manyChains is what kube-proxy lays out for a number of services: a jump for
// each, a chain with a jump to each of the endpoints, chosen by chance, and a
// chain for each endpoint that marks and translates.
func manyChains(services, endpoints int) *host.Space {
	var jumps []host.Branch
	var chains []*host.Chain
	for i := range services {
		svc := fmt.Sprintf("KUBE-SVC-%d", i)
		vip := number(0xac100000, i)
		jumps = append(jumps, host.Branch{Match: tcp(80, vip), Verdict: host.Jump, Chain: svc})
		var choose []host.Branch
		for e := range endpoints {
			sep, pod := fmt.Sprintf("KUBE-SEP-%d-%d", i, e), number(0x0a800000, i*endpoints+e)
			m := host.Match{Family: host.IP}
			if e < endpoints-1 {
				m.Expect(host.Test{Words: fmt.Sprintf("probability 1/%d", endpoints-e)})
			}
			choose = append(choose, host.Branch{Match: m, Verdict: host.Jump, Chain: sep})
			hairpin := host.Branch{Match: host.Match{Family: host.IP, Source: host.AddrRange(pod, pod)},
				Assigns: []host.Assign{{Field: host.FieldMark, Mask: 0x4000, Value: 0x4000}}}
			chains = append(chains, &host.Chain{Name: sep, Rules: rules(hairpin, dnat(tcp(0), pod, 8080))})
		}
		chains = append(chains, &host.Chain{Name: svc, Rules: rules(choose...)})
	}
	chains = append(chains, &host.Chain{Name: "KUBE-SERVICES", Rules: rules(jumps...)},
		&host.Chain{Name: "PREROUTING", Handle: 1, Base: &host.Base{Hook: "prerouting", Priority: -100, Type: "nat", Policy: "accept"}, Rules: rules(host.Branch{Verdict: host.Jump, Chain: "KUBE-SERVICES"})})
	return spaceOf(chains...)
}

func spaceOf(chains ...*host.Chain) *host.Space {
	s := &host.Space{Tables: []*host.Table{{Backend: "nf_tables", Family: host.IP, Name: "nat", Chains: chains}},
		Ifaces: []host.Iface{{Name: "lo", Index: 1, Loopback: true}, {Name: "eth0", Index: 2}}, Addrs: []string{"127.0.0.1", "10.1.0.1"}, Routes: router{}}
	s.NoteTracking(host.IP)
	return s
}

func world(s *host.Space) path.World { return path.World{Space: s, Routes: s.Routes, Sockets: true} }

func benchmark(b *testing.B, s *host.Space) {
	rows := walk.Redirects(s, walk.Options{SocketsRead: true})
	b.ReportMetric(float64(len(rows)), "rows")
	lines := 0
	for b.Loop() {
		m := portmap.Of(world(s), rows)
		lines = 0
		for i := range rows {
			lines += len(m.Of(i))
		}
	}
	b.ReportMetric(float64(lines), "lines")
}

// The port map of 50,000 rules in one chain.
func BenchmarkOneChain50000(b *testing.B) { benchmark(b, oneChain(50000)) }

// The port map of 50,000 rules in more than 16,000 chains, 3,000 of them services.
func BenchmarkManyChains50000(b *testing.B) { benchmark(b, manyChains(3000, 4)) }

// blocklist is redirects and a listener behind a list of blocked sources.
func blocklist(redirects, sources int) *host.Space {
	var blocked []host.Branch
	for i := range sources {
		a := number(0x2d000000, 2*i)
		blocked = append(blocked, host.Branch{Match: host.Match{Family: host.IP, Source: host.AddrRange(a, a)}, Verdict: host.Drop})
	}
	s := oneChain(redirects)
	s.Tables = append(s.Tables, &host.Table{Backend: "nf_tables", Family: host.IP, Name: "block", Chains: []*host.Chain{
		{Name: "block", Handle: 2, Base: &host.Base{Hook: "prerouting", Priority: -300, Type: "filter", Policy: "accept"}, Rules: rules(blocked...)}}})
	s.Listeners = []host.Listener{{Proto: "tcp", Address: "0.0.0.0", Port: 22}}
	return s
}

// Redirects behind long lists of blocked sources: what is not told apart is said to
// be so, it does not take minutes, and of each redirect it is told whom it serves.
func TestALongBlocklistIsBounded(t *testing.T) {
	for _, n := range [][2]int{{200, 1500}, {400, 4000}} {
		s := blocklist(n[0], n[1])
		rows := walk.Redirects(s, walk.Options{SocketsRead: true})
		began := time.Now()
		m := portmap.Of(world(s), rows)
		for i := range rows {
			lines := m.Of(i)
			if rows[i].State != host.Active || len(lines) < 2 || lines[0].Rest || !lines[len(lines)-1].Rest {
				t.Fatalf("row %d of %v is %s, its lines: %q", i, n, rows[i].State, words(lines))
			}
		}
		if lines, ok := m.Listener(&s.Listeners[0], host.IP); !ok || len(lines) < 2 || lines[0].Rest {
			t.Errorf("the listener's lines of %v: %q", n, words(lines))
		}
		t.Logf("%v in %s", n, time.Since(began))
	}
}

// forEach is a router that knows no answer and to which each address is for
// itself, as where its tables could not be read. It counts what it is asked.
type forEach struct {
	router
	asked *atomic.Int64
}

func (r forEach) Route(host.RouteQuery) host.Route {
	r.asked.Add(1)
	return host.Route{Why: "no answer"}
}

func (forEach) Around(a netip.Addr) (netip.Addr, netip.Addr) { return a, a }

// To ask the kernel for each address of each redirect's senders would take minutes.
func TestQuestionsToTheKernelAreBounded(t *testing.T) {
	const redirects = 5000
	s, asked := oneChain(redirects), new(atomic.Int64)
	s.Routes = forEach{asked: asked}
	rows := walk.Redirects(s, walk.Options{SocketsRead: true})
	m := portmap.Of(world(s), rows)
	for i := range rows {
		if rows[i].State != host.Active || len(m.Of(i)) == 0 {
			t.Fatalf("row %d is %s and has %d lines", i, rows[i].State, len(m.Of(i)))
		}
	}
	if n := asked.Load(); n < redirects || n > 150_000 {
		t.Errorf("%d questions for %d redirects", n, redirects)
	}
}
