package portmap_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/portmap"
	"github.com/natwarden/natwarden/internal/walk"
)

// say writes rows and lines in short.
func say(s *host.Space) (states, lines []string) {
	rows := walk.Redirects(s, walk.Options{SocketsRead: true})
	m := portmap.Of(world(s), rows)
	for i := range rows {
		states = append(states, rows[i].State)
		if m.Followed(i) {
			lines = append(lines, words(m.Of(i))...)
		}
	}
	for i := range s.Listeners {
		if found, ok := m.Listener(&s.Listeners[i], host.IP); ok {
			lines = append(lines, words(found)...)
		}
	}
	return states, lines
}

func words(list []portmap.Line) []string {
	var out []string
	for _, l := range list {
		text := l.Proto + " " + l.Address + ":" + l.Ports + " " + strings.Join(l.AnsweredBy, ",")
		if l.Condition != "" {
			text += " if " + l.Condition
		}
		out = append(out, text)
	}
	return out
}

func base(kind, hook string, priority int, policy string, list ...host.Branch) *host.Chain {
	return &host.Chain{Name: hook, Handle: uint64(1000 + priority), Base: &host.Base{Hook: hook, Priority: priority, Type: kind, Policy: policy}, Rules: rules(list...)}
}

func verdict(m host.Match, v host.Verdict) host.Branch { return host.Branch{Match: m, Verdict: v} }

func from(m host.Match, text string) host.Match {
	m.Source, _ = host.ParseAddrs(text)
	return m
}

func TestWhoAnswers(t *testing.T) {
	backend, other := number(0x0a020002, 0), number(0x0a030002, 0)
	toBackend := dnat(tcp(80), backend, 8080)
	mark := tcp(443)
	limited := tcp(80)
	limited.Expect(host.Test{Words: "every 2nd packet"})
	listener := host.Listener{Proto: "tcp", Address: "0.0.0.0", Port: 22}
	redirect := host.Branch{Match: tcp(81), Verdict: host.Accept, Effects: []host.Effect{{Kind: "redirect", To: []host.Target{{PortLo: 22, PortHi: 22}}}}}
	nowhere := redirect
	nowhere.Effects = []host.Effect{{Kind: "redirect", To: []host.Target{{PortLo: 23, PortHi: 23}}}}
	marked := host.Match{}
	marked.Expect(host.Test{Words: "mark 0x20", Field: host.FieldMark, Mask: 0xff, Spans: []host.Span{{Lo: 0x20, Hi: 0x20}}})
	wide := tcp(0)
	wide.Ports = host.PortsOf(1, 100)
	for name, tt := range map[string]struct {
		chains []*host.Chain
		states string
		want   []string
	}{
		"a redirect": {[]*host.Chain{base("nat", "prerouting", -100, "accept", toBackend)}, "active",
			[]string{"tcp :80 10.2.0.2:8080", "tcp :22 0.0.0.0:22"}},
		"whose packets are dropped behind it": {[]*host.Chain{base("nat", "prerouting", -100, "accept", toBackend), base("filter", "forward", 0, "drop")}, "active",
			[]string{"tcp :80 nobody", "tcp :22 0.0.0.0:22"}},
		"for some": {[]*host.Chain{base("nat", "prerouting", -100, "accept", toBackend), base("filter", "forward", 0, "drop", verdict(from(tcp(8080), "10.5.0.0/16"), host.Accept))}, "active",
			[]string{"tcp :80 nobody if from !10.5.0.0/16", "tcp :80 10.2.0.2:8080 if from 10.5.0.0/16", "tcp :22 0.0.0.0:22"}},
		"which an earlier rule divides": {[]*host.Chain{base("nat", "prerouting", -100, "accept", verdict(tcp(90), host.Accept), dnat(wide, backend, 0))}, "active",
			[]string{"tcp :1-89,91-100 10.2.0.2"}},
		"behind a mark": {[]*host.Chain{base("filter", "prerouting", -150, "accept", host.Branch{Match: mark, Assigns: []host.Assign{{Field: host.FieldMark, Mask: 0xffffffff, Value: 0x20}}}),
			base("nat", "prerouting", -100, "accept", dnat(marked, backend, 8080))}, "active", []string{"tcp :443 10.2.0.2:8080", "tcp :22 0.0.0.0:22"}},
		"by chance": {[]*host.Chain{base("nat", "prerouting", -100, "accept", dnat(limited, other, 8080), toBackend)}, "active active",
			[]string{"tcp :80 10.3.0.2:8080 if every 2nd packet", "tcp :80 10.2.0.2:8080 if not (every 2nd packet)", "tcp :22 0.0.0.0:22"}},
		"to a port where somebody listens":               {[]*host.Chain{base("nat", "prerouting", -100, "accept", redirect)}, "active", []string{"tcp :81 :22", "tcp :22 0.0.0.0:22"}},
		"to a port where nobody listens":                 {[]*host.Chain{base("nat", "prerouting", -100, "accept", nowhere)}, "active", []string{"tcp :81 nobody", "tcp :22 0.0.0.0:22"}},
		"dropped before it":                              {[]*host.Chain{base("filter", "prerouting", -300, "accept", verdict(tcp(80), host.Drop)), base("nat", "prerouting", -100, "accept", toBackend)}, "inactive", []string{"tcp :22 0.0.0.0:22"}},
		"queued before it":                               {[]*host.Chain{base("filter", "prerouting", -300, "accept", verdict(tcp(80), host.Queue)), base("nat", "prerouting", -100, "accept", toBackend)}, "active", []string{"tcp :22 0.0.0.0:22"}},
		"of which only packets to the loopback are left": {[]*host.Chain{base("nat", "prerouting", -100, "accept", verdict(host.Match{Address: host.NotAddrs(host.AddrsOf(netip.MustParsePrefix("127.0.0.0/8")))}, host.Accept), toBackend)}, "active", []string{"tcp :22 0.0.0.0:22"}},
		"a listener that rules hide from some": {[]*host.Chain{base("filter", "input", 0, "accept", verdict(from(tcp(22), "!10.5.0.0/16"), host.Drop))}, "",
			[]string{"tcp :22 nobody if from !10.5.0.0/16", "tcp :22 0.0.0.0:22 if from 10.5.0.0/16"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := spaceOf()
			for i, c := range tt.chains {
				c.Handle = uint64(i + 1)
				s.Tables = append(s.Tables, &host.Table{Backend: "nf_tables", Family: host.IP, Name: c.Name, Chains: []*host.Chain{c}})
			}
			s.Listeners = []host.Listener{listener}
			states, lines := say(s)
			slices.Sort(lines)
			slices.Sort(tt.want)
			if strings.Join(states, " ") != tt.states || !slices.Equal(lines, tt.want) {
				t.Errorf("states %v\n got %q\nwant %q", states, lines, tt.want)
			}
		})
	}
}
