package edit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// The names of an object: where its program is kept, and where a link that is
// made anew is pinned.
const (
	pinName  = "pin"
	linkName = "link"
)

// Steps makes a detachment for each ref; what is no longer there is an ErrStale.
func (e Editor) Steps(ctx context.Context, refs []host.Ref, ids []string) ([]change.Step, []change.Refusal, error) {
	all, err := bpf.Detachable(ctx)
	if err != nil {
		return nil, nil, err
	}
	var steps []change.Step
	var refused []change.Refusal
	taken := map[int]int{} // step by index of the attachment
	for i, ref := range refs {
		if ref.Table == bpf.Netfilter {
			refused = append(refused, change.Refusal{Ref: ref, Why: "a netfilter link ends only with its holder"})
			continue
		}
		at := find(all, ref)
		if at < 0 {
			return nil, nil, fmt.Errorf("%s is gone: %w", ref.Text, change.ErrStale)
		}
		if n, ok := taken[at]; ok {
			steps[n].IDs = append(steps[n].IDs, ids[i])
			continue
		}
		if all[at].Rivals > 0 {
			refused = append(refused, change.Refusal{Ref: ref, Why: "several links hold this program at devices of this number, and the kernel does not say which is of this namespace: end its holder"})
			continue
		}
		s, err := e.detachment(all[at], ref, ids[i])
		if err != nil {
			return nil, nil, err
		}
		taken[at] = len(steps)
		steps = append(steps, s)
	}
	return steps, refused, nil
}

// find looks for the very attachment, by program and link of this boot.
func find(all []bpf.Attachment, ref host.Ref) int {
	var was bpf.Attachment
	if json.Unmarshal(ref.Key, &was) != nil {
		return -1
	}
	return slices.IndexFunc(all, func(a bpf.Attachment) bool {
		return a.Fingerprint() == ref.Fingerprint && a.Program == was.Program && a.Link == was.Link
	})
}

func (e Editor) detachment(a bpf.Attachment, ref host.Ref, id string) (change.Step, error) {
	raw, err := json.Marshal(a)
	if err != nil {
		return change.Step{}, fmt.Errorf("writing %s down: %w", a.Text(), err)
	}
	name := fmt.Sprintf("%s-%d", a.Fingerprint(), a.Program)
	o := &change.Object{Kind: a.Kind, Netns: ref.Netns, Backend: bpf.Backend, Table: a.Kind, Chain: a.Place(), Fingerprint: a.Fingerprint(),
		Text: strings.TrimPrefix(a.Text(), a.Kind+" "), Raw: raw, Names: map[string]string{pinName: e.keep.Path(name)}}
	s := change.Step{IDs: []string{id}, Action: change.Detach, Reversible: true, Before: o}
	s.SideEffects = e.keep.Effects()
	if a.Link == 0 {
		return s, nil
	}
	o.Names[linkName] = e.keep.Path(name + "-link")
	if len(a.LinkPins) > 0 {
		o.Names[linkName] = a.LinkPins[0]
		s.SideEffects = append(s.SideEffects, "the link's pin "+a.LinkPins[0]+" is removed; rollback makes a new link there")
	} else {
		s.SideEffects = append(s.SideEffects, "whoever holds the link keeps a dead one; rollback makes a new link, pinned in "+e.keep.dir+", which does not end with that process")
	}
	return s, nil
}
