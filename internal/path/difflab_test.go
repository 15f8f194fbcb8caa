package path_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipset"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/nft"
	"github.com/natwarden/natwarden/internal/path"
	"github.com/natwarden/natwarden/internal/route"
	"github.com/natwarden/natwarden/internal/sock"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
)

// bridgedCable is the number of the cable that ends in a bridge.
const bridgedCable = 5

// The lab: a client with three cables to a host, one of them to a bridge there,
// and two backends behind it.
// A and B answer on every port and address that reaches them.
//
//	client c0 10.1.0.2 -- c0 10.1.0.1 host a0 10.2.0.1 -- A 10.2.0.2
//	client c1 10.4.0.2 -- c1 10.4.0.1 host b0 10.3.0.1 -- B 10.3.0.2
//	client e2 10.5.0.2 -- c2 (br0 10.5.0.1) host
type diffLab struct {
	client, host, a, b labtest.Space
	sport              uint16
	routed             bool // the last scenario had policy rules
	ipsets             bool // and ipsets

	sniffers, datagrams []ear

	seen map[uint32]string  // which local socket got the UDP packet with that number
	came map[arrival]string // what came to A and B
	back map[arrival]string // the first thing that came back to the client
}

func newDiffLab(t testing.TB) *diffLab {
	l := &diffLab{sport: 20000, seen: map[uint32]string{}, came: map[arrival]string{}, back: map[arrival]string{}}
	needs := []string{"nft", "iptables-legacy-restore", "iptables-nft-restore", "ip", "ipset"}
	for _, s := range []*labtest.Space{&l.client, &l.host, &l.a, &l.b} {
		*s = labtest.New(t, needs...)
	}
	l.cables(t)
	for name, s := range map[string]labtest.Space{"A": l.a, "B": l.b} {
		s.MustRun(t, `table inet everything { chain pre { type nat hook prerouting priority -100; iifname "e0" meta l4proto { tcp, udp } redirect to :7; }; }`, "nft", "-f", "-")
		l.sniff(t, s, 0, func(b []byte) { l.arrived(b, name) })
		l.backend(t, s)
	}
	l.sniff(t, l.client, 0, l.returned)
	l.sniff(t, l.host, loopback, l.returned)
	return l
}

func (l *diffLab) cables(t testing.TB) {
	for _, s := range []labtest.Space{l.client, l.host, l.a, l.b} {
		s.MustRun(t, "", "ip", "link", "set", "lo", "up")
	}
	l.host.MustDo(t, func(context.Context) error { // its own addresses of the links are there at once
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
	})
	cable := func(s labtest.Space, outer, inner string, n int) {
		s.MustDo(t, func(context.Context) error {
			return veth(outer, inner, l.host.Handle().Fd())
		})
		if n == bridgedCable {
			batch(t, l.host, "link set "+inner+" up\nlink add br0 type bridge\nlink set "+inner+" master br0\n")
			inner = "br0"
		}
		peer := "2"
		batch(t, s, fmt.Sprintf("link set %s address 02:00:00:00:0%d:02\naddr add 10.%d.0.%s/24 dev %s\naddr add fd0%d::%s/64 dev %s nodad\nlink set %s up\n", outer, n, n, peer, outer, n, peer, outer, outer))
		batch(t, l.host, fmt.Sprintf("link set %s address 02:00:00:00:0%d:01\naddr add 10.%d.0.1/24 dev %s\naddr add fd0%d::1/64 dev %s nodad\nlink set %s up\n", inner, n, n, inner, n, inner, inner))
		acquaint(t, s, outer, n, "01", "1", "10")
		acquaint(t, l.host, inner, n, "02", "2", "3")
	}
	cable(l.client, "e0", "c0", 1)
	cable(l.a, "e0", "a0", 2)
	cable(l.b, "e0", "b0", 3)
	cable(l.client, "e1", "c1", 4)
	cable(l.client, "e2", "c2", bridgedCable)
	batch(t, l.host, "addr add 10.1.0.10/24 dev c0\naddr add fd01::10/64 dev c0 nodad\n")
	batch(t, l.client, "addr add 10.1.0.3/24 dev e0\naddr add fd01::3/64 dev e0 nodad\n"+
		"route add default via 10.1.0.1 dev e0\n-6 route add default via fd01::1 dev e0\n"+
		"route add default via 10.4.0.1 dev e1 metric 9\n-6 route add default via fd04::1 dev e1 metric 2000\n"+
		"route add default via 10.5.0.1 dev e2 metric 10\n-6 route add default via fd05::1 dev e2 metric 3000\n")
	batch(t, l.a, "route add default via 10.2.0.1\n-6 route add default via fd02::1\n")
	batch(t, l.b, "route add default via 10.3.0.1\n-6 route add default via fd03::1\n")
	l.host.MustDo(t, func(context.Context) error {
		for key, value := range map[string]string{"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/icmp_ratelimit": "0", "ipv6/icmp/ratelimit": "0"} {
			if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
	l.linksAreUp(t)
}

// linksAreUp waits until each interface of the host has the address that the kernel
// gives it in the background: whether it is the host's own changes what is answered.
func (l *diffLab) linksAreUp(t testing.TB) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		text := l.host.MustRun(t, "", "ip", "-6", "-o", "addr", "show", "scope", "link")
		if !strings.Contains(text, "tentative") && !slices.ContainsFunc([]string{"c0", "c1", "br0", "a0", "b0"}, func(dev string) bool { return !strings.Contains(text, ": "+dev+" ") }) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("the links do not come up:\n%s", text)
		}
	}
}

