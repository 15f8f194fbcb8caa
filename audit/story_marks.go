package audit

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// marker is a branch of a rule that changes the mark of a packet or of its
// connection.
type marker struct {
	table  *host.Table
	chain  *host.Chain
	rule   *host.Rule
	branch *host.Branch
	assign host.Assign
}

// markersOf finds what sets marks. A rule that is not understood may.
func markersOf(space *host.Space) (found []marker, exact bool) {
	exact = true
	for _, t := range space.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for i := range r.Branches {
					b := &r.Branches[i]
					for _, a := range assigns(r, b) {
						found = append(found, marker{t, c, r, b, a})
						exact = exact && a.Mask == ^uint32(0) && a.From == host.NoField && a.Unknown == ""
					}
				}
			}
		}
	}
	return found, exact
}

func assigns(r *host.Rule, b *host.Branch) []host.Assign {
	var out []host.Assign
	for _, a := range b.Assigns {
		if a.Field == host.FieldMark || a.Field == host.FieldCTMark {
			out = append(out, a)
		}
	}
	if len(r.Opaque) > 0 && len(out) == 0 {
		out = append(out, host.Assign{Field: host.FieldMark, Unknown: "it is not understood"})
	}
	return out
}

// setters are the markers of the field after which a packet may have the mark
// that the selector asks for.
func (s *story) setters(field host.Field, want host.Selector) []marker {
	key := asked{field, host.Selector{Mark: want.Mark, Mask: want.Mask}}
	out, known := s.cache[key]
	if known {
		return out
	}
	for _, m := range s.markers {
		if m.assign.Field == field && s.may(m.assign, want) {
			out = append(out, m)
		}
	}
	s.cache[key] = out
	return out
}

// may says whether the assignment gives at least a part of the mark, and, where
// every rule sets whole marks, all of it.
func (s *story) may(a host.Assign, want host.Selector) bool {
	bits := want.Mark & want.Mask
	switch {
	case a.Unknown != "":
		return true
	case s.exact:
		return a.Value&want.Mask == bits
	case a.Value&bits != 0:
		return true
	case a.FromMask&bits == 0:
		return false
	case a.From == host.FieldCTMark:
		return s.remembered(bits)
	}
	return a.From == host.FieldMark && a.Field == host.FieldCTMark && s.given(bits)
}

// remembered says whether some rule gives connections a mark with one of the bits.
func (s *story) remembered(bits uint32) bool {
	for _, m := range s.markers {
		a := m.assign
		if a.Field != host.FieldCTMark {
			continue
		}
		if a.Unknown != "" || a.Value&bits != 0 || a.From == host.FieldMark && a.FromMask&bits != 0 && s.given(bits) {
			return true
		}
	}
	return false
}

// given says whether some rule gives packets a mark with one of the bits,
// other than from their connection.
func (s *story) given(bits uint32) bool {
	for _, m := range s.markers {
		if a := m.assign; a.Field == host.FieldMark && (a.Unknown != "" || a.Value&bits != 0) {
			return true
		}
	}
	return false
}

// String says which rule it is and what it takes.
func (m marker) String() string {
	text := fmt.Sprintf("%s %s %s rule %d", m.table.Family, m.table.Name, m.chain.Name, m.rule.Index)
	var what []string
	if !m.branch.Match.Protos.Any() {
		what = append(what, host.ProtosString(m.branch.Match.Protos))
	}
	if !m.branch.Match.Ports.Any() {
		what = append(what, "ports "+host.PortsString(m.branch.Match.Ports))
	}
	if len(what) > 0 {
		text += " (" + strings.Join(what, ", ") + ")"
	}
	return text
}

// nameMarkers names, at a rule that asks for a mark, the rules that set it.
func (s *story) nameMarkers(r *host.Redirect) {
	if r.Match == nil {
		return
	}
	for _, t := range r.Match.Tests {
		if t.Field != host.FieldMark && t.Field != host.FieldCTMark || t.Not || len(t.Spans) != 1 || t.Spans[0].Lo != t.Spans[0].Hi || t.Spans[0].Lo == 0 {
			continue
		}
		want := host.Selector{Marked: true, Mark: t.Spans[0].Lo, Mask: t.Mask}
		for i, m := range s.setters(t.Field, want) {
			if i == 3 {
				break // enough to look further
			}
			r.Evidence = appendOnce(r.Evidence, fmt.Sprintf("%s %#x is set by %s", markWord(t.Field), want.Mark, m))
		}
	}
}

func markWord(f host.Field) string {
	if f == host.FieldCTMark {
		return "connection mark"
	}
	return "mark"
}
