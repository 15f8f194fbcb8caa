package remediate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/change"
)

// Witness hears who changes rules while natwarden waits.
type Witness interface {
	// Changers names the other processes that wrote since it began.
	Changers() []string
	Close() error
}

// settle waits a moment after a change that was verified and looks again: a
// redirect that somebody puts back has not been ended, and is reported with who did it.
// Where nobody else lives in the namespace there is nobody to wait for.
func (r *run) settle(ctx context.Context) {
	var waiting []*group
	for _, g := range r.planned.groups {
		if r.o.Settle > 0 && !r.aloneIn(ctx, g.space) {
			waiting = append(waiting, g)
		}
	}
	if len(waiting) == 0 {
		return
	}
	witnesses := r.witness(ctx, waiting)
	defer func() {
		for _, w := range witnesses {
			_ = w.Close()
		}
	}()
	select {
	case <-time.After(r.o.Settle):
	case <-ctx.Done(): // the change is done and verified: it stands
		return
	}
	for _, g := range waiting {
		r.returned(ctx, g, witnesses[g.space.Label])
	}
}

func (r *run) aloneIn(ctx context.Context, s Space) (alone bool) {
	if r.o.Alone == nil {
		return false
	}
	err := s.within(ctx, func(ctx context.Context) error { alone = r.o.Alone(ctx); return nil })
	return err == nil && alone
}

// witness opens one witness for each namespace. Without one it is not said who
// put a redirect back, but that somebody did still is.
func (r *run) witness(ctx context.Context, groups []*group) map[string]Witness {
	out := map[string]Witness{}
	for _, g := range groups {
		if _, ok := out[g.space.Label]; ok || r.o.Witness == nil {
			continue
		}
		_ = g.space.within(ctx, func(context.Context) error {
			if w, err := r.o.Witness(); err == nil {
				out[g.space.Label] = w
			}
			return nil
		})
	}
	return out
}

// returned notes which of a group's redirects are there again.
func (r *run) returned(ctx context.Context, g *group, w Witness) {
	world, err := g.read(ctx)
	if err != nil {
		r.planned.notes = append(r.planned.notes, "whether it stays ended could not be seen: "+err.Error())
		return
	}
	want := expected(g.world.Places, g.steps)
	for _, s := range g.steps {
		if !isBack(s, want, world.Places) {
			continue
		}
		for _, id := range s.IDs {
			r.planned.left = append(r.planned.left, Left{id, r.backWords(w)})
		}
	}
}

func (r *run) backWords(w Witness) string {
	why := fmt.Sprintf("it came back within %s of its removal", r.o.Settle)
	if w == nil {
		return why
	}
	if by := w.Changers(); len(by) > 0 {
		return why + ": put back by " + strings.Join(by[:min(len(by), 3)], ", ") + "; stop that first"
	}
	return why + "; find and stop what puts it back first"
}

// isBack says whether what a step deleted stands more often than it should.
func isBack(s change.Step, want, got map[string][]string) bool {
	if s.Before == nil || s.Action == change.Cut {
		return false
	}
	place, print := placeOf(s.Before), s.Before.Fingerprint
	return count(got[place])[print] > count(want[place])[print]
}
