package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

var pendingLine = regexp.MustCompile(`(?m)^ *review: pending\n`)

// reviewed is the policy that Init writes, after a person removed the lines.
func reviewed(t *testing.T, text []byte) *Policy {
	t.Helper()
	p, err := Parse(pendingLine.ReplaceAll(text, nil), "init")
	if err != nil {
		t.Fatalf("what init wrote does not parse: %v\n%s", err, text)
	}
	return p
}

// hostile are names as nobody would choose them but an attacker.
var hostile = []string{"web", "PREROUTING", "a: b", "x\n      permanent: true", "*", "&a", "!!str x", "true", "no", "~", "80", "1e5", "0x1f", "#c", "a #b", "'", `"`, "\\",
	"\x00", "\x1b[31m", "\xff\xfe", "\u202egnp", "\u2028", "é", "- a", "[x]", "{x}", " lead", "trail ", "current", "pid:7", "2026-11-23", "<<", "?", "|", ">", "%", "@", "`",
	strings.Repeat("k", 1024), "review: pending", "", "null", "any", "\u0085", "\U0001F600", "eth*"}

type generator struct{ *rand.Rand }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }
func (g generator) name() string             { return hostile[g.IntN(len(hostile))] }

func (g generator) row(i int) host.Redirect {
	r := web(nil)
	r.ID = fmt.Sprintf("%012x", i)
	r.Kind = g.pick("dnat", "redirect", "netmap", "tproxy", "nat-flow", "something")
	r.State = g.pick(host.Active, host.Active, host.Latent, host.Inactive, host.Saved, host.Unknown)
	r.Direction = g.pick("inbound", "outbound")
	r.Netns = g.pick("", "", "web", g.name())
	r.Rule.Table, r.Rule.Chain, r.Rule.Comment = g.pick("nat", g.name()), g.pick("PREROUTING", g.name()), g.name()
	r.Rule.Writer, r.Rule.Handle = g.pick("nft", "iptables-nft", "iptables-legacy"), uint64(g.IntN(40))
	r.Owner = &host.Owner{Kind: g.pick("docker", "", "podman"), Name: g.name()}
	r.Match.Protos = [][]host.Range[host.Proto]{nil, {{Lo: 6, Hi: 6}}, {{Lo: 17, Hi: 17}}, {{Lo: 0, Hi: 5}, {Lo: 7, Hi: 255}}}[g.IntN(4)]
	r.Match.Ports = []host.Ports{nil, host.PortsOf(80, 80), host.PortsOf(80, 90), host.NotPorts(host.PortsOf(22, 22)), host.PortsOf(0, 0), host.PortsOf(0, 1023)}[g.IntN(6)]
	r.Match.Address = []host.Addrs{nil, nil, host.AddrsOf(netip.MustParsePrefix("10.1.0.0/16"))}[g.IntN(3)]
	r.Match.Source = []host.Addrs{nil, nil, host.NotAddrs(host.AddrsOf(netip.MustParsePrefix("10.2.0.0/16")))}[g.IntN(3)]
	r.Match.In.Names = [][]string{nil, nil, {"eth0"}, {g.name()}}[g.IntN(4)]
	r.Match.In.Not = g.IntN(8) == 0 && r.Match.In.Names != nil
	if g.IntN(5) == 0 {
		r.Match.Conditions = []string{g.name()}
	}
	if g.IntN(6) == 0 {
		r.Match.SPorts = host.PortsOf(1024, 65535)
	}
	if g.IntN(6) == 0 {
		r.Match.Out.Names = []string{"eth1"}
	}
	to(g.targets()...)(r)
	return *r
}

func (g generator) targets() []string {
	all := [][]string{{"10.0.5.10:8080"}, {"10.0.5.10"}, {":3128"}, {":*"}, {"10.0.5.10-10.0.5.20:80-90"}, {"10.0.6.0/24"}, {"dev:h1"}, {}, {"10.0.5.10:80", "10.0.5.11:80"},
		{"[fd00::1]:80"}, {"fd00::1"}, {"10.0.5.10:80-81/9000"}, {"unix:/run/x"}, {"10.0.5.10:0"}, {":0"}}
	return all[g.IntN(len(all))]
}

func TestInitNamesAllThatItFound(t *testing.T) {
	for seed := range uint64(15) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		var rows []host.Redirect
		for i := range 80 {
			rows = append(rows, g.row(i))
		}
		text := Init(rows, nil, today)
		pending, err := Parse(text, "init")
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		p := reviewed(t, text)
		for i := range rows {
			if verdict, _, note := pending.JudgeRedirect(&rows[i], today); verdict != host.Unreviewed {
				t.Fatalf("seed %d row %d: %s %s while the review is pending", seed, i, verdict, note)
			}
			if verdict, _, _ := p.JudgeRedirect(&rows[i], today); verdict != host.Allowed {
				t.Fatalf("seed %d row %d is %s\n%+v\n%+v\n%s", seed, i, verdict, rows[i], rows[i].Match, text)
			}
		}
	}
}