// acquaint fixes the neighbours on a cable: whether they hear each other's
// questions under the host's rules is another matter than who answers.
func acquaint(t testing.TB, s labtest.Space, dev string, n int, mac string, hosts ...string) {
	var b strings.Builder
	for _, h := range hosts {
		if h == "3" && n > 1 || h == "10" && n > 1 {
			continue
		}
		for _, addr := range []string{fmt.Sprintf("10.%d.0.%s", n, h), fmt.Sprintf("fd0%d::%s", n, h)} {
			fmt.Fprintf(&b, "neigh replace %s lladdr 02:00:00:00:0%d:%s dev %s nud permanent\n", addr, n, mac, dev)
		}
	}
	batch(t, s, b.String())
}

func batch(t testing.TB, s labtest.Space, text string) {
	v4, v6 := families(text)
	s.MustRun(t, v4, "ip", "-batch", "-")
	s.MustRun(t, v6, "ip", "-6", "-batch", "-")
}

// families parts the lines for ip from those for ip -6, which begin with "-6 ".
func families(text string) (v4, v6 string) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "-6 "); ok {
			v6 += rest
		} else {
			v4 += line
		}
	}
	return v4, v6
}

// backend answers for A or B on port 7, to which all is redirected there.
func (l *diffLab) backend(t testing.TB, s labtest.Space) {
	s.MustDo(t, func(ctx context.Context) error {
		tcp, err := net.Listen("tcp", "[::]:7")
		if err != nil {
			return err
		}
		udp, err := net.ListenPacket("udp", "[::]:7")
		if err != nil {
			return err
		}
		t.Cleanup(func() { tcp.Close(); udp.Close() })
		go greet(tcp, "backend")
		return nil
	})
}

func greet(tcp net.Listener, who string) {
	for {
		c, err := tcp.Accept()
		if err != nil {
			return
		}
		go func() {
			_ = c.SetDeadline(time.Now().Add(3 * time.Second))
			_, _ = c.Write([]byte(who + "\n"))
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		}()
	}
}

// record hears the datagrams of a local socket.
func (l *diffLab) record(udp *os.File, name string) {
	l.datagrams = append(l.datagrams, ear{int(udp.Fd()), func(b []byte, _ unix.Sockaddr) {
		if len(b) == 4 {
			l.seen[binary.BigEndian.Uint32(b)] = name
		}
	}})
}

func veth(name, peer string, ns int) error {
	return vethAdd(name, peer, ns)
}

// socketSpec is a listener of the host under test.
type socketSpec struct {
	proto, addr string
	port        uint16
	transparent bool
	device      string // SO_BINDTODEVICE
	v6only      bool
}

func (s socketSpec) String() string {
	text := fmt.Sprintf("%s %s", s.proto, net.JoinHostPort(s.addr, strconv.Itoa(int(s.port))))
	if s.device != "" {
		text += "%" + s.device
	}
	if s.v6only {
		text += " IPv6 only"
	}
	if s.transparent {
		text += " transparent"
	}
	return text
}

