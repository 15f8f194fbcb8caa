package path_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
	"github.com/natwarden/natwarden/internal/portmap"
	"github.com/natwarden/natwarden/internal/walk"
)

// TestThePortMapSaysWhatExplainSays makes the port map of random hosts, and
// holds the line that a packet belongs to against the way of that packet.
func TestThePortMapSaysWhatExplainSays(t *testing.T) {
	hosts, seed := number(t, "NATWARDEN_CELL_HOSTS", 12), number(t, "NATWARDEN_SEED", 1)
	l := newDiffLab(t)
	var sum mapTally
	for n := range hosts {
		s := generate(uint64(seed + n))
		if !l.load(t, s) {
			continue
		}
		done := l.listen(t, s.listeners)
		w, closeIt, err := l.world(t)
		if err != nil {
			t.Fatal(err)
		}
		holdMap(t, s, w, &sum)
		closeIt()
		done()
	}
	t.Logf("%+v", sum)
	if sum.Right < 20*sum.Hosts {
		t.Errorf("too few packets were compared")
	}
}

type mapTally struct {
	Hosts, Lines, Packets, Right, Maybe, Rest, NoLine, Refused, Wrong int
	States                                                            map[string]int
}

type portMap struct {
	x     *path.Explorer
	rows  []host.Redirect
	lines []portmap.Line
}

func mapOf(w path.World) *portMap {
	m := &portMap{x: path.NewExplorer(w).Explorer(), rows: walk.Redirects(w.Space, walk.Options{SocketsRead: true})}
	found := portmap.Of(w, m.rows)
	for i := range m.rows {
		if found.Followed(i) && m.rows[i].State == host.Active {
			m.lines = append(m.lines, found.Of(i)...)
		}
	}
	for i := range w.Space.Listeners {
		for _, f := range []host.Family{host.IP, host.IP6} {
			if a := netip.MustParseAddr(w.Space.Listeners[i].Address); a.Is4() && f == host.IP6 || a.Is6() && !a.IsUnspecified() && f == host.IP || a.Is6() && a.IsUnspecified() && f == host.IP && !w.Space.Listeners[i].DualStack {
				continue
			}
			lines, _ := found.Listener(&w.Space.Listeners[i], f)
			m.lines = append(m.lines, lines...)
		}
	}
	return m
}

func holdMap(t *testing.T, s *scenario, w path.World, sum *mapTally) {
	m := mapOf(w)
	sum.Hosts++
	sum.Lines += len(m.lines)
	if sum.States == nil {
		sum.States = map[string]int{}
	}
	for i := range m.rows {
		sum.States[m.rows[i].State]++
	}
	r := rand.New(rand.NewPCG(s.seed, 11))
	g := &gen{Rand: newRand(s.seed + 1<<32)}
	var sport uint16 = 20000
	var n uint32
	var packets []path.Packet
	for _, p := range g.probes(60, &sport, &n) {
		packets = append(packets, p.Packet)
	}
	for _, l := range m.lines { // the ends of lines are where they go wrong
		c := l.Classes[r.IntN(len(l.Classes))]
		packets = append(packets, path.Packet{Proto: c.Proto, In: []string{"c0", "c1", "a0"}[r.IntN(3)], Port: max(1, drawPort(r, c.Ports)), SPort: max(1, drawPort(r, c.SPorts)),
			To: drawAddr(r, c.Family, c.To, 1), From: drawAddr(r, c.Family, c.From, 0)})
	}
	for _, p := range packets {
		if why := m.hold(p, sum); why != "" {
			if sum.Wrong++; sum.Wrong <= 3 {
				t.Errorf("seed %d: %s\n%+v\n%s", s.seed, why, p, s)
			}
		}
	}
}