// widened gives rows that take or do more than r, or something else. Their ids
// differ: an id hashes the content.
func widened(r host.Redirect) map[string]host.Redirect {
	out := map[string]host.Redirect{}
	add := func(name string, change func(*host.Redirect)) {
		c, m, rule := r, *r.Match, *r.Rule
		c.Match, c.Rule, c.ID = &m, &rule, "ffffffffffff"
		change(&c)
		out[name] = c
	}
	add("other kind", func(r *host.Redirect) { r.Kind = "rewrite" })
	add("other chain", func(r *host.Redirect) { r.Rule.Chain = "elsewhere" })
	add("other table", func(r *host.Redirect) { r.Rule.Table = "elsewhere" })
	add("other namespace", func(r *host.Redirect) { r.Netns = "elsewhere" })
	add("other protocol", func(r *host.Redirect) { r.Match.Protos = host.ProtosOf(host.SCTP, host.TCP, host.UDP) })
	add("other destination", to("192.0.2.1:22"))
	add("one more destination", func(r *host.Redirect) { to(append(r.To[:len(r.To):len(r.To)], "192.0.2.1:22")...)(r) })
	add("no known destination", func(r *host.Redirect) { r.To, r.Targets = nil, nil })
	add("both families", func(r *host.Redirect) { r.Family, r.Match.Family = host.Both, host.Both })
	if len(r.Targets) == 1 && r.Targets[0].Lo.IsValid() && r.Targets[0].PortLo == 0 {
		add("another port of the destination", func(r *host.Redirect) {
			there := r.Targets[0]
			there.PortLo, there.PortHi = 22, 22
			to(there.String())(r)
		})
	}
	if r.Match.Ports != nil {
		add("any port", func(r *host.Redirect) { r.Match.Ports = nil })
		add("a port more", func(r *host.Redirect) {
			r.Match.Ports = r.Match.Ports.Union(host.PortsOf(22, 22)).Union(host.PortsOf(2000, 2000))
		})
	}
	if r.Match.Address != nil {
		add("any address", func(r *host.Redirect) { r.Match.Address = nil })
	}
	if r.Match.Source != nil {
		add("any source", func(r *host.Redirect) { r.Match.Source = nil })
	}
	if r.Match.In.Names != nil {
		add("any interface", func(r *host.Redirect) { r.Match.In = host.Ifaces{} })
	}
	if r.Match.SPorts != nil {
		add("any source port", func(r *host.Redirect) { r.Match.SPorts = nil })
	}
	if r.Match.Out.Names != nil {
		add("any way out", func(r *host.Redirect) { r.Match.Out.Names = nil })
	}
	if r.Match.Conditions != nil {
		add("without conditions", func(r *host.Redirect) { r.Match.Conditions = nil })
	}
	return out
}

func TestInitAllowsNothingWider(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(7, 7))}
	for i := range 400 {
		r := g.row(i)
		r.State = g.pick(host.Active, host.Unknown)
		if _, any := r.Match.Protos, r.Match.Protos.Any(); any {
			r.Match.Protos = host.ProtosOf(host.TCP)
		}
		text := Init([]host.Redirect{r}, nil, today)
		p := reviewed(t, text)
		for name, wide := range widened(r) {
			if verdict, by, _ := p.JudgeRedirect(&wide, today); verdict == host.Allowed && !wideningIsNone(name, &r, &wide) {
				t.Fatalf("row %d with %s is allowed by %s\n%+v\n%s", i, name, by, *wide.Match, text)
			}
		}
	}
}

// wideningIsNone tells the few changes that change nothing in a given row: a
// set of all protocols but TCP holds SCTP and UDP already, and so on.
func wideningIsNone(name string, r, wide *host.Redirect) bool {
	switch name {
	case "other protocol":
		return r.Match.Protos.Contains(wide.Match.Protos)
	case "a port more":
		return r.Match.Ports.Contains(wide.Match.Ports)
	}
	return false
}

func TestInitGivesFewEntries(t *testing.T) {
	var rows []host.Redirect
	for i := range 100 { // a map of 100 elements with a destination each
		r := web(func(r *host.Redirect) {
			r.ID, r.Match.Ports = fmt.Sprintf("%012d", i), host.PortsOf(uint16(1000+i), uint16(1000+i))
			to(fmt.Sprintf("10.0.5.%d:80", i))(r)
		})
		rows = append(rows, *r)
	}
	p := reviewed(t, Init(rows, nil, today))
	if len(p.Redirects) != 1 {
		t.Errorf("a map of 100 elements gives %d entries, want one", len(p.Redirects))
	}
	for i := range rows {
		if verdict, _, _ := p.JudgeRedirect(&rows[i], today); verdict != host.Allowed {
			t.Fatalf("element %d is %s", i, verdict)
		}
	}
}