// listen opens the listeners; close ends them.
func (l *diffLab) listen(t testing.TB, specs []socketSpec) (closeAll func()) {
	var closers []func()
	l.host.MustDo(t, func(ctx context.Context) error {
		for _, s := range specs {
			cfg := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
				var err error
				_ = c.Control(func(fd uintptr) {
					if s.transparent {
						err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
					}
					if s.device != "" {
						err = unix.BindToDevice(int(fd), s.device)
					}
				})
				return err
			}}
			network := s.proto
			if netip.MustParseAddr(s.addr).Is4() {
				network += "4"
			} else if s.v6only {
				network += "6"
			}
			at := net.JoinHostPort(s.addr, strconv.Itoa(int(s.port)))
			name := "local " + netip.AddrPortFrom(netip.MustParseAddr(s.addr), s.port).String()
			if s.proto == "tcp" {
				x, err := cfg.Listen(ctx, network, at)
				if err != nil {
					continue // taken by another of them
				}
				closers = append(closers, func() { x.Close() })
				go greet(x, name)
				continue
			}
			x, err := cfg.ListenPacket(ctx, network, at)
			if err != nil {
				continue
			}
			file, err := x.(*net.UDPConn).File()
			if err != nil {
				return err
			}
			closers = append(closers, func() { x.Close(); file.Close() })
			l.record(file, name)
		}
		return nil
	})
	return func() {
		l.datagrams = nil
		for _, c := range closers {
			c()
		}
	}
}

// world reads the host under test as natwarden does.
func (l *diffLab) world(t testing.TB) (w path.World, closeIt func(), err error) {
	space := &host.Space{}
	w = path.World{Space: space, Sockets: true}
	closeIt = func() {}
	l.host.MustDo(t, func(ctx context.Context) error {
		dump, e := nft.Read(ctx, nft.Options{})
		if e != nil {
			err = e
			return nil
		}
		names := map[uint32]string{}
		if space.Ifaces, space.Addrs, e = netns.Ifaces(ctx); e != nil {
			err = e
			return nil
		}
		for _, i := range space.Ifaces {
			names[uint32(i.Index)] = i.Name
		}
		sets, e := ipset.Read(ctx)
		if e != nil {
			err = e
			return nil
		}
		decoded := nft.Decode(dump, nft.Env{Sets: sets, Ifname: func(n uint32) string { return names[n] }, Now: time.Now(), Listing: true})
		space.AddTables(decoded.Tables...)
		legacy, e := xtables.Read(ctx)
		if e != nil {
			err = e
			return nil
		}
		if families := append(dump.TrackedFamilies(), legacy.TrackedFamilies()...); len(families) > 0 {
			space.NoteTracking(families...)
		}
		tables, _ := xtables.Decode(legacy, xt.Env{Sets: sets, Now: time.Now(), Texts: true})
		space.AddTables(tables...)
		if space.Listeners, _, err = sock.Read(ctx); err != nil {
			return nil
		}
		router, e := route.OpenRouter(ctx)
		if e != nil {
			err = e
			return nil
		}
		w.Routes, closeIt = router, func() { router.Close() }
		return nil
	})
	return w, closeIt, err
}

// loopback is the index of lo in every namespace.
const loopback = 1

// probe is one packet from the client, and who answered.
type probe struct {
	path.Packet
	dev    string // of the client
	number uint32
	fd     int
	got    string // A, B, local ADDR:PORT, refused, unreachable, silence
	state  int
}

// send sends all probes at once and waits for answers, at most for patience.
func (l *diffLab) send(t testing.TB, from labtest.Space, probes []*probe, patience time.Duration) {
	if len(probes) == 0 {
		return
	}
	from.MustDo(t, func(ctx context.Context) error {
		l.takeAll()
		l.forget(probes)
		for _, p := range probes {
			p.start()
		}
		deadline := time.Now().Add(patience)
		for time.Now().Before(deadline) && !l.settle(probes) {
			l.poll(probes)
		}
		l.takeAll()
		l.settle(probes)
		for _, p := range probes {
			switch {
			case p.got == "" && (p.state == 1 || l.hasAnswered(p)):
				p.got = "connected" // later packets go another way, or the answer comes from elsewhere
			case p.got == "":
				p.got = "silence"
			}
			_ = unix.SetsockoptLinger(p.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			_ = unix.Close(p.fd)
		}
		return nil
	})
}

func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: int(port)}
	}
	return &unix.SockaddrInet6{Addr: a.As16(), Port: int(port)}
}

