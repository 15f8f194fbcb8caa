package walk

import (
	"runtime"
	"slices"
	"sync"

	"github.com/natwarden/natwarden/internal/host"
)

// Options say what was read besides the rules.
type Options struct {
	// SocketsRead is true where all listeners of the space were read: only then can
	// the absence of one prove anything.
	SocketsRead bool
}

// spaceView is a namespace with what is looked up often.
type spaceView struct {
	Options
	space  *host.Space
	ifaces map[string]bool
	filled map[string]bool // ipsets and sets that packets fill, by the words of an empty one
}

// Redirects gives a row for each redirect that a rule of the space makes: one
// for each box of protocol, ports, address and source. Verdicts, owners and
// advice are filled by others.
func Redirects(space *host.Space, o Options) []host.Redirect {
	view := &spaceView{Options: o, space: space, ifaces: map[string]bool{}, filled: map[string]bool{}}
	for _, i := range space.Ifaces {
		view.ifaces[i.Name] = true
	}
	for _, t := range space.Tables {
		for name := range t.Filled {
			view.filled[host.EmptyIPSet(name)] = true
		}
	}
	rows := make([]host.Redirect, 0, effects(space))
	for _, t := range space.Tables {
		g := newGraph(t)
		for _, c := range t.Chains {
			rows = view.chainRows(rows, g, g.chains[c.Name])
		}
	}
	host.Number(rows)
	return rows
}

// effects counts what will be a row at least, so that a long list grows once.
func effects(space *host.Space) int {
	n := 0
	for _, t := range space.Tables {
		for _, c := range t.Chains {
			n += effectsOf(c.Rules)
		}
	}
	return n
}

func effectsOf(rules []*host.Rule) int {
	n := 0
	for _, r := range rules {
		for i := range r.Branches {
			n += len(r.Branches[i].Effects)
		}
	}
	return n
}

// longChain is from how many rules on a chain is gone through on several
// processors: what a rule's rows are depends on no other rule's.
const longChain = 4096

func (s *spaceView) chainRows(rows []host.Redirect, g *graph, n *node) []host.Redirect {
	rules, workers := len(n.chain.Rules), runtime.GOMAXPROCS(0)
	if rules < longChain || workers == 1 {
		return s.ruleRows(rows, g, n, 0, rules)
	}
	parts, want := make([][]host.Redirect, workers), make([]int, workers)
	var wait sync.WaitGroup
	end := len(rows)
	for w := range workers {
		from, to := rules*w/workers, rules*(w+1)/workers
		want[w] = effectsOf(n.chain.Rules[from:to])
		begin := end
		var room []host.Redirect
		if end += want[w]; end <= cap(rows) {
			room = rows[begin:begin:end] // where they belong if each effect makes one row
		}
		wait.Go(func() { parts[w] = s.ruleRows(room, g, n, from, to) })
	}
	wait.Wait()
	for w, part := range parts {
		if len(part) != want[w] || end > cap(rows) {
			return slices.Concat(append([][]host.Redirect{rows}, parts...)...)
		}
	}
	return rows[:end] // nothing to copy: a long list is large
}

func (s *spaceView) ruleRows(rows []host.Redirect, g *graph, n *node, from, to int) []host.Redirect {
	for i := from; i < to; i++ {
		rule := n.chain.Rules[i]
		for b := range rule.Branches {
			branch := &rule.Branches[b]
			if len(branch.Effects) == 0 {
				continue
			}
			extents := n.extents(i, branch)
			for e := range branch.Effects {
				first := len(rows)
				rows = s.effectRows(rows, g, n, rule, branch, &branch.Effects[e], extents)
				if branch.Effects[e].Kind == "dup" {
					n.judgeCopies(rows[first:], i, branch)
				}
			}
		}
	}
	return rows
}

func (s *spaceView) effectRows(rows []host.Redirect, g *graph, n *node, rule *host.Rule, b *host.Branch, effect *host.Effect, extents []extent) []host.Redirect {
	if len(extents) == 0 {
		row := s.row(g, n, rule, b, effect, &b.Match)
		row.State, row.Why = host.Inactive, []string{unreached(n)}
		return append(rows, s.finish(row))
	}
	for i := range extents {
		e := &extents[i]
		row := s.row(g, n, rule, b, effect, &e.match)
		row.State, row.Why = s.state(g, e, effect)
		row.Direction = direction(e)
		hook := e.ways[0].base
		row.Rule.Hook, row.Rule.Priority = hook.Hook, hook.Priority
		row.Rule.Hooks, row.Rule.Devices = hooks(e), devices(e)
		row.Rule.Paths = paths(e)
		row.Info = row.Info || effect.Kind == "netmap" && mapsSource(e)
		rows = append(rows, s.finish(row))
	}
	return rows
}