func TestInitOfABigHostFitsAPolicy(t *testing.T) {
	var rows []host.Redirect
	for i := range 5000 {
		r := web(func(r *host.Redirect) {
			r.ID, r.Rule.Handle = fmt.Sprintf("%012x", i*7919), uint64(i)
			r.Match.Ports = host.PortsOf(uint16(i+1), uint16(i+1))
		})
		rows = append(rows, *r)
	}
	text := Init(rows, nil, today)
	if len(text) > MaxSize {
		t.Fatalf("%d bytes, which no policy may have", len(text))
	}
	p := reviewed(t, text)
	for i := 0; i < len(rows); i += 500 {
		if verdict, _, _ := p.JudgeRedirect(&rows[i], today); verdict != host.Allowed {
			t.Fatalf("row %d is %s", i, verdict)
		}
	}
}

func (g generator) listener(i int) host.Listener {
	l := host.Listener{ID: fmt.Sprint(i), Proto: g.pick("tcp", "udp", "mptcp", "sctp"), Port: uint16(1 + g.IntN(65535)), UID: uint32(g.IntN(3)),
		User: g.pick("root", "0", "", g.name()), Netns: g.pick("", "web", g.name()), Transparent: g.IntN(9) == 0,
		Address: g.pick("0.0.0.0", "::", "10.1.2.3", "fd00::1", "fe80::1%eth0", "::ffff:10.1.2.3")}
	for range g.IntN(3) {
		l.Processes = append(l.Processes, host.Process{Name: g.name(), Exe: g.pick("/usr/sbin/sshd", "/x/"+g.name()), HostExe: g.IntN(2) == 0,
			Unit: g.pick("ssh.service", g.name()), SystemUnit: g.IntN(2) == 0, Container: g.pick("", g.name()), Deleted: g.IntN(5) == 0})
	}
	return l
}

func TestInitNamesAllListeners(t *testing.T) {
	named, all := 0, 0
	for seed := range uint64(15) {
		g := generator{rand.New(rand.NewPCG(seed, 2))}
		var listeners []host.Listener
		for i := range 80 {
			listeners = append(listeners, g.listener(i))
		}
		text := Init(nil, listeners, today)
		p := reviewed(t, text)
		for i := range listeners {
			l := &listeners[i]
			all++
			if verdict, _, _ := p.JudgeListener(l, today); verdict == host.Allowed {
				named++
				continue
			}
			if l.Netns != "current" && strings.ToValidUTF8(l.Netns+l.User, "") == l.Netns+l.User && strings.TrimSpace(l.Netns) != "" {
				t.Fatalf("seed %d: %+v is not allowed\n%s", seed, *l, text)
			}
			other := *l
			other.Port, other.Address = 1, "10.9.9.9"
			if verdict, _, _ := p.JudgeListener(&other, today); verdict == host.Allowed {
				t.Fatalf("seed %d: another port and address is allowed", seed)
			}
		}
	}
	if named < all/2 {
		t.Errorf("only %d of %d listeners are named", named, all)
	}
}

func TestInitGolden(t *testing.T) {
	second := web(func(r *host.Redirect) {
		r.ID, r.State, r.Kind, r.Owner = "aaaaaaaaaaaa", host.Unknown, "tproxy", nil
		to()(r)
	})
	third := web(withPorts(t, "443"))
	snat := web(func(r *host.Redirect) { r.Info = true })
	sshd := host.Process{Name: "sshd", Exe: "/usr/sbin/sshd", HostExe: true, Unit: "ssh.service", SystemUnit: true}
	text := Init([]host.Redirect{*web(nil), *second, *third, *snat}, []host.Listener{
		{Proto: "tcp", Address: "0.0.0.0", Port: 22, User: "root", Processes: []host.Process{sshd}},
		{Proto: "tcp", Address: "::", Port: 22, User: "root", Processes: []host.Process{sshd}},
		{Proto: "tcp", Address: "127.0.0.1", Port: 6010, User: "root", Processes: []host.Process{sshd}},
	}, today)
	golden(t, "init.yaml", text)
	if _, err := Parse(Init(nil, nil, today), "init"); err != nil {
		t.Errorf("of a host with nothing: %v", err)
	}
}

// golden compares with a file below testdata; UPDATE=1 rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (UPDATE=1 rewrites it):\n%s", path, got)
	}
}
