package remediate

import (
	"context"

	"github.com/natwarden/natwarden/internal/change"
)

// finality is a step that --irreversible let through and that cannot be taken back.
type finality struct {
	step change.Step
	why  string
}

// finished are the steps of a group that --irreversible let through and that were
// carried out: a change that was interrupted may not have come that far. now are
// the places as they were read last.
func (g *group) finished(ctx context.Context, now map[string][]string) (out []finality) {
	for _, s := range missing(g.world.Places, now, g.steps) {
		if !s.Reversible {
			out = append(out, finality{s, removedForGood})
		}
	}
	return append(out, g.endedUnseen(ctx)...)
}

const removedForGood = "it was removed with --irreversible"

// endedUnseen are those of the steps whose object no place shows: the editor is
// asked. Where it cannot tell, the object counts as gone.
func (g *group) endedUnseen(ctx context.Context) (out []finality) {
	for _, s := range g.steps {
		_, shown := g.world.Places[placeOf(s.Object())]
		if shown || s.Reversible || s.Before == nil || s.Action == change.Cut {
			continue
		}
		stands, err := g.stands(ctx, s.Before)
		switch {
		case err != nil:
			out = append(out, finality{s, "it may have been removed with --irreversible: " + err.Error()})
		case !stands:
			out = append(out, finality{s, removedForGood})
		}
	}
	return out
}

// stands asks the editor whether an object is there still.
func (g *group) stands(ctx context.Context, o *change.Object) (stands bool, err error) {
	seer, sees := g.editor.(change.Seer)
	if !sees {
		return false, nil
	}
	err = g.space.within(ctx, func(ctx context.Context) error {
		stands, err = seer.Stands(ctx, *o)
		return err
	})
	return stands, err
}