func (p *probe) start() {
	family, kind := unix.AF_INET, unix.SOCK_STREAM
	if !p.To.Is4() {
		family = unix.AF_INET6
	}
	if p.Proto == host.UDP {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		p.got = "error " + err.Error()
		return
	}
	p.fd = fd
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if p.dev != "" {
		_ = unix.BindToDevice(fd, p.dev)
	}
	if err := unix.Bind(fd, sockaddr(p.From, p.SPort)); err != nil {
		p.got = "error " + err.Error()
		return
	}
	if err := unix.Connect(fd, sockaddr(p.To, p.Port)); err != nil && err != unix.EINPROGRESS {
		p.unsent(err)
		return
	}
	if p.Proto == host.UDP {
		if _, err := unix.Write(fd, binary.BigEndian.AppendUint32(nil, p.number)); err != nil {
			p.unsent(err)
		}
	}
}

// unsent reads what the kernel says where it does not send a packet.
func (p *probe) unsent(err error) {
	switch err {
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL:
		p.got = "unreachable"
	case unix.EPERM: // a rule dropped it
		p.got = "silence"
	case unix.ECONNREFUSED:
		p.got = "refused"
	default:
		p.got = "error " + err.Error()
	}
}

func (l *diffLab) forget(probes []*probe) {
	for _, p := range probes {
		delete(l.seen, p.number)
		delete(l.came, p.arrival())
		delete(l.back, p.arrival())
	}
}

// settle looks what arrived where; it says whether all is known.
func (l *diffLab) settle(probes []*probe) bool {
	all := true
	for _, p := range probes {
		if came := l.came[p.arrival()]; came != "" {
			p.got = came
		}
		if back := l.back[p.arrival()]; p.got == "" && p.state == 0 && back != synAck {
			p.got = back // the socket hears of an error only where nobody holds it (tcp_v6_err)
		}
		if p.got == "" && p.Proto == host.UDP {
			p.got = l.seen[p.number]
		}
		all = all && p.got != "" && p.got != "connected"
	}
	return all
}

func (l *diffLab) poll(probes []*probe) {
	var fds []unix.PollFd
	var who []*probe
	for _, p := range probes {
		if p.got != "" {
			continue
		}
		events := int16(unix.POLLIN)
		if p.Proto == host.TCP && p.state == 0 {
			events = unix.POLLOUT
		}
		fds, who = append(fds, unix.PollFd{Fd: int32(p.fd), Events: events}), append(who, p)
	}
	for _, e := range l.ears() {
		fds = append(fds, unix.PollFd{Fd: int32(e.fd), Events: unix.POLLIN})
	}
	_, _ = unix.Poll(fds, 10)
	for i, p := range who {
		if fds[i].Revents != 0 {
			p.ready()
		}
	}
	l.takeAll()
}

func (p *probe) connected() bool {
	_, err := unix.Getpeername(p.fd)
	return err == nil
}

func (p *probe) ready() {
	errno, _ := unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case errno != 0 && p.Proto == host.TCP && (errno == int(unix.ECONNRESET) || p.connected()):
		p.got = "connected" // a later packet went wrong; a reset of the first one is ECONNREFUSED
	case errno == int(unix.ECONNREFUSED):
		p.got = "refused"
	case errno != 0:
		p.got = "unreachable"
	case p.Proto == host.TCP && p.state == 0:
		p.state = 1
	case p.Proto == host.TCP:
		b := make([]byte, 128)
		n, err := unix.Read(p.fd, b)
		switch {
		case n > 0 && string(b[:n]) == "backend\n": // the backend's arrivals say which
		case n > 0:
			p.got = strings.TrimSpace(string(b[:n]))
		case err == unix.ECONNRESET:
			p.got = "connected"
		case err == unix.ECONNREFUSED:
			p.got = "refused"
		case err != unix.EAGAIN:
			p.got = fmt.Sprintf("closed %v", err)
		}
	}
}
