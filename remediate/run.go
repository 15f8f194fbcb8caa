package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/rollback"
)

// tries bounds how often a plan is made anew, or a way back is tried, though
// nothing tells that others change the host meanwhile.
const tries = 3

// Run ends the violations among rows that lie in spaces and that editors can
// end, and says what it did and what it left. The result is never nil and
// carries the exit code; the error says in words why it is 1, 4, 5, 7 or 75.
// With Options.DryRun it plans and proves the same steps and changes nothing.
func Run(ctx context.Context, rows []host.Redirect, blind []host.Blind, spaces []Space, editors []change.Editor, o Options) (*Result, error) {
	r := &run{rows: rows, spaces: spaces, editors: editors, o: o.withDefaults(), result: newResult(blind), ended: func(*Result, error) {}}
	r.patience = patience(r.o.Patience)
	defer r.listen(ctx)()
	err := r.take(o.Exactly)
	if err == nil {
		err = r.plan(ctx)
	}
	if err != nil {
		err = r.blame(err)
		return r.result.fail(exitFor(err), err)
	}
	if o.DryRun {
		r.result.Smoke = r.o.Smoke.listed()
		err := r.rehearse(ctx)
		return r.result.planned(r.planned).warned(r.o.guarded(ctx, r.planned), err), nil
	}
	if r.planned.refused {
		return r.result.planned(r.planned).failPlan(exitRefused, errRefused)
	}
	if err := r.refuseGuarded(ctx); err != nil {
		return r.result.planned(r.planned).failPlan(exitRefused, err)
	}
	if len(r.planned.groups) == 0 {
		return r.result.planned(r.planned), nil
	}
	return r.carryOut(ctx)
}

var errRefused = errors.New("refused: what was planned could not be proven to be reversible, and nothing was changed; --irreversible goes on all the same")

// run is one run of remediate.
type run struct {
	rows    []host.Redirect
	spaces  []Space
	editors []change.Editor
	o       Options
	result  *Result
	planned *plan

	store     *rollback.Store
	journal   *rollback.Journal
	origin    rollback.Origin
	wait      *rollback.Wait             // for the confirmation; nil where none is wanted
	heard     map[string]Witness         // by label: who else changes rules
	listening map[string][]host.Listener // by label, before the change
	ended     func(*Result, error)       // writes the end into the action log
	patience  patience
	edited    []int // indices of the groups that may have been edited, in order
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Patience == 0 {
		o.Patience = usualPatience
	}
	return o
}

// plan makes the plan, again where the host changes meanwhile. Where none can
// be made the one before stands, to be told.
func (r *run) plan(ctx context.Context) error {
	var made *plan
	err := r.patience.try(ctx, func() (err error) {
		made, err = makePlan(ctx, r.rows, r.spaces, r.editors, r.o)
		return err
	})
	if err == nil && r.o.Exactly != nil {
		err = r.o.Exactly.match(made)
	}
	if err == nil {
		r.planned = made
	}
	return err
}

// take makes a run carry out a plan that was made before.
func (r *run) take(f *PlanFile) error {
	if f == nil {
		return nil
	}
	if err := f.fits(r.spaces, r.o); err != nil {
		return err
	}
	r.o.Only, r.o.Include, r.o.Irreversible = f.IDs(), f.Include, f.Irreversible
	return f.vanished(func(id string) bool {
		return slices.ContainsFunc(r.rows, func(row host.Redirect) bool { return row.ID == id })
	})
}

// carryOut changes the host: lock, look again, snapshot, journal, edit, cut,
// verify. Whatever fails after the first edit is undone.
func (r *run) carryOut(ctx context.Context) (result *Result, err error) {
	defer func() { r.ended(result, err) }()
	if r.store, err = rollback.Create(r.o.StateDir); err != nil {
		return r.result.planned(r.planned).failPlan(exitFor(err), err)
	}
	defer r.store.Close()
	lock, err := r.store.Lock(r.o.Now())
	if err != nil {
		return r.result.planned(r.planned).failPlan(exitFor(err), err)
	}
	defer lock.Release()
	if err := r.alone(); err != nil {
		return r.result.planned(r.planned).failPlan(exitFor(err), err)
	}
	if err := r.tryBefore(ctx); err != nil {
		return r.result.planned(r.planned).failPlan(exitFor(err), err)
	}
	if err := r.blame(r.lookAgain(ctx)); err != nil {
		return r.result.planned(r.planned).failPlan(exitFor(err), err)
	}
	if err := r.rehearse(ctx); err != nil {
		return r.result.planned(r.planned).failPlan(exitRefused, err)
	}
	if err := r.stillOpen(ctx); err != nil {
		return r.result.planned(r.planned).failPlan(exitRefused, err)
	}
	if err := r.begin(ctx); err != nil {
		return r.result.planned(r.planned).failPlan(exitError, err)
	}
	defer r.journal.Close()
	if err := r.change(ctx); err != nil {
		defer r.tryRestored(ctx)
		return r.undo(r.blame(err))
	}
	return r.result.carriedOut(r.planned).pending(r.wait), nil
}

