package edit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// jumpName is the key in change.Object.Names of the chain to which a rule
// jumps; ipset indices are decimal, so it can be none of them.
const jumpName = "jump"

// object makes what it takes to put a rule back. Text is added by the caller.
func (w *world) object(ref host.Ref, e *entry) (*change.Object, error) {
	o := &change.Object{Kind: "rule", Netns: ref.Netns, Backend: xtables.Source, Family: ref.Family,
		Table: ref.Table, Chain: ref.Chain, Fingerprint: e.print, Raw: bytes.Clone(e.raw), Names: map[string]string{}}
	if e.jump != "" {
		o.Names[jumpName] = e.jump
	}
	for _, at := range xtables.SetFields(ref.Family, e.raw) {
		index := binary.NativeEndian.Uint16(e.raw[at:])
		name, known := w.dump.SetNames[index]
		if !known {
			return nil, fmt.Errorf("its ipset (index %d) could not be found by name, so it could not be put back", index)
		}
		o.Names[strconv.Itoa(int(index))] = name
	}
	return o, nil
}

// restored makes an entry of a recorded object, for the ipsets that there are
// now. sets opens ipset when it is first needed.
func restored(o *change.Object, sets *setFinder) (*entry, error) {
	if _, err := xtables.CheckEntry(o.Family, o.Raw); err != nil {
		return nil, fmt.Errorf("the recorded bytes of a rule of %s are damaged: %w", place(o), err)
	}
	e := &entry{raw: bytes.Clone(o.Raw), print: o.Fingerprint, jump: o.Names[jumpName],
		counters: xtables.EntryCounters(o.Family, o.Raw)}
	jumps := xtables.IsJump(o.Family, o.Raw)
	if e.jump != "" && !jumps {
		return nil, fmt.Errorf("the recorded rule of %s does not jump, but is said to jump to %s", place(o), e.jump)
	}
	e.falls = jumps && e.jump == ""
	for _, at := range xtables.SetFields(o.Family, e.raw) {
		name := o.Names[strconv.Itoa(int(binary.NativeEndian.Uint16(e.raw[at:])))]
		index, err := sets.index(name)
		if err != nil {
			return nil, err
		}
		binary.NativeEndian.PutUint16(e.raw[at:], index)
	}
	print := xtables.Fingerprint(o.Family, o.Raw, e.jump, func(index uint16) string { return o.Names[strconv.Itoa(int(index))] })
	if print != o.Fingerprint {
		return nil, fmt.Errorf("the recorded bytes of a rule of %s do not fit its fingerprint", place(o))
	}
	return e, nil
}

func place(o *change.Object) string {
	return fmt.Sprintf("%s %s %s", o.Family, o.Table, o.Chain)
}

// setFinder finds ipsets by name, once each.
type setFinder struct {
	sets  *xtables.Sets
	known map[string]uint16
}

func (f *setFinder) index(name string) (uint16, error) {
	if name == "" {
		return 0, errors.New("no name was recorded for an ipset of the rule")
	}
	if index, ok := f.known[name]; ok {
		return index, nil
	}
	if f.sets == nil {
		var err error
		if f.sets, err = xtables.OpenSets(); err != nil {
			return 0, fmt.Errorf("ipset %s, which the rule looks at, is gone: %w", name, err)
		}
	}
	index, err := f.sets.Index(name)
	if err != nil {
		return 0, fmt.Errorf("ipset %s, which the rule looks at, is gone; create it again first: %w", name, err)
	}
	if f.known == nil {
		f.known = map[string]uint16{}
	}
	f.known[name] = index
	return index, nil
}

func (f *setFinder) close() {
	if f.sets != nil {
		f.sets.Close()
	}
}
