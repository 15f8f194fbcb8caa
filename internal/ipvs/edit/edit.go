// Package edit ends IPVS services, with their destinations, and puts them back
// from the attributes that the kernel gave: scheduler, flags, persistence, weights,
// thresholds, tunnels, and the order of the destinations. Counters begin at zero again.
//
// Generic netlink has no transactions and IPVS no check mode: steps are carried
// out one after another, and where one fails those before it are undone at once.
//
// Files: edit.go is the change.Editor, carry.go carries a step out, load.go makes
// what a snapshot holds for a rehearsal.
package edit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipvs"
)

// The names of an object: which service it is, and why it cannot be put back.
const (
	nameName = "service"
	noWay    = "unrestorable"
)

// Editor is the change.Editor of IPVS.
type Editor struct{}

// New gives the editor.
func New() Editor { return Editor{} }

// Backend is the subsystem's name.
func (Editor) Backend() string { return ipvs.Backend }

// World lists every service. The kernel keeps them by a hash of what they are,
// so their order is no place.
func (Editor) World(ctx context.Context) (*change.World, error) {
	objects, err := ipvs.Objects(ctx)
	if err != nil {
		return nil, err
	}
	place := ipvs.Backend + " " + ipvs.KindService
	w := &change.World{Backend: ipvs.Backend, Places: map[string][]string{place: {}}, Files: map[string][]byte{}}
	for _, o := range objects {
		w.Places[place] = append(w.Places[place], o.Fingerprint)
		w.Files["ipvs.txt"] = append(w.Files["ipvs.txt"], o.Text+"\n"...)
		w.Files[RawFile] = append(w.Files[RawFile], frames(o)...)
	}
	slices.Sort(w.Places[place])
	return w, nil
}

// frames writes a service and its destinations for the snapshot's file: before
// each a line with kind and length, then the bytes.
func frames(o ipvs.Object) []byte {
	frame := func(to []byte, kind string, raw []byte) []byte {
		return append(append(fmt.Appendf(to, "%s %d\n", kind, len(raw)), raw...), '\n')
	}
	out := frame(nil, "service", o.Raw)
	for _, d := range o.Dests {
		out = frame(out, "destination", d.Raw)
	}
	return out
}

// Steps makes a deletion for each ref; what is no longer there, or no longer as
// it was, is an ErrStale.
func (Editor) Steps(ctx context.Context, refs []host.Ref, ids []string) ([]change.Step, []change.Refusal, error) {
	objects, err := ipvs.Objects(ctx)
	if err != nil {
		return nil, nil, err
	}
	var steps []change.Step
	taken := map[string]int{}
	for i, ref := range refs {
		if n, ok := taken[ref.Fingerprint]; ok {
			steps[n].IDs = append(steps[n].IDs, ids[i])
			continue
		}
		n := slices.IndexFunc(objects, func(o ipvs.Object) bool { return o.Fingerprint == ref.Fingerprint })
		if n < 0 {
			return nil, nil, fmt.Errorf("IPVS service %s is gone or changed: %w", ref.Text, change.ErrStale)
		}
		taken[ref.Fingerprint] = len(steps)
		steps = append(steps, deletion(objects[n], ref, ids[i]))
	}
	return steps, nil, nil
}

func deletion(o ipvs.Object, ref host.Ref, id string) change.Step {
	b := &change.Object{Kind: ipvs.KindService, Netns: ref.Netns, Backend: ipvs.Backend, Family: ref.Family, Table: ipvs.KindService,
		Fingerprint: o.Fingerprint, Text: o.Text, Raw: o.Raw, Names: map[string]string{nameName: o.Name}}
	for _, d := range o.Dests {
		b.Parts = append(b.Parts, change.Part{Kind: "destination", Name: d.Name, Raw: d.Raw})
	}
	if o.Unrestorable != "" {
		b.Names[noWay] = o.Unrestorable
	}
	return change.Step{IDs: []string{id}, Why: "as ipvsadm -D " + o.Option, Action: change.Delete, Reversible: true, Before: b,
		SideEffects: []string{"connections that IPVS has given to a destination stand still: their packets are dropped while the service is away, and its counters begin at 0"}}
}

// Check cannot ask the kernel: IPVS has no check mode. It proves what can be
// proven, that every attribute of a service and its destinations is known and
// is read, once it is packed again, as the very same service.
func (Editor) Check(_ context.Context, steps []change.Step) (map[int]string, error) {
	failed := map[int]string{}
	for i, s := range steps {
		if err := provable(s.Object()); err != nil {
			failed[i] = err.Error()
		}
	}
	return failed, nil
}

func provable(o *change.Object) error {
	if why := o.Names[noWay]; why != "" {
		return errors.New(why)
	}
	again, err := ipvs.Pack(o.Raw, rawDests(o))
	if err != nil {
		return fmt.Errorf("its bytes could not be sent again: %w", err)
	}
	if again.Fingerprint != o.Fingerprint || again.Text != o.Text {
		return fmt.Errorf("it would come back as %s", again.Text)
	}
	return nil
}

func rawDests(o *change.Object) [][]byte {
	var out [][]byte
	for _, p := range o.Parts {
		out = append(out, p.Raw)
	}
	return out
}

// Edit carries the steps out in order. When one fails, those before it are
// undone, and nothing remains changed unless that fails too.
func (Editor) Edit(ctx context.Context, _ uint32, steps []change.Step) (change.Outcome, error) {
	for i, s := range steps {
		if err := carryOut(ctx, s); err != nil {
			return change.Outcome{}, change.Half(fmt.Errorf("%s %s %s: %w", s.Action, ipvs.KindService, s.Object().Text, err), undo(ctx, steps[:i]))
		}
	}
	return change.Outcome{}, nil
}

func undo(ctx context.Context, steps []change.Step) error {
	ctx = context.WithoutCancel(ctx)
	for _, s := range change.Invert(steps) {
		if err := carryOut(ctx, s); err != nil {
			return fmt.Errorf("putting %s back: %w", s.Object().Text, err)
		}
	}
	return nil
}
