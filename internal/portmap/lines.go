package portmap

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// Line says who answers on ports of one protocol and family.
type Line struct {
	Classes    []path.Class // the packets
	Proto      string
	Family     host.Family
	Address    string
	Ports      string
	Condition  string
	AnsweredBy []string
	Redirects  []string
	Reason     string // why nobody answers
	// Rest is true of what was not looked at, for there is too much of it.
	Rest bool
	// Sure is true where the line holds for each packet of the classes.
	Sure bool
}

// Nobody is what stands in AnsweredBy where nobody answers.
const Nobody = "nobody"

// Followed says whether the lines of a row come from the map.
func (m *Map) Followed(i int) bool { return followed(&m.rows[i]) && m.rows[i].Direction == "inbound" }

// Of gives the lines of a row.
func (m *Map) Of(i int) []Line {
	r, f := &m.rows[i], &m.found[i]
	out := make([]Line, 0, len(f.parts)+len(f.rest))
	for j := range f.parts {
		out = append(out, m.line(r, &f.parts[j]))
	}
	for _, c := range merged(unsure(f.rest, r)) {
		out = append(out, m.line(r, &c))
	}
	return joinFamilies(out, r)
}

func unsure(rest []path.Class, r *host.Redirect) []part {
	out := make([]part, 0, len(rest))
	for _, c := range rest {
		out = append(out, part{c, answer{taken: []*host.Effect{r.Effect}, rest: true, when: "where no other rule takes it first: there are too many cases to tell"}})
	}
	return out
}

func (m *Map) line(r *host.Redirect, p *part) Line {
	l := Line{Classes: []path.Class{p.Class}, Proto: p.Proto.String(), Family: p.Family, Address: addressWords(&p.Class), Ports: host.PortsString(p.Ports),
		Condition: m.condition(p, r), Redirects: []string{}, Reason: p.reason, Sure: p.when == "", Rest: p.rest}
	for _, e := range p.taken {
		l.Redirects = append(l.Redirects, m.ids(e, &p.Class)...)
	}
	switch {
	case p.nobody:
		l.AnsweredBy = []string{Nobody}
	case len(p.taken) > 0:
		l.AnsweredBy = m.destinations(&p.answer)
		l.relay(m, p.listener)
	default:
		l.AnsweredBy = []string{socketAddress(p.listener)}
	}
	return l
}

// last is the redirect that says who answers: the last one, but for packets
// that were handed to a socket, which gets them whatever is translated later.
func (a *answer) last() *host.Effect {
	if i := slices.IndexFunc(a.taken, func(e *host.Effect) bool { return e.Kind == "tproxy" }); i >= 0 && a.listener != nil {
		return a.taken[i]
	}
	return a.taken[len(a.taken)-1]
}

// ids are the rows of an effect that are about packets of the class.
func (m *Map) ids(e *host.Effect, c *path.Class) []string {
	var out []string
	rows := m.by[e]
	for _, i := range rows {
		x := m.rows[i].Match
		if len(rows) > 1 && (c.Ports.Intersect(x.Ports).Empty() || c.From.Intersect(x.Source).Empty()) {
			continue
		}
		out = append(out, m.rows[i].ID)
	}
	return out
}

// targets are the destinations of an effect, as its rows have them.
func (m *Map) targets(e *host.Effect) []string {
	if rows := m.by[e]; len(rows) > 0 && len(m.rows[rows[0]].To) > 0 {
		return slices.Clone(m.rows[rows[0]].To)
	}
	return []string{"unknown"}
}

// relay names, where a redirect ends at a local relay, where that leads to.
func (l *Line) relay(m *Map, at *host.Listener) {
	if at == nil {
		return
	}
	for i := range m.rows {
		r := &m.rows[i]
		if r.Mechanism != "relay" || r.Process == nil || r.Match == nil || !r.Match.Ports.Has(host.Port(at.Port)) {
			continue
		}
		if slices.ContainsFunc(at.Processes, func(p host.Process) bool { return p.PID == r.Process.PID }) && len(r.To) > 0 {
			l.AnsweredBy, l.Redirects = slices.Clone(r.To), append(l.Redirects, r.ID)
			return
		}
	}
}

// joinFamilies makes one line of those that say the same of all protocols and
// families that the row is about.
func joinFamilies(list []Line, r *host.Redirect) []Line {
	if len(list) < 2 {
		return list
	}
	boxes := 0
	for _, p := range portProtos {
		if r.Match.Protos.Has(p) {
			boxes += len(familiesOf(r))
		}
	}
	var out []Line
	for _, l := range list {
		i := slices.IndexFunc(out, func(o Line) bool { return o.says(&l) })
		if i < 0 {
			out = append(out, l)
			continue
		}
		out[i].Classes = append(out[i].Classes, l.Classes...)
	}
	for i := range out {
		if len(out[i].Classes) < boxes || boxes == 1 {
			continue
		}
		out[i].Proto, out[i].Family = r.Proto, r.Family
	}
	return parted(out)
}

// says tells lines that differ in protocol and family alone.
func (l *Line) says(o *Line) bool {
	box := func(c *path.Class) [2]string { return [2]string{c.Proto.String(), string(c.Family)} }
	for i := range l.Classes {
		if box(&l.Classes[i]) == box(&o.Classes[0]) {
			return false // each box counts once
		}
	}
	return l.Address == o.Address && l.Ports == o.Ports && l.Condition == o.Condition && l.Reason == o.Reason && l.Sure == o.Sure &&
		slices.Equal(l.AnsweredBy, o.AnsweredBy) && slices.Equal(l.Redirects, o.Redirects)
}

// parted undoes what was joined of lines that are not about everything.
func parted(list []Line) []Line {
	out := make([]Line, 0, len(list))
	for _, l := range list {
		if len(l.Classes) == 1 || l.Proto != l.Classes[0].Proto.String() || l.Family != l.Classes[0].Family {
			out = append(out, l)
			continue
		}
		for _, c := range l.Classes {
			one := l
			one.Classes, one.Proto, one.Family = []path.Class{c}, c.Proto.String(), c.Family
			out = append(out, one)
		}
	}
	return out
}
