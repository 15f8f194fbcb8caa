package remediate

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/rollback"
)

func newResult(blind []host.Blind) *Result {
	return &Result{
		SchemaVersion: 1, Status: Nothing,
		Steps: []Step{}, Left: []Left{}, Blind: append([]host.Blind{}, blind...), Guards: []Guarded{},
	}
}

// exitFor maps an error that came before any change to its exit code.
func exitFor(err error) int {
	var busy *rollback.BusyError
	var waiting *WaitingError
	switch {
	case errors.As(err, &busy), errors.As(err, &waiting), errors.Is(err, change.ErrBusy):
		return exitBusy
	case errors.Is(err, change.ErrStale), errors.Is(err, errForeign), errors.Is(err, errGuarded), errors.Is(err, errRefused):
		return exitRefused
	case errors.Is(err, fs.ErrPermission):
		return exitPrivilege
	}
	return exitError
}

// fail ends a result with an error.
func (r *Result) fail(code int, err error) (*Result, error) {
	r.ExitCode = code
	switch code {
	case exitRefused:
		r.Status = Refused
	case exitRolledBack, exitExpired:
		r.Status = RolledBack
	default:
		r.Status = Failed
	}
	return r, err
}

// failPlan ends a result whose plan was not carried out, or was taken back:
// what it was to end remains.
func (r *Result) failPlan(code int, err error) (*Result, error) {
	left := map[string]bool{}
	for _, l := range r.Left {
		left[l.ID] = true
	}
	for _, s := range r.Steps {
		for _, id := range s.IDs {
			if !left[id] && !s.Done {
				left[id] = true
				r.Left = append(r.Left, Left{id, "it was not ended: " + err.Error()})
			}
		}
	}
	return r.fail(code, err)
}

// planned is the result of a plan that is not carried out.
func (r *Result) planned(p *plan) *Result {
	r.show(p, false)
	r.plan = p
	r.Status, r.ExitCode = Nothing, r.remains()
	if len(r.Steps) > 0 {
		r.Status, r.ExitCode = Pending, exitViolations
	}
	if p.refused {
		r.Status, r.ExitCode = Refused, exitViolations
	}
	return r
}

// warned adds why a planned change would be refused: by guards, or by its rehearsal.
func (r *Result) warned(guards []Guarded, rehearsal error) *Result {
	r.Guards = guards
	if rehearsal != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("would be refused (exit code %d): %v", exitRefused, rehearsal))
	}
	for _, g := range guards {
		r.Notes = append(r.Notes, fmt.Sprintf("would be refused (exit code %d): %s", g.ExitCode, g))
	}
	return r
}

// Refuse makes the result of a dry run that guards refuse the refusal itself.
func (r *Result) Refuse() (*Result, error) {
	return r.planned(r.plan).failPlan(exitRefused, guardedError(r.Guards))
}

// carriedOut is the result of a plan that is done and verified.
func (r *Result) carriedOut(p *plan) *Result {
	r.show(p, true)
	r.Status, r.ExitCode = Done, r.remains()
	return r
}

// pending marks a change that is done and waits for its confirmation.
func (r *Result) pending(w *rollback.Wait) *Result {
	if w != nil {
		r.Status, r.ExitCode, r.Until = Pending, exitOK, &w.Until
	}
	return r
}

// remains is the exit code for what a run leaves behind: a violation weighs
// more than what could not be read.
func (r *Result) remains() int {
	switch {
	case len(r.Left) > 0:
		return exitViolations
	case len(r.Blind) > 0:
		return exitIncomplete
	}
	return exitOK
}

// SeenAgain takes over what the host showed when it was read again after a
// change that was made without seeing all of it: what cannot be read now, and the violations that
// were hidden and so not ended. They are left, and the exit code says so.
func (r *Result) SeenAgain(rows []host.Redirect, blind []host.Blind) {
	known := map[string]bool{}
	for _, l := range r.Left {
		known[l.ID] = true
	}
	for _, row := range rows {
		if row.Verdict == host.Violation && !known[row.ID] {
			r.Left = append(r.Left, Left{row.ID, "it could not be seen before the change: run natwarden remediate again"})
		}
	}
	r.Blind = append([]host.Blind{}, blind...)
	if r.Status != Pending {
		r.ExitCode = r.remains()
	}
}

// show fills in a plan's steps and what it leaves.
func (r *Result) show(p *plan, done bool) {
	r.Steps = p.shown()
	for i := range r.Steps {
		r.Steps[i].Done = done || r.Steps[i].Done
	}
	r.Left = append([]Left{}, p.left...)
	r.Notes = append(append([]string{}, p.notes...), p.sideEffects()...)
	r.Notes = append(r.Notes, r.failedBefore()...)
	r.Notes = append(r.Notes, r.Rehearsal.words()...)
}

// shown are the steps as they are shown and written down: exactly those that
// are sent. Of the flows those that were found last.
func (p *plan) shown() []Step {
	out := []Step{}
	for _, g := range p.groups {
		out = append(out, describeAll(g.steps)...)
	}
	for _, c := range p.cuts {
		for i, s := range c.steps {
			shown := describe(s)
			shown.Done = c.done[i]
			out = append(out, shown)
		}
	}
	return out
}

// join adds what was done about another change.
func (r *Result) join(other *Result) {
	r.Steps, r.Left = append(r.Steps, other.Steps...), append(r.Left, other.Left...)
	r.Notes = append(r.Notes, other.Notes...)
	r.Change, r.Snapshot = other.Change, other.Snapshot
	if other.Status != Nothing || r.Status == Nothing {
		r.Status = other.Status
	}
	r.ExitCode = r.remains()
}
