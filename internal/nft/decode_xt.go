package nft

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

// ext reads enum nft_match_attributes, which enum nft_target_attributes equals.
func (m *machine) ext(f *fields) xt.Ext {
	m.xtUsed = true
	return xt.Ext{Family: m.t.family, Name: f.text(1), Revision: uint8(f.u32(2)), Info: f[3]}
}

func (m *machine) xtEnv() xt.Env { return xt.Env{Sets: m.t.env.Sets, Now: m.t.env.Now} }

// doMatch is nft_compat's match: an x_tables match inside nf_tables.
func (m *machine) doMatch(f *fields) {
	e := m.ext(f)
	if e.Name == "comment" {
		m.note = Text(e.Info)
	}
	alts, text, ok := xt.Match(e, m.xtEnv())
	m.xtTexts = append(m.xtTexts, text)
	if !ok {
		m.blind("match "+e.Name, "match "+quoted(e.Name)+" revision "+itoa(int(e.Revision))+" is unknown")
		m.each(func(s *state) { s.require(text) })
		return
	}
	n := len(m.states)
	for i := range n {
		if !m.states[i].done {
			m.narrowToAny(i, alts)
		}
	}
	m.dropContradictions(n)
}

// narrowToAny forks a state into the alternatives of a match.
func (m *machine) narrowToAny(i int, alts []host.Match) {
	origin := m.states[i]
	for n := range alts {
		s := origin
		s.branch.Effects = slices.Clone(origin.branch.Effects)
		s.branch.Match.Narrow(&alts[n])
		s.contradicted()
		if n == 0 {
			m.states[i] = s
		} else {
			m.states = append(m.states, s)
		}
	}
}

// doTarget is nft_compat's target.
func (m *machine) doTarget(f *fields) {
	e := m.ext(f)
	r, ok := xt.Target(e, m.xtEnv())
	m.xtTexts = append(m.xtTexts, r.Text)
	if !ok {
		m.unsure("target "+e.Name, "target "+quoted(e.Name)+" revision "+itoa(int(e.Revision))+" is unknown")
		return
	}
	for _, name := range r.Fills {
		m.t.out.Filled[name] = true
	}
	m.each(func(s *state) {
		s.branch.Effects = append(s.branch.Effects, r.Effects...)
		s.assign(r.Assigns...)
		s.finish(r.Verdict, "")
	})
}
