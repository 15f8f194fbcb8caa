package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
)

// mostHeard bounds the namespaces in which a run listens for others.
const mostHeard = 16

// listen begins to hear who else changes rules, in the namespaces of the rows,
// before the first reading: so a refusal can say who made the plan stale. What is
// returned ends it.
func (r *run) listen(ctx context.Context) (stop func()) {
	r.heard = map[string]Witness{}
	for i := range r.rows {
		label := r.rows[i].Netns
		at := slices.IndexFunc(r.spaces, func(s Space) bool { return s.Label == label })
		if _, known := r.heard[label]; known || at < 0 || r.o.Witness == nil || len(r.heard) == mostHeard {
			continue
		}
		_ = r.spaces[at].within(ctx, func(context.Context) error {
			if w, err := r.o.Witness(); err == nil {
				r.heard[label] = w
			}
			return nil
		})
	}
	return func() {
		for _, w := range r.heard {
			_ = w.Close()
		}
	}
}

// changers names who else changed rules since the run began, at most a few.
func (r *run) changers() string {
	var out []string
	for _, w := range r.heard {
		for _, by := range w.Changers() {
			if !slices.Contains(out, by) {
				out = append(out, by)
			}
		}
	}
	slices.Sort(out)
	if len(out) > 3 {
		out = append(out[:3:3], "others")
	}
	return strings.Join(out, ", ")
}

// blame adds to the error of a stale plan who changed the rules, where the
// kernel told.
func (r *run) blame(err error) error {
	if !errors.Is(err, change.ErrStale) {
		return err
	}
	if by := r.changers(); by != "" {
		return fmt.Errorf("%w; the rules were changed meanwhile by %s: try again when that is done", err, by)
	}
	if r.o.Exactly != nil { // it may have changed any time since the plan was made
		return err
	}
	return fmt.Errorf("%w; somebody else changes the rules: try again when that is done", err)
}

// meanwhile names who else wrote, for the error of a change whose outcome is not
// as planned; "" where nobody was heard.
func (r *run) meanwhile() string {
	if by := r.changers(); by != "" {
		return "; the rules were changed meanwhile by " + by
	}
	return ""
}

// overtaken says who wrote after the group's transaction, where two things tell:
// the kernel counted more commits than ours, and named another process. What is
// otherwise than planned is theirs then: the transaction took exactly its steps, from
// exactly the world that was read. x_tables counts nothing and names nobody: there
// the lock keeps others away.
func (r *run) overtaken(g *group, now *change.World) string {
	if g.world.Generation == 0 || now.Generation-g.world.Generation < 2 {
		return ""
	}
	return r.changers()
}

// besides tells what others changed right after the transaction, and which of
// the planned objects are there again.
func (r *run) besides(g *group, now *change.World, by string, what []string) {
	r.planned.notes = append(r.planned.notes, fmt.Sprintf("meanwhile %s changed %s, which is left as it is: %s", by, g.label(), strings.Join(what[:min(len(what), 4)], "; ")))
	want := expected(g.world.Places, g.steps)
	for _, s := range g.steps {
		if isBack(s, want, now.Places) {
			for _, id := range s.IDs {
				r.planned.leaveOnce(id, "it came back right after its removal: put back by "+by+"; stop that first")
			}
		}
	}
}
