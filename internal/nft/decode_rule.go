package nft

import (
	"slices"
	"strconv"

	"github.com/natwarden/natwarden/internal/host"
)

func itoa(n int) string { return strconv.Itoa(n) }

// machine runs the expressions of one rule on symbols instead of packets. A
// rule forks into several states where it looks into a map.
type machine struct {
	t         *tableDecoder
	chain     *Chain
	values    []value // values[0] stands for "nothing was loaded"
	states    []state
	partly    []state // what of the rule is done before an expression ends it
	opaque    []string
	reason    []string // why each of opaque, for Blind
	native    bool     // an expression that iptables-nft never writes
	nativeNAT bool     // nat, masq, redir or tproxy
	counted   bool
	xtUsed    bool
	strict    bool // words only as nft itself would read them
	effect    bool
	writes    *textWriter
	scratch   answer
	note      string   // comment of an xt match
	xtTexts   []string // option texts of matches and targets, in order
	prev      order    // the comparison before
	f         fields
	written   []value // what the rule has written of the packet so far
}

// state is one way through the rule.
type state struct {
	regs    [16]cell
	branch  host.Branch
	done    bool
	rewrite rewrite
}

// contradiction is the reason of a match that can never be true.
const contradiction = "contradicting matches"

func (s *state) kill(why string) {
	if s.branch.Match.Dead == "" {
		s.branch.Match.Dead = why
	}
}

// contradicted kills what no packet fits any more, unless another entry of an
// ipset could make one fit.
func (s *state) contradicted() {
	if s.branch.Match.Impossible() && len(s.branch.Match.Lists) == 0 {
		s.kill(contradiction)
	}
}

func (s *state) require(words string) { s.branch.Match.Require(words) }

// end gives the branch its verdict; NFT_CONTINUE is none, NFT_BREAK no match.
func (s *state) end(v host.Verdict, chain string) {
	if s.done || v == host.Continue {
		return
	}
	s.done = true
	if s.branch.Verdict == host.Uncertain && v != host.Jump && v != host.Goto {
		return // an expression before it may have ended the rule
	}
	s.branch.Verdict, s.branch.Chain = v, chain
}

func (m *machine) decode(raw *Rule, out *host.Rule, room []host.Branch) {
	m.reset()
	whole := eachExpr(raw.Exprs, func(name, data []byte) { m.step(name, data) })
	if !whole {
		for i := range m.states {
			m.states[i].done = false // what is torn may have stood before the verdict
		}
		m.doubt("expressions that are torn")
	}
	room = m.branches(room)
	m.t.branches += len(room)
	out.Branches, out.Opaque = room, slices.Clone(m.opaque)
	out.Comment = commentOf(raw.Userdata)
	if out.Comment == "" {
		out.Comment = m.note
	}
	out.Writer = m.writer()
	m.label(raw, out)
}

// label does what only rules with an effect or a doubt need.
func (m *machine) label(raw *Rule, out *host.Rule) {
	for _, b := range out.Branches {
		m.effect = m.effect || len(b.Effects) > 0
	}
	if m.effect || len(out.Opaque) > 0 || m.t.env.Listing {
		out.Text = m.text(raw, out)
	}
	for _, why := range m.reason {
		m.t.decoder.out.Blind = append(m.t.decoder.out.Blind, host.Blind{Source: "nf_tables", Why: why,
			What: string(m.t.family) + " " + m.t.raw.Name + " " + m.chain.Name + " rule " + itoa(out.Index)})
	}
}

func (m *machine) reset() {
	m.values = append(m.values[:0], value{})
	m.states, m.partly = append(m.states[:0], state{}), m.partly[:0]
	m.opaque, m.reason, m.xtTexts = m.opaque[:0], m.reason[:0], m.xtTexts[:0]
	m.native, m.xtUsed, m.effect, m.note = false, false, false, ""
	m.nativeNAT, m.counted, m.prev = false, false, order{}
	m.written = m.written[:0]
}

// eachExpr visits the expressions of a rule (NFTA_LIST_ELEM holding
// NFTA_EXPR_NAME 1 and NFTA_EXPR_DATA 2). It is false where the bytes are torn.
func eachExpr(exprs []byte, visit func(name, data []byte)) bool {
	for len(exprs) > 0 {
		_, elem, rest, ok := cutAttr(exprs)
		if !ok {
			return false
		}
		exprs = rest
		var name, data []byte
		for len(elem) > 0 {
			kind, payload, rest, ok := cutAttr(elem)
			if !ok {
				return false
			}
			switch kind {
			case 1:
				name = textBytes(payload)
			case 2:
				data = payload
			}
			elem = rest
		}
		visit(name, data)
	}
	return true
}

// step runs one expression on every state.
func (m *machine) step(name, data []byte) {
	do, known := steps[string(name)]
	if !known {
		m.unknownExpr(string(name))
		return
	}
	m.native = m.native || do.native
	if do.run == nil {
		m.counted = m.counted || string(name) == "counter"
		return
	}
	clear(m.f[:])
	highest, whole := m.f.read(data)
	if !whole || highest > do.attrs {
		m.unsure("an expression \""+string(name)+"\" with attributes that are unknown",
			"attributes of expression "+quoted(string(name))+" are unknown")
		return
	}
	before := m.acted()
	do.run(m, &m.f)
	if len(before) > 0 {
		m.keepPartly(before)
	}
}

func (m *machine) unknownExpr(name string) {
	m.unsure("expression "+quoted(name), "expression "+quoted(name)+" is unknown")
}

// doubt is for rules that no kernel should hold.
func (m *machine) doubt(what string) { m.unsure(what, what) }

// unsure makes the rule opaque: it may redirect, and it may end the chain.
func (m *machine) unsure(what, why string) {
	m.blind(what, why)
	for i := range m.states {
		s := &m.states[i]
		if s.done {
			continue
		}
		s.branch.Effects = append(s.branch.Effects, host.Effect{Unknown: why})
		s.branch.Verdict = host.Uncertain
	}
}

// blind makes the rule opaque where what is not understood can only narrow it.
func (m *machine) blind(what, why string) {
	if !slices.Contains(m.opaque, what) {
		m.opaque, m.reason = append(m.opaque, what), append(m.reason, why)
	}
}

// each visits the states that still run.
func (m *machine) each(visit func(*state)) {
	for i := range m.states {
		if !m.states[i].done {
			visit(&m.states[i])
		}
	}
}

// family is that of the packets of a state: ip, ip6, or "" where both may come.
func (m *machine) family(s *state) host.Family {
	switch {
	case m.t.family == host.IP || m.t.family == host.IP6:
		return m.t.family
	case s.branch.Match.Family == host.IP || s.branch.Match.Family == host.IP6:
		return s.branch.Match.Family
	}
	return ""
}

func quoted(s string) string { return strconv.Quote(s) }
