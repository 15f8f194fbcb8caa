package remediate

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// spaces are the namespaces that the plan changes, once each.
func (p *plan) spaces() []Space {
	var out []Space
	for _, g := range p.groups {
		if !slices.ContainsFunc(out, func(s Space) bool { return s.Label == g.space.Label }) {
			out = append(out, g.space)
		}
	}
	return out
}

// record is the plan as the journal keeps it.
func (p *plan) record(id, snapshot string, origin rollback.Origin) rollback.Plan {
	out := rollback.Plan{Change: id, Snapshot: snapshot, Origin: origin}
	for _, g := range p.groups {
		g.written = g.record()
		out.Groups = append(out.Groups, g.written)
	}
	return out
}

func (g *group) record() rollback.Group {
	return rollback.Group{
		Netns:      g.space.Label,
		Backend:    g.editor.Backend(),
		Generation: g.world.Generation,
		Steps:      g.steps,
		Before:     touched(g.world.Places, g.steps),
	}
}

// touched are the places that steps change.
func touched(places map[string][]string, steps []change.Step) map[string][]string {
	out := map[string][]string{}
	for place := range byPlace(steps) {
		if prints, known := places[place]; known {
			out[place] = prints
		}
	}
	return out
}

// snapshot keeps the whole of every subsystem concerned, the sockets, the
// policy and the plan.
func (r *run) snapshot() (string, error) {
	files := map[string][]byte{}
	var scope []rollback.Scope
	for _, g := range r.planned.groups {
		scope = append(scope, rollback.Scope{Netns: g.space.Label, Backend: g.editor.Backend()})
		for file, data := range g.world.AllFiles() {
			files[rollback.SpaceFile(g.space.Label, g.editor.Backend(), file)] = data
		}
	}
	for label, listeners := range r.listening {
		if listeners == nil {
			continue
		}
		data, err := json.MarshalIndent(listeners, "", " ")
		if err != nil {
			return "", fmt.Errorf("writing down the sockets: %w", err)
		}
		files[rollback.SpaceFile(label, "sockets", "json")] = data
	}
	if r.o.Policy != nil {
		files["policy.yaml"] = r.o.Policy
	}
	steps, err := json.MarshalIndent(r.planned.shown(), "", " ")
	if err != nil {
		return "", fmt.Errorf("writing down the plan: %w", err)
	}
	files["plan.json"] = steps
	if files[rollback.ScopeName], err = rollback.WriteScope(scope); err != nil {
		return "", err
	}
	return r.store.Take(r.origin, files)
}
