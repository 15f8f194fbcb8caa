package remediate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// describeAll shows steps as the contract does, with the places at which the
// audit found the rules of iptables-legacy: its editor counts them as the chain
// is when the step's turn comes, with those of earlier deletions gone.
func describeAll(steps []change.Step) []Step {
	out := make([]Step, len(steps))
	gone := map[string]int{}
	forward := func(i int) {
		s := steps[i]
		if o := s.Object(); o.Backend == xTables {
			s.Place.Index += gone[placeOf(o)]
			gone[placeOf(o)]++
		}
		out[i] = describe(s)
	}
	if len(steps) > 0 && steps[0].Action == change.Add { // inverted: the last one was deleted first
		for i := len(steps) - 1; i >= 0; i-- {
			forward(i)
		}
		return out
	}
	for i := range steps {
		forward(i)
	}
	return out
}

// describe shows one step.
func describe(s change.Step) Step {
	out := Step{
		IDs:         append([]string{}, s.IDs...),
		Action:      s.Action,
		Object:      where(s),
		Reversible:  s.Reversible,
		Manager:     s.Manager,
		Why:         s.Why,
		SideEffects: s.SideEffects,
	}
	if s.Action == change.Restore {
		out.Before, out.After = "not there", "not there"
	}
	if s.Before != nil {
		out.Before = s.Before.Text
	}
	if s.After != nil {
		out.After = s.After.Text
	}
	return out
}

// where names the object: "ip nat PREROUTING handle 7", "legacy ip nat
// PREROUTING 3", "ip nat @web", "flow tcp …"; in another namespace with its label before.
func where(s change.Step) string {
	o := s.Object()
	out := fmt.Sprintf("%s %s", o.Family, o.Table)
	switch {
	case o.Kind == change.KindTable:
		out = tableName(o)
	case o.Backend == rtnetlink, o.Kind != "rule" && o.Kind != "element": // a flow, a route, a unit: its text says which
		out = o.Kind + " " + o.Text
	case o.Kind == "element":
		out += " @" + o.Set
	case o.Backend == xTables:
		out = fmt.Sprintf("legacy %s %s %d", out, o.Chain, s.Place.Index)
	default:
		out = fmt.Sprintf("%s %s handle %d", out, o.Chain, o.Handle)
	}
	if o.Netns != "" {
		out = o.Netns + ": " + out
	}
	return out
}

// fillText writes the objects of a step in words where the editor did not: as
// the rows have it.
func fillText(s *change.Step, rows rowsByID) {
	if s.Before != nil && s.Before.Text == "" {
		s.Before.Text = textOf(s.Before, s.IDs, rows)
	}
	if s.Before == nil || s.After == nil || s.After.Text != "" {
		return
	}
	var gone []string
	for _, id := range s.IDs {
		if r := rows[id]; r != nil && r.Rule != nil && r.Rule.Element != "" && !slices.Contains(gone, r.Rule.Element) {
			gone = append(gone, r.Rule.Element)
		}
	}
	s.After.Text = s.Before.Text + ", without the element " + strings.Join(gone, ", ")
}

func textOf(o *change.Object, ids []string, rows rowsByID) string {
	if len(ids) == 0 {
		return ""
	}
	r := rows[ids[0]]
	switch {
	case r == nil || r.Rule == nil:
		return ""
	case o.Kind == "element":
		return r.Rule.Element
	}
	return r.Rule.Text
}

// rowsByID finds the row of an id.
type rowsByID map[string]*host.Redirect

func (g *group) byID() rowsByID {
	out := rowsByID{}
	for _, r := range g.rows {
		out[r.ID] = r
	}
	return out
}

// managers says who made what a step takes away, and may make it again: that is
// no reason to refuse it, but to be told before.
func managers(ids []string, rows rowsByID) string {
	var out []string
	for _, id := range ids {
		r := rows[id]
		if r == nil || r.Owner == nil {
			continue
		}
		words := r.Owner.Kind + " made it and may make it again"
		if r.Advice != "" {
			words += "; " + r.Advice
		}
		if !slices.Contains(out, words) {
			out = append(out, words)
		}
	}
	return strings.Join(out, "; ")
}
