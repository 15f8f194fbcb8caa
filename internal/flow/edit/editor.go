// Package edit cuts conntrack flows. A flow cannot be put back, so its steps
// are not reversible and nothing of it is kept in a snapshot; only the flows
// that a step names are cut, never a table.
//
// natwarden is a program, not a library.
package edit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/flow"
	"github.com/natwarden/natwarden/internal/host"
)

// Backend is the name of the subsystem in objects and steps.
const Backend = "conntrack"

// Editor cuts flows of the calling thread's network namespace.
type Editor struct{}

var _ change.Editor = Editor{}

// Backend is "conntrack".
func (Editor) Backend() string { return Backend }

// World is empty: flows come and go by themselves, so there is nothing to
// verify and nothing to keep.
func (Editor) World(ctx context.Context) (*change.World, error) {
	return &change.World{Backend: Backend, Places: map[string][]string{}, Files: map[string][]byte{}}, ctx.Err()
}

// Steps cuts the flows that refs name: those that no rule explains. For those
// that ride a rule see CutSteps.
func (Editor) Steps(ctx context.Context, refs []host.Ref, ids []string) ([]change.Step, []change.Refusal, error) {
	var steps []change.Step
	var refused []change.Refusal
	for i, ref := range refs {
		if len(ref.Key) == 0 {
			refused = append(refused, change.Refusal{Ref: ref, Why: "conntrack holds flows, not rules"})
			continue
		}
		keys, err := flow.Unpack(ref.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("cutting %s: %w", ref.Text, err)
		}
		for _, key := range keys {
			s := cutStep(key, ref.Text, ref.Family)
			s.IDs = []string{ids[i]}
			steps = append(steps, s)
		}
	}
	return steps, refused, ctx.Err()
}

// CutSteps makes a step for each translated flow of the calling thread's
// namespace that rides what is removed (flow.Riding). The caller fills IDs, Why
// and the namespace's label.
func CutSteps(ctx context.Context, riding func(flow.Flow) bool) ([]change.Step, error) {
	flows, err := flow.Translated(ctx)
	if err != nil {
		return nil, err
	}
	var steps []change.Step
	for _, f := range flows {
		if riding(f) {
			steps = append(steps, cut(&f))
		}
	}
	return steps, nil
}

func cut(f *flow.Flow) change.Step {
	family := host.IP
	if f.Orig.Dst.Is6() {
		family = host.IP6
	}
	return cutStep(f.Key, f.String(), family)
}

func cutStep(key []byte, text string, family host.Family) change.Step {
	sum := sha256.Sum256(key)
	return change.Step{Action: change.Cut, Before: &change.Object{
		Kind: "flow", Backend: Backend, Family: family,
		Fingerprint: hex.EncodeToString(sum[:]), Text: text, Raw: key,
	}}
}

// Check names the steps that cannot be carried out; it asks the kernel nothing.
func (Editor) Check(ctx context.Context, steps []change.Step) (map[int]string, error) {
	failed := map[int]string{}
	for i, s := range steps {
		if why := impossible(s); why != "" {
			failed[i] = why
		}
	}
	return failed, ctx.Err()
}

func impossible(s change.Step) string {
	switch o := s.Object(); {
	case o == nil || o.Backend != Backend || o.Kind != "flow":
		return "the step is not about a flow"
	case s.Before == nil || s.After != nil:
		return "a flow that was cut cannot be put back: its client connects again"
	case !flow.IsKey(o.Raw):
		return "the step does not say which flow to cut"
	}
	return ""
}

// Edit cuts the flows, each for itself: conntrack knows no transaction and no
// generation. A flow that is already gone is cut.
func (Editor) Edit(ctx context.Context, _ uint32, steps []change.Step) (change.Outcome, error) {
	out := change.Outcome{Undone: map[int]string{}}
	if len(steps) == 0 || !flow.Loaded() { // without conntrack there are no flows left
		return out, ctx.Err()
	}
	c, err := flow.Dial(ctx)
	if err != nil {
		return out, err
	}
	defer c.Close()
	for i, s := range steps {
		if why := impossible(s); why != "" {
			out.Undone[i] = why
			continue
		}
		if _, err := c.Delete(s.Before.Raw); err != nil {
			out.Undone[i] = fmt.Sprintf("cutting %s: %v", s.Before.Text, err)
		}
	}
	return out, ctx.Err()
}
