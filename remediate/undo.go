package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// undoTime bounds the undoing of a failed change.
const undoTime = 5 * time.Minute

// undo takes back what a failed change did, and answers with why it failed.
// It does not stop at Ctrl-C: half a change is worse than a late exit.
func (r *run) undo(cause error) (*Result, error) {
	ctx, stop := context.WithTimeout(context.Background(), undoTime)
	defer stop()
	var failures []string
	if err := r.note(rollback.Entry{Event: rollback.FailedWith, Group: -1, Why: cause.Error()}); err != nil {
		failures = append(failures, "the journal: "+err.Error())
	}
	bad := false
	for _, index := range slices.Backward(r.edited) {
		if err := r.undoGroup(ctx, index); err != nil {
			bad = true
			failures = append(failures, err.Error())
		}
	}
	r.result.show(r.planned, false)
	if bad {
		return r.result.failPlan(exitHalf, fmt.Errorf("%w; and undoing it failed: %s; `natwarden rollback %s` tries again",
			cause, strings.Join(failures, "; "), r.result.Change))
	}
	if err := r.note(rollback.Entry{Event: rollback.RolledBack, Group: -1}); err != nil {
		failures = append(failures, "the journal: "+err.Error())
	}
	if len(failures) > 0 {
		cause = fmt.Errorf("%w (%s)", cause, strings.Join(failures, "; "))
	}
	if len(r.edited) == 0 {
		return r.result.failPlan(exitFor(cause), fmt.Errorf("%w; nothing was changed", cause))
	}
	return r.result.failPlan(exitRolledBack, fmt.Errorf("%w; everything was rolled back", cause))
}

// undoGroup puts back what is missing of a group and proves it.
func (r *run) undoGroup(ctx context.Context, index int) error {
	g := r.planned.groups[index]
	if err := g.putBack(ctx); err != nil {
		return err
	}
	if ended := g.endedUnseen(ctx); len(ended) > 0 {
		return fmt.Errorf("%s and %d more: %s", where(ended[0].step), len(ended)-1, ended[0].why)
	}
	// The host is as it was; a journal that cannot say so is no reason to say otherwise.
	if err := r.note(rollback.Entry{Event: rollback.PutBack, Group: index}); err != nil {
		r.result.Notes = append(r.result.Notes, err.Error())
	}
	return nil
}

// putBack looks at what really happened (an error of an editor does not say)
// and puts back what is missing, until nothing is.
func (g *group) putBack(ctx context.Context) error {
	before := g.world.Places
	todo := unseen(before, g.steps)
	var err error
	for attempt, began := 0, time.Now(); worthwhile(attempt, began, err); attempt++ {
		world, readErr := g.read(ctx)
		if readErr != nil {
			err = readErr
			continue
		}
		gone := missing(before, world.Places, g.steps)
		if todo = append(todo, reversible(gone)...); len(todo) == 0 {
			return lost(gone)
		}
		again := inGaps(g.steps, inPlanOrder(g.steps, todo), before, world.Places)
		if err = g.send(ctx, change.Invert(again), world.Generation); err == nil {
			todo = nil
		} else {
			todo = unseen(before, g.steps)
		}
	}
	world, readErr := g.read(ctx)
	if err == nil && readErr == nil {
		return lost(missing(before, world.Places, g.steps))
	}
	return fmt.Errorf("%s: %w", g.label(), errors.Join(err, readErr))
}

// overtaken is how long the way back is tried while others go on writing. A
// transaction that comes too late has done nothing, and half a change is worse than waiting.
const overtaken = time.Minute

// worthwhile says whether the way back is tried once more.
func worthwhile(attempt int, began time.Time, err error) bool {
	return attempt < tries || errors.Is(err, change.ErrStale) && time.Since(began) < overtaken
}

// lost tells of steps that are still missing: those that the user accepted to
// be irreversible, or that the kernel took and does not show.
func lost(steps []change.Step) error {
	if len(steps) == 0 {
		return nil
	}
	return fmt.Errorf("%s and %d more are not back", where(steps[0]), len(steps)-1)
}

func reversible(steps []change.Step) []change.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s change.Step) bool { return !s.Reversible })
}

// unseen are the steps in places that a World does not show, because packets
// fill them: what is there now says nothing about what was done.
func unseen(before map[string][]string, steps []change.Step) []change.Step {
	return slices.DeleteFunc(reversible(steps), func(s change.Step) bool {
		_, seen := before[placeOf(s.Object())]
		return seen || s.Action == change.Cut
	})
}

// missing are the steps whose object stood there before and does not now. Of
// equal objects as many are missing as there are fewer of them.
func missing(before, now map[string][]string, steps []change.Step) []change.Step {
	lack := map[string]map[string]int{}
	var out []change.Step
	for _, s := range steps {
		if s.Before == nil || s.Action == change.Cut {
			continue
		}
		place := placeOf(s.Before)
		prints, seen := before[place]
		if !seen {
			continue
		}
		if lack[place] == nil {
			lack[place] = count(prints)
			for print, n := range count(now[place]) {
				lack[place][print] -= n
			}
		}
		if lack[place][s.Before.Fingerprint] > 0 {
			lack[place][s.Before.Fingerprint]--
			out = append(out, s)
		}
	}
	return out
}