// hold says what is wrong about a packet; "" for nothing.
func (m *portMap) hold(p path.Packet, sum *mapTally) string {
	if p.Own || p.To.IsLoopback() || p.To.IsLinkLocalUnicast() || p.To.IsMulticast() || m.x.Arrival(p.In) == 0 {
		return ""
	}
	sum.Packets++
	if !m.x.Takes(&p) {
		sum.Refused++
		return ""
	}
	var mine []*portmap.Line
	for i := range m.lines {
		if slices.ContainsFunc(m.lines[i].Classes, func(c path.Class) bool { return c.Has(&p, m.x.Arrival(p.In)) }) {
			mine = append(mine, &m.lines[i])
		}
	}
	a := m.x.Follow(p)
	if why := m.wrongState(p); why != "" {
		return why
	}
	for i := range a.Outcomes {
		if why := covered(mine, &a.Outcomes[i], p); why != "" {
			return why + ": " + words(a) + "\n" + texts(mine)
		}
	}
	sure := slices.IndexFunc(mine, func(l *portmap.Line) bool { return !l.Sure }) < 0
	switch {
	case len(mine) == 0:
		sum.NoLine++
	case slices.ContainsFunc(mine, func(l *portmap.Line) bool { return l.Rest }):
		sum.Rest++
	case !sure || len(a.Outcomes) != 1:
		sum.Maybe++
	default:
		sum.Right++
	}
	return ""
}

// wrongState names a redirect that is said not to act, and acts.
func (m *portMap) wrongState(p path.Packet) string {
	f := host.IP
	if p.To.Is6() {
		f = host.IP6
	}
	one := func(n uint16) host.Ports { return host.PortsOf(n, n) }
	cell := m.x.One(path.Class{Proto: p.Proto, Family: f, In: m.x.Arrival(p.In), Ports: one(p.Port), SPorts: one(p.SPort),
		To: host.AddrRange(p.To, p.To), From: host.AddrRange(p.From, p.From)}, path.Asked{})
	for _, e := range cell.Acted {
		acts := slices.ContainsFunc(m.rows, func(r host.Redirect) bool {
			return r.Effect == e && (r.State == host.Active || r.State == host.Unknown)
		})
		if !acts && slices.ContainsFunc(m.rows, func(r host.Redirect) bool { return r.Effect == e }) {
			return "a redirect that is said not to act takes it: " + e.Kind + " " + e.To[0].String()
		}
	}
	return ""
}

// covered says what is wrong where no line of the packet has an outcome.
func covered(mine []*portmap.Line, o *path.Outcome, p path.Packet) string {
	for _, l := range mine {
		if lineSays(l, o, p) {
			return ""
		}
	}
	kept := o.Kind == path.Forwarded && o.AnsweredBy == netip.AddrPortFrom(p.To, p.Port).String()
	switch {
	case o.Kind == path.Unknown, kept:
		return ""
	case len(mine) > 0 && slices.ContainsFunc(mine, func(l *portmap.Line) bool { return l.Rest }):
		return "" // others may take it first, it says
	case len(mine) == 0 && o.Kind == path.Nobody:
		return "" // nothing was promised
	case o.Kind == path.Nobody && len(o.Condition) > 0:
		return "" // one of several, of which the others have their lines
	}
	return "no line says it"
}

// lineSays says whether a line has the outcome among its answers.
func lineSays(l *portmap.Line, o *path.Outcome, p path.Packet) bool {
	if l.AnsweredBy[0] == portmap.Nobody {
		return o.Kind == path.Nobody
	}
	if len(l.Redirects) == 0 {
		return o.Kind == path.Local && l.AnsweredBy[0] == o.AnsweredBy
	}
	if o.Kind != path.Forwarded && o.Kind != path.Local {
		return false
	}
	got := netip.MustParseAddrPort(o.AnsweredBy)
	return slices.ContainsFunc(l.AnsweredBy, func(text string) bool {
		to, err := host.ParseTarget(text)
		if err != nil {
			return false
		}
		addr := !to.Lo.IsValid() || o.Kind == path.Local || to.Lo.Compare(got.Addr()) <= 0 && got.Addr().Compare(to.Hi) <= 0
		port := to.PortLo == 0 && got.Port() == p.Port || to.PortLo <= got.Port() && got.Port() <= max(to.PortLo, to.PortHi)
		return addr && port
	})
}

func texts(lines []*portmap.Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Proto + " " + l.Address + ":" + l.Ports + " " + strings.Join(l.AnsweredBy, ",") + " if " + l.Condition + " (" + l.Reason + ")\n")
	}
	return b.String()
}