func unreached(n *node) string {
	switch {
	case len(n.ways) > 0:
		return "no packet that reaches chain " + n.chain.Name + " fits the rule: its matches contradict those of the jumps to it"
	case n.chain.Base != nil:
		return "the matches of the rule contradict each other"
	}
	return "no hook reaches chain " + n.chain.Name
}

// mapsSource tells NETMAP of source addresses: the target works on the source
// in postrouting and input (net/netfilter/xt_NETMAP.c).
func mapsSource(e *extent) bool {
	for _, w := range e.ways {
		if w.base.Hook != "postrouting" && w.base.Hook != "input" {
			return false
		}
	}
	return true
}

func direction(e *extent) string {
	for _, w := range e.ways {
		if !w.outbound() {
			return "inbound"
		}
	}
	return "outbound"
}

func paths(e *extent) [][]string {
	out := make([][]string, 0, len(e.ways))
	for _, w := range e.ways {
		out = append(out, w.path)
	}
	return out
}

// row fills what does not depend on the way.
func (s *spaceView) row(g *graph, n *node, rule *host.Rule, b *host.Branch, effect *host.Effect, m *host.Match) host.Redirect {
	t := g.table
	r := host.Redirect{
		Mechanism: "rule", Kind: effect.Kind, Direction: "inbound",
		Netns: s.space.Netns, NetnsUID: s.space.NetnsUID,
		Match: m, Targets: effect.To, Effect: effect, Info: effect.Source || onlyInformation(effect.Kind),
		Evidence: slices.Clone(effect.Evidence),
		Rule: &host.RuleRef{Backend: t.Backend, Writer: rule.Writer, Family: t.Family, Table: t.Name, Chain: n.chain.Name,
			Handle: rule.Handle, Index: rule.Index, Comment: rule.Comment, Text: rule.Text, Paths: [][]string{}},
		Ref: &host.Ref{Netns: s.space.Netns, Backend: t.Backend, Family: t.Family, Table: t.Name, Chain: n.chain.Name,
			Handle: rule.Handle, Index: rule.Index, Fingerprint: rule.Fingerprint},
	}
	if effect.Writer != "" {
		r.Rule.Writer = effect.Writer
	}
	if b.Element != nil {
		r.Rule.Element = b.Element.Key
		r.Ref.Set, r.Ref.Anonymous, r.Ref.Key = b.Element.Set, b.Element.Anonymous, b.Element.Raw
		if !b.Element.Anonymous {
			r.Rule.Element = "@" + b.Element.Set + " { " + b.Element.Key + " }"
		}
	}
	for _, name := range rule.Opaque {
		r.Evidence = append(r.Evidence, "not understood: "+name)
	}
	return r
}

// onlyInformation tells the kinds that copy traffic instead of diverting it.
func onlyInformation(kind string) bool {
	return kind == "dup" || kind == "snat" || kind == "masquerade"
}

// finish writes the sets in words and gives the row its id.
func (s *spaceView) finish(r host.Redirect) host.Redirect {
	m := *r.Match // rows of one rule share it until here
	if m.Family == "" {
		m.Family = packetFamily(r.Rule.Family)
	}
	r.Match, r.Family = &m, m.Family
	r.Proto = host.ProtosString(m.Protos)
	r.Ports = host.PortsString(m.Ports)
	r.Address, r.Source = host.AddrsString(m.Address), host.AddrsString(m.Source)
	r.Conditions = conditions(&m)
	r.To = make([]string, 0, len(r.Targets))
	for _, t := range r.Targets {
		r.To = append(r.To, t.String())
	}
	if r.Evidence == nil {
		r.Evidence = []string{}
	}
	r.ID = host.ID(&r, r.Ref.Fingerprint)
	return r
}

func packetFamily(table host.Family) host.Family {
	if table == host.IP || table == host.IP6 {
		return table
	}
	return host.Both
}

func conditions(m *host.Match) []string {
	out := make([]string, 0, len(m.Conditions)+3)
	if !m.In.Any() {
		out = append(out, "in "+m.In.String())
	}
	if !m.Out.Any() {
		out = append(out, "out "+m.Out.String())
	}
	if !m.SPorts.Any() {
		out = append(out, "source port "+host.PortsString(m.SPorts))
	}
	return append(out, m.Conditions...)
}
