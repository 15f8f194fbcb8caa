package edit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// Edit carries the steps out under the lock of iptables-legacy: it reads the
// tables anew, changes them in memory and replaces each in one step. Where a
// later table fails, those before are put back. x_tables has no generation.
func (e *editor) Edit(ctx context.Context, _ uint32, steps []change.Step) (change.Outcome, error) {
	if len(steps) == 0 {
		return change.Outcome{}, nil
	}
	_, release, err := e.Hold(ctx)
	if err != nil {
		return change.Outcome{}, err
	}
	defer release()
	w, err := look(ctx)
	if err != nil {
		return change.Outcome{}, err
	}
	if isTables(steps) {
		return w.restore(ctx, steps)
	}
	j := newJob(w.tables, w.broken)
	defer j.sets.close()
	j.run(steps)
	if len(j.stale) > 0 {
		return change.Outcome{}, j.staleError()
	}
	out := change.Outcome{Notes: j.notes, Undone: j.undone}
	moves, err := w.moves(j)
	if err == nil {
		var notes []string
		notes, err = commit(moves)
		out.Notes = append(out.Notes, notes...)
	}
	return out, err
}

// staleError names the first step whose object is not there as it was.
func (j *job) staleError() error {
	first := -1
	for i := range j.stale {
		if first < 0 || i < first {
			first = i
		}
	}
	return fmt.Errorf("%s (%d in all): %w", j.stale[first], len(j.stale), change.ErrStale)
}

// move is one table as it is and as it is to be.
type move struct{ now, next *built }

func (w *world) moves(j *job) ([]move, error) {
	var moves []move
	for _, key := range j.touched {
		now, err := w.tables[key].build()
		if err != nil {
			return nil, err
		}
		next, err := j.tables[key].build()
		if err != nil {
			return nil, err
		}
		moves = append(moves, move{now, next})
	}
	return moves, nil
}

// commit replaces the tables in turn; all or none.
func commit(moves []move) (notes []string, err error) {
	sockets := map[host.Family]*xtables.Socket{}
	defer func() {
		for _, s := range sockets {
			s.Close()
		}
	}()
	for i, m := range moves {
		s := sockets[m.now.Family]
		if s == nil {
			if s, err = xtables.OpenSocket(m.now.Family); err != nil {
				return notes, putBack(sockets, moves[:i], err)
			}
			sockets[m.now.Family] = s
		}
		if err := replace(s, m.now, m.next); err != nil {
			return notes, putBack(sockets, moves[:i], stale(i, err))
		}
		if err := addCounters(s, m.next); err != nil {
			notes = append(notes, "counters not restored: "+err.Error())
		}
	}
	return notes, nil
}

// stale reads EAGAIN of the first table: the kernel has another number of
// entries than was read, so somebody wrote the table without the lock.
func stale(i int, err error) error {
	if i == 0 && errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("%w: %w", err, change.ErrStale)
	}
	return err
}

// putBack undoes the replacements that were made before one failed.
func putBack(sockets map[host.Family]*xtables.Socket, made []move, cause error) error {
	for _, m := range slices.Backward(made) {
		s := sockets[m.now.Family]
		if err := replace(s, m.next, m.now); err != nil {
			cause = fmt.Errorf("%w; putting %s table %s back failed as well: %w", cause, m.now.Family, m.now.Name, err)
			continue
		}
		if err := addCounters(s, m.now); err != nil {
			cause = fmt.Errorf("%w; %s table %s is back without its counters: %w", cause, m.now.Family, m.now.Name, err)
		}
	}
	return cause
}
