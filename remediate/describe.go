package remediate

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// describe shows a step as the contract does. The rows give the text of their
// rules where the object carries none.
func describe(s change.Step, rows rowsByID) Step {
	out := Step{
		IDs:         append([]string{}, s.IDs...),
		Action:      s.Action,
		Object:      where(s),
		Reversible:  s.Reversible,
		Why:         s.Why,
		SideEffects: s.SideEffects,
	}
	if s.Before != nil {
		out.Before = text(*s.Before, s.IDs, rows)
	}
	if s.After != nil {
		out.After = text(*s.After, s.IDs, rows)
	}
	return out
}

// where names the object: "ip nat PREROUTING handle 7", "legacy ip nat
// PREROUTING 3", "ip nat @web"; in another namespace with its label before.
func where(s change.Step) string {
	o := s.Object()
	out := fmt.Sprintf("%s %s", o.Family, o.Table)
	switch {
	case o.Kind == "flow":
		out = "flow " + o.Text
	case o.Set != "" && o.Kind == "element":
		out += " @" + o.Set
	case o.Backend == "x_tables":
		out = fmt.Sprintf("legacy %s %s %d", out, o.Chain, s.Place.Index)
	default:
		out = fmt.Sprintf("%s %s handle %d", out, o.Chain, o.Handle)
	}
	if o.Netns != "" {
		out = o.Netns + ": " + out
	}
	return out
}

func text(o change.Object, ids []string, rows rowsByID) string {
	if o.Text != "" || len(ids) == 0 {
		return o.Text
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
