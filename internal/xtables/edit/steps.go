package edit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// wanted is a rule to be deleted, with the redirects that want it so.
type wanted struct {
	ref host.Ref
	ids []string
}

// Steps makes the steps that delete the rules that refs name. Their places are
// those at which each rule stands when its step's turn comes, so that the
// inverse, run backwards, finds every neighbour where it was.
func (e *editor) Steps(ctx context.Context, refs []host.Ref, ids []string) ([]change.Step, []change.Refusal, error) {
	w, err := look(ctx)
	if err != nil {
		return nil, nil, err
	}
	chains, refused, err := w.gather(refs, ids)
	if err != nil {
		return nil, nil, err
	}
	var steps []change.Step
	for _, key := range w.order {
		first := len(steps)
		for _, c := range w.chainsOf(key) {
			made, no := w.deletions(key, c, chains[chainKey{key, c.name}])
			steps, refused = append(steps, made...), append(refused, no...)
		}
		if len(steps) > first {
			steps[first].SideEffects = append(steps[first].SideEffects, w.restarts(key, steps[first:])...)
		}
	}
	return steps, refused, nil
}

type chainKey struct {
	tableKey
	chain string
}

func (w *world) chainsOf(key tableKey) []*chain {
	if t := w.tables[key]; t != nil {
		return t.chains
	}
	return nil
}

// gather sorts the refs into their chains, and several of one rule together.
func (w *world) gather(refs []host.Ref, ids []string) (map[chainKey]map[int]*wanted, []change.Refusal, error) {
	chains := map[chainKey]map[int]*wanted{}
	var refused []change.Refusal
	for i, ref := range refs {
		if why := w.refuses(ref); why != "" {
			refused = append(refused, change.Refusal{Ref: ref, Why: why})
			continue
		}
		ref.Index = w.whereNow(ref, refs)
		if err := w.check(ref); err != nil {
			return nil, nil, err
		}
		key := chainKey{tableKey{ref.Family, ref.Table}, ref.Chain}
		if chains[key] == nil {
			chains[key] = map[int]*wanted{}
		}
		if chains[key][ref.Index] == nil {
			chains[key][ref.Index] = &wanted{ref: ref}
		}
		if i < len(ids) && ids[i] != "" {
			chains[key][ref.Index].ids = append(chains[key][ref.Index].ids, ids[i])
		}
	}
	return chains, refused, nil
}

// refuses says why a ref cannot be ended in a way that can be taken back.
func (w *world) refuses(ref host.Ref) string {
	if ref.Set != "" {
		return fmt.Sprintf("it is an element of ipset %s, which other rules may use: take it out with ipset del %s, or name the whole rule", ref.Set, ref.Set)
	}
	key := tableKey{ref.Family, ref.Table}
	if err := w.broken[key]; err != nil {
		return fmt.Sprintf("%s table %s is not laid out as iptables does it: %v", ref.Family, ref.Table, err)
	}
	if t := w.tables[key]; t != nil && t.elf {
		return fmt.Sprintf("%s table %s holds a bpf match with an open file of a process that is gone, so no program can write this table again; delete that rule with nft or by a restart", ref.Family, ref.Table)
	}
	return ""
}

// whereNow is the place of a rule that moved because others added or took rules
// before it: content tells it as long as all rules of its kind in its chain are
// wanted, as it is where there is only the one.
func (w *world) whereNow(ref host.Ref, refs []host.Ref) int {
	t := w.tables[tableKey{ref.Family, ref.Table}]
	if t == nil || t.byName[ref.Chain] == nil || ref.Fingerprint == "" {
		return ref.Index
	}
	c := t.byName[ref.Chain]
	var wanted, found []int
	for _, r := range refs {
		alike := r.Family == ref.Family && r.Table == ref.Table && r.Chain == ref.Chain && r.Fingerprint == ref.Fingerprint
		if alike && !slices.Contains(wanted, r.Index) {
			wanted = append(wanted, r.Index)
		}
	}
	for i := range c.rules {
		if c.printAt(i) == ref.Fingerprint {
			found = append(found, i+1)
		}
	}
	if len(found) != len(wanted) {
		return ref.Index
	}
	slices.Sort(wanted)
	return found[slices.Index(wanted, ref.Index)]
}

// check sees that the rule is as it was read.
func (w *world) check(ref host.Ref) error {
	if ref.Backend != xtables.Source {
		return fmt.Errorf("planning %s %s %s rule %d: it is of %s, not of %s", ref.Family, ref.Table, ref.Chain, ref.Index, ref.Backend, xtables.Source)
	}
	if t := w.tables[tableKey{ref.Family, ref.Table}]; t != nil && t.byName[ref.Chain] != nil &&
		ref.Index > 0 && t.byName[ref.Chain].printAt(ref.Index-1) == ref.Fingerprint && ref.Fingerprint != "" {
		return nil
	}
	return fmt.Errorf("planning %s %s %s rule %d: %w; audit again", ref.Family, ref.Table, ref.Chain, ref.Index, change.ErrGone)
}

// deletions makes the steps for the wanted rules of one chain, first to last.
func (w *world) deletions(key tableKey, c *chain, rules map[int]*wanted) (steps []change.Step, refused []change.Refusal) {
	indices := make([]int, 0, len(rules))
	for i := range rules {
		indices = append(indices, i)
	}
	slices.Sort(indices)
	prev, last := "", 0 // the last rule that stays before, and where the one before was looked at
	for _, index := range indices {
		want := rules[index]
		o, err := w.object(want.ref, c.rules[index-1])
		if err != nil {
			refused = append(refused, change.Refusal{Ref: want.ref, Why: err.Error()})
			continue
		}
		if index-1 > last {
			prev = c.printAt(index - 2)
		}
		last = index
		o.Text = w.ruleText(key, c, index-1)
		steps = append(steps, change.Step{IDs: want.ids, Action: change.Delete, Before: o, Reversible: true,
			Place: change.Place{Index: index - len(steps), Prev: prev, Next: c.printAt(index)}, SideEffects: forgets(o)})
	}
	return steps, refused
}

// forgets says what a rule will not remember when it is put back.
func forgets(o *change.Object) []string {
	kinds := forgetful(o.Family, o.Raw)
	if len(kinds) == 0 {
		return nil
	}
	return []string{"its own " + strings.Join(kinds, " and ") + " state starts anew when it is put back"}
}

// ruleText is the line of a rule.
func (w *world) ruleText(key tableKey, c *chain, i int) string {
	return xtables.EntryText(w.dump, key.family, c.name, c.rules[i].raw, c.rules[i].jump, w.env())
}

// restarts names the rules that stay in a table and whose state every commit
// of iptables-legacy restarts, ours too.
func (w *world) restarts(key tableKey, steps []change.Step) []string {
	gone := map[string]int{}
	for _, s := range steps {
		gone[s.Before.Chain+" "+s.Before.Fingerprint]++
	}
	var words []string
	for _, c := range w.chainsOf(key) {
		for i, r := range c.rules {
			kinds := stateful(key.family, r.raw)
			if len(kinds) == 0 {
				continue
			}
			if k := c.name + " " + r.print; gone[k] > 0 {
				gone[k]--
				continue
			}
			words = append(words, "restarts the "+strings.Join(kinds, " and ")+" of: "+w.ruleText(key, c, i))
		}
	}
	return words
}
