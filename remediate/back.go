package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// Rollback puts back what a change took away. id is a change id or an
// unambiguous beginning of one; "" is the newest change. If that is rolled back
// already it does nothing: never the one before, which would open yesterday's
// hole. The steps carry the ids of the redirects that come back. What could not be put back
// stands in Left. The result is never nil and carries the exit code; the error says in words why it is 1, 7 or 75.
func Rollback(ctx context.Context, id string, resolve Resolve, editors []change.Editor, o Options) (*Result, error) {
	b := &back{resolve: resolve, editors: editors, o: o.withDefaults(), result: newResult(nil)}
	defer b.close()
	there, err := b.open(id)
	if err == nil && there {
		err = b.others(ctx)
	}
	if err != nil {
		return b.result.fail(exitFor(err), err)
	}
	if !there || b.change.IsRolledBack() && !(b.o.Full && id != "") {
		return b.result, nil
	}
	if err := b.foreign(); err != nil {
		return b.result.fail(exitFor(err), err)
	}
	if b.o.Full {
		return b.full(ctx)
	}
	if err := b.prepare(ctx); err != nil {
		return b.result.fail(exitFor(err), err)
	}
	if len(b.groups) == 0 && len(b.result.Left) > 0 {
		return b.result.fail(exitRefused, errors.New("refused: nothing of the change can be put back from here: "+b.result.Left[0].Why))
	}
	if o.DryRun {
		return b.planned(), nil
	}
	return b.carryOut(ctx)
}

// back is one rollback.
type back struct {
	resolve Resolve
	editors []change.Editor
	o       Options
	result  *Result

	store   *rollback.Store
	lock    *rollback.Lock
	journal *rollback.Journal
	here    rollback.Origin
	change  *rollback.Change
	groups  []*backGroup
	partly  bool // something was not put back that another try may put back
	unread  bool // whether something was put back could not be read
	waits   bool // something is left to the next recovery
	// elsewhere: the change was made in the namespace where natwarden was started
	// then, and that is not the one of now.
	elsewhere bool
	// recovering: nobody asked for this rollback. Where it fails, its journal stays
	// open, so that the next run tries again.
	recovering bool
}

// errForeign says that a change is not for this host or namespace to undo.
var errForeign = errors.New("refused")

// foreign refuses a change of another host.
func (b *back) foreign() error {
	if b.change.Plan.Origin.SameHost(b.here) {
		return nil
	}
	return fmt.Errorf("%w: change %s was made on host %s, this is %s", errForeign, b.change.ID, b.change.Plan.Origin.Host, b.here.Host)
}

// backGroup is a group of the change with what is to be put back of it.
type backGroup struct {
	*group
	index   int
	steps   []change.Step       // inverted, in the order to run them
	now     map[string][]string // the places as they were read last
	done    map[int]bool
	refused map[int]string // steps that the editor's check refused, by index in steps
	final   []finality     // that nothing brings back
	others  []change.Step  // of whole tables: those that somebody changed since
}