// alone refuses to begin a change while another one is not finished: what the
// plan was made from is then neither before nor after. Recover comes first.
func (r *run) alone() error {
	open, err := r.store.Unfinished()
	if err == nil && len(open) > 0 && open[0].Stage() == rollback.Waiting {
		return &WaitingError{open[0].ID, open[0].Wait().Until}
	}
	if err == nil && len(open) > 0 {
		err = fmt.Errorf("change %s is not finished: natwarden recover ends it", open[0].ID)
	}
	return err
}

// lookAgain compares the host with the plan, under the lock. Where others
// changed it, the plan is made anew, a bounded number of times. A fresh plan whose
// transaction a generation or a lock guards need not be compared again: on a host
// where somebody writes all the time it never would hold.
func (r *run) lookAgain(ctx context.Context) error {
	var err error
	for range tries {
		if err = r.compare(ctx); !errors.Is(err, change.ErrStale) {
			return err
		}
		var stale *staleError
		guarded := errors.As(err, &stale) && stale.guarded
		if again := r.plan(ctx); again != nil {
			return fmt.Errorf("%w (planning anew: %w)", err, again)
		}
		if r.planned.refused {
			return errRefused
		}
		if err := r.refuseGuarded(ctx); err != nil || guarded {
			return err
		}
	}
	return err
}

// begin takes the snapshot and writes the plan, before the first change.
func (r *run) begin(ctx context.Context) error {
	var err error
	r.listening = map[string][]host.Listener{}
	var ids []rollback.Netns
	for _, s := range r.planned.spaces() {
		id, err := s.identity()
		if err != nil {
			return err
		}
		ids = append(ids, id)
		if r.listening[s.Label], err = s.listeners(ctx, r.o); err != nil {
			return err
		}
	}
	if r.origin, err = rollback.Here(r.o.Version, r.o.Now(), ids); err != nil {
		return err
	}
	if r.result.Snapshot, err = r.snapshot(); err != nil {
		return err
	}
	id, err := r.store.NewChangeID(r.o.Now())
	if err != nil {
		return err
	}
	record := r.planned.record(id, r.result.Snapshot, r.origin)
	if err := r.logged(record); err != nil {
		return err
	}
	r.journal, err = r.store.Begin(record, r.o.Now())
	if err == nil {
		r.result.Change = id
	}
	return err
}

// logged writes down in the action log that the change begins: without that it
// does not.
func (r *run) logged(p rollback.Plan) error {
	sum, err := p.SHA256()
	if err != nil {
		return err
	}
	r.ended, err = r.o.log(Action{"remediate", p.Change, p.Snapshot, sum})
	if err != nil {
		err = fmt.Errorf("nothing was changed: %w", err)
	}
	return err
}

// change carries out the plan and verifies it.
func (r *run) change(ctx context.Context) error {
	if err := r.remember(); err != nil {
		return err
	}
	if err := r.guard(); err != nil {
		return err
	}
	if err := r.stillOpen(ctx); err != nil {
		return err
	}
	r.patience = patience(r.o.Patience)
	for i := range r.planned.groups {
		if err := r.edit(ctx, i); err != nil {
			return err
		}
	}
	for i := range r.planned.cuts {
		if err := r.cut(ctx, &r.planned.cuts[i]); err != nil {
			return err
		}
	}
	if err := r.verify(ctx); err != nil {
		return err
	}
	if err := r.tryAfter(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	if err := r.keep(); err != nil {
		return err
	}
	r.settle(ctx)
	return nil
}

// guard starts the watchdog of a change that is to be confirmed.
func (r *run) guard() error {
	if r.o.ConfirmWithin <= 0 {
		return nil
	}
	if r.o.Watchdog == nil {
		return errors.New("nothing here can watch over a change that is to be confirmed")
	}
	if err := r.o.Watchdog(r.result.Change, r.store.Path()); err != nil {
		return fmt.Errorf("starting the watchdog that would roll the change back: %w", err)
	}
	return nil
}

// keep writes down that the change is verified, and in the same line until when
// it is to be confirmed: there is no moment in which it would stay by mistake.
func (r *run) keep() (err error) {
	if r.o.ConfirmWithin > 0 {
		if r.wait, err = rollback.NewWait(r.o.ConfirmWithin, r.o.Now()); err != nil {
			return err
		}
	}
	return r.note(rollback.Entry{Event: rollback.Verified, Group: -1, Wait: r.wait})
}

// note writes a line of the journal.
func (r *run) note(e rollback.Entry) error {
	e.Time = r.o.Now()
	return r.journal.Write(e)
}
