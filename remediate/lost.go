package remediate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/rollback"
)

// remember writes down in words what the change takes away, for a person who
// has neither journal nor snapshot any more.
func (r *run) remember() error {
	l := rollback.Last{Change: r.result.Change, Snapshot: r.result.Snapshot, Origin: r.origin}
	for _, g := range r.planned.groups {
		for i, s := range describeAll(g.steps) {
			l.Steps = append(l.Steps, rollback.LastStep{IDs: s.IDs, Action: s.Action, Object: s.Object, Text: s.Before, Place: g.steps[i].Place.Index})
		}
	}
	return r.store.Remember(l)
}

// LostError says that the journal of a change is gone or damaged, so that no
// rollback can be made of it, and what is known of it all the same.
type LostError struct {
	Change string
	Cause  error
	Known  *rollback.Last // nil: nothing
	Kept   bool           // its snapshot is there, whole
	Dir    string
}

// mostKnown bounds how many rules an error lists.
const mostKnown = 50

// Error says what is gone, what is left of it, and what the change took away.
func (e *LostError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "change %s cannot be rolled back: %v", e.Change, e.Cause)
	if e.Known == nil {
		b.WriteString("; nothing else tells what it took away")
		return b.String()
	}
	if e.Kept {
		fmt.Fprintf(&b, "; its snapshot is whole: natwarden snapshot show %s lists the rules of before", e.Known.Snapshot)
	} else {
		fmt.Fprintf(&b, "; its snapshot %s is gone or damaged too", e.Known.Snapshot)
	}
	fmt.Fprintf(&b, "\nwhat it took away, as %s/last-plan.json has it, to be typed again:", e.Dir)
	for i, s := range e.Known.Steps {
		if i == mostKnown {
			fmt.Fprintf(&b, "\n  … and %d more", len(e.Known.Steps)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s %s, place %d: %s", s.Action, s.Object, s.Place, s.Text)
	}
	return b.String()
}

// Unwrap gives why the journal cannot be read.
func (e *LostError) Unwrap() error { return e.Cause }

var errGone = errors.New("its journal is gone from the state directory")

// load reads a change by its id, or the newest one. One of which only the last
// plan knows is a *LostError: never is the one before it taken in its stead.
func (b *back) load(id string) (*rollback.Change, error) {
	known, unread := b.store.Last()
	c, err := b.loadKept(id)
	switch {
	case err == nil && known != nil && id == "" && c.ID < known.Change:
		return nil, b.lost(known.Change, errGone, known)
	case err == nil && id == "":
		return b.past(c)
	case err == nil:
		return c, nil
	case errors.Is(err, rollback.ErrUnknownID) && known != nil && strings.HasPrefix(known.Change, id):
		return nil, b.lost(known.Change, errGone, known)
	case errors.Is(err, rollback.ErrUnknownID):
		return nil, errors.Join(err, unread)
	}
	return nil, b.lost(b.named(id), err, known)
}

func (b *back) loadKept(id string) (*rollback.Change, error) {
	if id == "" {
		return b.store.Newest()
	}
	return b.store.Load(id)
}

// named completes the id of a change whose journal cannot be read.
func (b *back) named(id string) string {
	ids, err := b.store.Changes()
	if err != nil || len(ids) == 0 {
		return id
	}
	if id == "" {
		return ids[len(ids)-1]
	}
	for _, full := range ids {
		if strings.HasPrefix(full, id) {
			return full
		}
	}
	return id
}

// lost gathers what is known of a change without a journal.
func (b *back) lost(id string, cause error, known *rollback.Last) error {
	e := &LostError{Change: id, Cause: cause, Dir: b.store.Path()}
	if known == nil || known.Change != id {
		return e
	}
	e.Known = known
	damage, err := b.store.Verify(known.Snapshot)
	e.Kept = err == nil && len(damage) == 0
	return e
}
