package remediate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// cutLines is the guard of the lines that are its own: it refuses what would
// cut one of them, or send it elsewhere.
func (o Options) cutLines(name string) func(context.Context, *plan) []string {
	return func(ctx context.Context, p *plan) (reasons []string) {
		for i := range o.Lines {
			line := &o.Lines[i]
			if line.Guard != name {
				continue
			}
			if why := o.cutLine(ctx, p, line); why != "" && !slices.Contains(reasons, why) {
				reasons = append(reasons, why)
			}
		}
		return reasons
	}
}

// cutLine says how a plan would cut a line; "" where it would not. The reason
// that tells most comes first: what stops, who answers then, what is cut, and what may be.
func (o Options) cutLine(ctx context.Context, p *plan, line *host.Line) string {
	for _, s := range p.steps() {
		if why := stops(&s, line); why != "" {
			return line.Words + " " + why
		}
	}
	if line.Proto == "" {
		return ""
	}
	var lost, may []string
	for _, space := range p.spaces() {
		rows, gone := p.endedIn(space.Label)
		way := o.way(ctx, space, line, gone)
		lost, may = append(lost, answeredElse(way)...), append(may, mayLose(line, rows, way)...)
	}
	for _, s := range p.steps() {
		if isFlowOf(&s, line) {
			lost = append(lost, "would be cut: "+s.Object().Text)
		}
	}
	for _, why := range append(lost, may...) {
		return line.Words + " " + why
	}
	return ""
}

// steps are all steps of a plan, those that cut flows last.
func (p *plan) steps() (out []change.Step) {
	for _, g := range p.groups {
		out = append(out, g.steps...)
	}
	for _, c := range p.cuts {
		out = append(out, c.steps...)
	}
	return out
}

// stops says whether a step ends a process, unit or container of the line.
func stops(s *change.Step, line *host.Line) string {
	o := s.Object()
	if s.Action != change.Stop {
		return ""
	}
	for _, p := range line.Processes {
		switch o.Kind {
		case "unit":
			if p.Unit != "" && slices.Contains(strings.Fields(o.Names["units"]), p.Unit) {
				return fmt.Sprintf("hangs on process %d (%s) of unit %s, which would be stopped", p.PID, p.Name, p.Unit)
			}
		case "container":
			if p.Container != "" && isContainer(o.Names["container"], p.Container) {
				return fmt.Sprintf("hangs on process %d (%s) in container %s, which would be stopped", p.PID, p.Name, p.Container)
			}
		case "process":
			if slices.ContainsFunc(strings.Split(o.Names["processes"], "\n"), func(print string) bool { return strings.HasPrefix(print, fmt.Sprintf("%d ", p.PID)) }) {
				return fmt.Sprintf("hangs on process %d (%s), which would be ended", p.PID, p.Name)
			}
		}
	}
	return ""
}

// isContainer compares the ids or names of containers, of which one may be cut short.
func isContainer(a, b string) bool {
	return a != "" && b != "" && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// isFlowOf says whether a step cuts the line's own flow: as package flow writes
// it, "tcp CLIENT -> ASKED (answered by SERVER)".
func isFlowOf(s *change.Step, line *host.Line) bool {
	o := s.Object()
	if s.Action != change.Cut || !line.There.IsValid() || !strings.HasPrefix(o.Text, line.Proto+" ") {
		return false
	}
	if line.Dialed {
		return strings.HasPrefix(o.Text, fmt.Sprintf("%s %s -> %s ", line.Proto, line.Here, line.There))
	}
	return strings.HasPrefix(o.Text, fmt.Sprintf("%s %s -> ", line.Proto, line.There)) &&
		strings.HasSuffix(o.Text, fmt.Sprintf("(answered by %s)", line.Here))
}

// answeredElse says who answers a line after the change, where that is certain
// and another than now.
func answeredElse(way host.Way) []string {
	if !way.Certain || way.Before == way.After {
		return nil
	}
	return []string{fmt.Sprintf("is answered by %s now, and after the change by %s", way.Before, way.After)}
}

// mayLose names what may carry a line and would be ended, where the walk of its
// packets is not certain: a session is soon cut, and hard to get back.
func mayLose(line *host.Line, rows []*host.Redirect, way host.Way) (out []string) {
	for _, r := range rows {
		if way.Seen && !(way.Certain && isRule(r)) && mayCarry(line, r, way) {
			out = append(out, fmt.Sprintf("may come through redirect %s, which would be ended", r.ID))
		}
	}
	return out
}

// endedIn are the redirects that a plan ends in one namespace, and the objects
// that go for them.
func (p *plan) endedIn(label string) (rows []*host.Redirect, gone []host.Ref) {
	for _, g := range p.groups {
		if g.space.Label != label {
			continue
		}
		ended := g.ended()
		for i, r := range g.rows {
			if ended[r.ID] {
				rows, gone = append(rows, r), append(gone, g.refs[i])
			}
		}
	}
	return rows, gone
}

// isRule says whether the walk knows what becomes without the redirect.
func isRule(r *host.Redirect) bool { return r.Mechanism == "rule" || r.Mechanism == "flow" }

// way asks the walk. Who cannot be asked knows nothing.
func (o Options) way(ctx context.Context, space Space, line *host.Line, gone []host.Ref) (way host.Way) {
	unknown := host.Way{Seen: !line.Placed || line.Netns == space.Label, Asked: line.Here}
	if line.Dialed {
		unknown.Asked = line.There
	}
	if o.Follow == nil {
		return unknown
	}
	err := space.within(ctx, func(ctx context.Context) (err error) {
		way, err = o.Follow(ctx, space.Label, line, gone)
		return err
	})
	if err != nil {
		return unknown
	}
	return way
}
