// Package edit takes routes, policy rules, proxy neighbours and the sysctls
// behind them away, and puts them back from the bytes that the kernel gave.
//
// rtnetlink has no transactions: steps are carried out one after another, and
// where one fails those before it are undone at once.
package edit

import (
	"context"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/nlsock"
	"github.com/natwarden/natwarden/internal/route"
)

// Editor is the change.Editor of rtnetlink.
type Editor struct{}

// New gives the editor.
func New() Editor { return Editor{} }

// Backend is the subsystem's name.
func (Editor) Backend() string { return route.Backend }

// World lists what the audit looks at, so that a change of anything else shows.
func (Editor) World(ctx context.Context) (*change.World, error) {
	objects, err := route.Objects(ctx)
	if err != nil {
		return nil, err
	}
	w := &change.World{Backend: route.Backend, Places: map[string][]string{}, Files: map[string][]byte{}}
	for _, kind := range []string{route.KindRoute, route.KindRule, route.KindNeighbour} {
		w.Places["rtnetlink "+kind] = nil // a place that is empty now must not look new later
	}
	for _, o := range objects {
		place := "rtnetlink " + o.Kind
		w.Places[place] = append(w.Places[place], o.Fingerprint)
		w.Files[rawFile] = append(w.Files[rawFile], frame(o)...)
	}
	for place := range w.Places {
		slices.Sort(w.Places[place]) // the kernel's order is the metrics' and preferences', not a place
	}
	return w, nil
}

// frame writes one object of the snapshot's file: a line with kind and length,
// then the bytes.
func frame(o route.Object) []byte {
	return append(fmt.Appendf(nil, "%s %d\n", o.Kind, len(o.Raw)), append(slices.Clone(o.Raw), '\n')...)
}

// Steps makes a deletion for each ref; what is no longer there is an ErrStale.
func (Editor) Steps(ctx context.Context, refs []host.Ref, ids []string) ([]change.Step, []change.Refusal, error) {
	objects, err := route.Objects(ctx)
	if err != nil {
		return nil, nil, err
	}
	var steps []change.Step
	taken := map[string]int{}
	for i, ref := range refs {
		if n, ok := taken[ref.Table+ref.Fingerprint]; ok {
			steps[n].IDs = append(steps[n].IDs, ids[i])
			continue
		}
		n := slices.IndexFunc(objects, func(o route.Object) bool { return o.Kind == ref.Table && o.Fingerprint == ref.Fingerprint })
		if n < 0 && ref.Table != route.KindSysctl {
			return nil, nil, fmt.Errorf("%s %s is gone: %w", ref.Table, ref.Text, change.ErrStale)
		}
		s := deletion(ref, ids[i])
		if n >= 0 {
			s.Before.Raw = objects[n].Raw
		}
		taken[ref.Table+ref.Fingerprint] = len(steps)
		steps = append(steps, s)
	}
	return steps, nil, nil
}

func deletion(ref host.Ref, id string) change.Step {
	s := change.Step{IDs: []string{id}, Action: change.Delete, Reversible: true, Before: &change.Object{
		Kind: ref.Table, Netns: ref.Netns, Backend: route.Backend, Table: ref.Table, Fingerprint: ref.Fingerprint, Text: ref.Text}}
	if ref.Table == route.KindSysctl {
		after := *s.Before
		s.Before.Text, after.Text = "net/"+ref.Text+" = 1", "net/"+ref.Text+" = 0"
		s.Before.Names, after.Names = map[string]string{"key": ref.Text}, map[string]string{"key": ref.Text}
		s.Before.Raw, after.Raw = []byte("1"), []byte("0")
		s.Action, s.After = change.Edit, &after
	}
	return s
}

// Check cannot ask the kernel: rtnetlink has no check mode. It proves what can
// be proven, that each object carries the bytes to put it back.
func (Editor) Check(_ context.Context, steps []change.Step) (map[int]string, error) {
	failed := map[int]string{}
	for i, s := range steps {
		if o := s.Object(); len(o.Raw) == 0 {
			failed[i] = "the kernel's bytes of " + o.Text + " are missing: it could not be put back"
		}
	}
	return failed, nil
}

// Edit carries the steps out in order. When one fails, those before it are
// undone, and nothing remains changed unless that fails too.
func (Editor) Edit(ctx context.Context, _ uint32, steps []change.Step) (change.Outcome, error) {
	c, err := nlsock.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return change.Outcome{}, fmt.Errorf("opening rtnetlink: %w", err)
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return change.Outcome{}, fmt.Errorf("opening rtnetlink: %w", err)
		}
	}
	for i, s := range steps {
		if err := carryOut(c, s); err != nil {
			return change.Outcome{}, change.Half(fmt.Errorf("%s %s: %w", s.Action, s.Object().Text, err), undo(c, steps[:i]))
		}
	}
	return change.Outcome{}, nil
}

func undo(c *netlink.Conn, steps []change.Step) error {
	for _, s := range change.Invert(steps) {
		if err := carryOut(c, s); err != nil {
			return fmt.Errorf("putting %s back: %w", s.Object().Text, err)
		}
	}
	return nil
}