// open reads the change; false where there is none.
func (b *back) open(id string) (there bool, err error) {
	there, err = b.openStore()
	if !there && err == nil && id != "" {
		_, err = rollback.Open(b.o.StateDir) // why there is none
	}
	if !there || err != nil {
		return false, err
	}
	b.change, err = b.load(id)
	if errors.Is(err, rollback.ErrUnknownID) && id == "" {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	b.result.Change, b.result.Snapshot = b.change.ID, b.change.Plan.Snapshot
	return true, nil
}

// openStore opens the state directory and takes its lock; false where there is
// none. A dry run takes no lock: it writes nothing.
func (b *back) openStore() (there bool, err error) {
	if b.here, err = rollback.Here(b.o.Version, b.o.Now(), nil); err != nil {
		return false, err
	}
	b.store, err = rollback.Open(b.o.StateDir)
	if errors.Is(err, rollback.ErrNoState) {
		return false, nil
	}
	if err == nil && !b.o.DryRun {
		b.lock, err = b.store.Lock(b.o.Now())
	}
	return err == nil, err
}

// others ends the unfinished changes beside the one that is asked for, which
// is undone anyway.
func (b *back) others(ctx context.Context) error {
	if b.o.DryRun {
		return nil
	}
	open, damaged := b.store.Unfinished()
	if damaged != nil { // no reason to keep back what can be put back
		b.say(damaged.Error())
	}
	again := false
	for _, c := range open {
		full := c.Plan.Restores != "" // it must end before the change that it restores
		if c.ID == b.change.ID && !full {
			continue
		}
		again = again || c.ID == b.change.ID
		if err := b.recover(ctx, c); err != nil {
			return err
		}
	}
	b.result.Change, b.result.Snapshot = b.change.ID, b.change.Plan.Snapshot
	if !again {
		return nil
	}
	c, err := b.store.Load(b.change.ID)
	if err == nil {
		b.change = c
	}
	return err
}

func (b *back) close() {
	b.letGo()
	if b.lock != nil {
		_ = b.lock.Release() // ends with the process at the latest
	}
	if b.store != nil {
		_ = b.store.Close()
	}
}

// letGo lets go of what belongs to one change.
func (b *back) letGo() {
	for _, g := range b.groups {
		g.space.close()
	}
	if b.journal != nil {
		_ = b.journal.Close() // every line of it is on the disk already
	}
}

// prepare finds out, for every group that was begun, what is missing on the
// host, and has the editors prove that it can be put back.
func (b *back) prepare(ctx context.Context) error {
	if b.change.Torn {
		b.say("the journal's last line is torn: natwarden or the host stopped in the middle; what really happened is read from the host")
	}
	if b.restarted() {
		b.say("the host restarted since the change: what is missing is put back by its content")
	}
	groups, indices := b.change.Begun()
	for i, g := range groups {
		if err := b.prepareGroup(ctx, g, indices[i]); err != nil {
			return fmt.Errorf("preparing %s of network namespace %s: %w", g.Backend, name(g.Netns), err)
		}
	}
	return nil
}

func (b *back) say(note string) { b.result.Notes = append(b.result.Notes, note) }

func (b *back) prepareGroup(ctx context.Context, recorded rollback.Group, index int) error {
	if b.later(recorded) {
		return nil
	}
	editor := slices.IndexFunc(b.editors, func(e change.Editor) bool { return e.Backend() == recorded.Backend })
	if editor < 0 {
		b.leave(recorded.Steps, "nothing here can change "+recorded.Backend)
		return nil
	}
	space, why := b.enter(ctx, recorded.Netns)
	if why != "" {
		b.leave(recorded.Steps, why)
		return nil
	}
	g := &backGroup{index: index, done: map[int]bool{}, group: &group{
		space: space, editor: b.editors[editor], steps: recorded.Steps, world: &change.World{Places: recorded.Before},
	}}
	b.groups = append(b.groups, g)
	left := patience(b.o.Patience)
	return left.try(ctx, func() error {
		if err := g.find(ctx); err != nil {
			return err
		}
		return g.prove(ctx)
	})
}

// enter opens the namespace of a label and says why it is not the one that was
// changed. After a restart only the label can tell.
func (b *back) enter(ctx context.Context, label string) (Space, string) {
	if why := b.forgotten(label); why != "" {
		return Space{}, why
	}
	h, err := b.resolve(ctx, label)
	if err != nil {
		return Space{}, "its network namespace cannot be opened: " + err.Error()
	}
	s := Space{label, h}
	id, err := s.identity()
	if err != nil {
		s.close()
		return Space{}, err.Error()
	}
	if why := b.another(id); why != "" {
		s.close()
		b.elsewhere = b.elsewhere || label == ""
		return Space{}, why
	}
	return s, ""
}

// leave notes that steps are not put back, and that another try may.
func (b *back) leave(steps []change.Step, why string) {
	b.partly = true
	for _, s := range steps {
		b.result.leaveStep(s, why)
	}
}

func (r *Result) leaveStep(s change.Step, why string) {
	why = where(s) + ": " + why
	for _, id := range s.IDs {
		r.Left = append(r.Left, Left{id, why})
	}
	if len(s.IDs) == 0 {
		r.Left = append(r.Left, Left{"", why})
	}
}

// find reads the host and makes the steps that put back what is missing.
func (g *backGroup) find(ctx context.Context) error {
	if ofTables(g.group.steps) {
		return g.findTables(ctx)
	}
	world, err := g.read(ctx)
	if err != nil {
		return err
	}
	before := g.world.Places
	gone := append(missing(before, world.Places, g.group.steps), unseen(before, g.group.steps)...)
	g.now, g.final = world.Places, g.finished(ctx, world.Places)
	g.steps = g.inverted(inPlanOrder(g.group.steps, gone))
	g.group.world.Generation = world.Generation
	return nil
}

// inverted gives the steps that undo steps of the plan, each at its place in
// the host as it was read last.
func (g *backGroup) inverted(steps []change.Step) []change.Step {
	return change.Invert(inGaps(g.group.steps, steps, g.world.Places, g.now))
}

// inPlanOrder sorts a selection of steps as the plan has them.
func inPlanOrder(all, some []change.Step) []change.Step {
	wanted := map[*change.Object]bool{}
	for _, s := range some {
		wanted[s.Object()] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(s change.Step) bool { return !wanted[s.Object()] })
}

// prove has the editor check the steps, without changing anything.
func (g *backGroup) prove(ctx context.Context) error {
	g.refused, g.done = nil, map[int]bool{}
	if len(g.steps) == 0 {
		return nil
	}
	err := g.check(ctx)
	if err == nil && len(g.refused) > 0 {
		err = g.check(ctx) // what could not be found out in that moment is no reason to leave a rule out
	}
	if err == nil && len(g.refused) > 0 {
		g.closeRanks()
	}
	return err
}

// findAgain finds after others wrote. Where the same steps as before come back, and
// none was refused, they are not proven again: the transaction is guarded, and
// whoever writes all the time leaves no time for it.
func (g *backGroup) findAgain(ctx context.Context) error {
	before := g.steps
	if err := g.find(ctx); err != nil {
		return err
	}
	if len(g.refused) == 0 && sameSteps(before, g.steps) {
		return nil
	}
	return g.prove(ctx)
}

// check has the editor say which steps it would refuse.
func (g *backGroup) check(ctx context.Context) error {
	return g.space.within(ctx, func(ctx context.Context) (err error) {
		g.refused, err = g.editor.Check(ctx, g.steps)
		return err
	})
}

// closeRanks gives the steps that were not refused their places anew, for those
// that were will not stand among them.
func (g *backGroup) closeRanks() {
	wanted := map[*change.Object]int{}
	for i, s := range g.steps {
		if g.refused[i] == "" {
			wanted[s.Inverse().Object()] = i
		}
	}
	going := slices.DeleteFunc(slices.Clone(g.group.steps), func(s change.Step) bool {
		_, goes := wanted[s.Object()]
		return !goes
	})
	for _, s := range g.inverted(going) {
		g.steps[wanted[s.Inverse().Object()]] = s
	}
}

// planned is the result of a dry run: the same steps, nothing done.
func (b *back) planned() *Result {
	b.finish()
	b.result.ExitCode = b.result.remains()
	if len(b.result.Steps) > 0 {
		b.result.Status, b.result.ExitCode = Pending, exitViolations
	}
	return b.result
}

// finish lists the steps and what cannot be put back.
func (b *back) finish() {
	for _, g := range b.groups {
		all := describeAll(g.steps)
		for i, s := range g.steps {
			if why := g.refused[i]; why != "" {
				b.leave([]change.Step{s}, why)
				continue
			}
			shown := all[i]
			shown.Done, shown.Why = g.done[i], "" // the why is that of the removal
			b.result.Steps = append(b.result.Steps, shown)
		}
		b.leaveOthers(g)
		for _, e := range g.final {
			b.result.leaveStep(e.step, e.why)
		}
	}
	b.fullHint()
}
