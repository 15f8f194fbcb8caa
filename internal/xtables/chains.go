package xtables

import (
	"fmt"
)

// Chain is a chain of a table, as indices into its Entries. The kernel knows
// no chains; they are found as libiptc finds them: an ERROR target heads and
// names a chain of the user, a hook entry starts a builtin one, and the last
// entry of each holds its policy.
type Chain struct {
	Name   string
	Hook   int // NF_INET_*; -1 for a chain of the user
	Head   int // the ERROR entry; -1 for a builtin chain
	First  int // the first rule
	End    int // behind the last rule; the entry that holds the policy
	Policy int32
}

// hookNames are the builtin chains by hook (NF_INET_PRE_ROUTING … POST_ROUTING).
var hookNames = [5]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// Chains finds the chains of the table, in the order of the entries. A table
// that libiptc would not have laid out so is an error.
func (t *Table) Chains() ([]Chain, error) {
	heads := t.hookHeads()
	var chains []Chain
	for i := range t.Entries {
		c, starts := t.chainAt(i, heads)
		last := i == len(t.Entries)-1
		if starts || last {
			if err := t.closeChain(chains, i); err != nil {
				return nil, err
			}
		}
		if last {
			return chains, t.checkEnd(i, heads, chains)
		}
		if starts {
			chains = append(chains, c)
		}
	}
	return nil, fmt.Errorf("table %s has no entries", t.Name)
}

// hookHeads are the valid hooks by the offset at which they start.
func (t *Table) hookHeads() map[uint32]int {
	heads := make(map[uint32]int, 5)
	for hook := range t.HookEntry {
		if t.ValidHooks&(1<<hook) != 0 {
			heads[t.HookEntry[hook]] = hook
		}
	}
	return heads
}

func (t *Table) chainAt(i int, heads map[uint32]int) (Chain, bool) {
	if hook, ok := heads[t.Entries[i].Offset]; ok {
		return Chain{Name: hookNames[hook], Hook: hook, Head: -1, First: i}, true
	}
	if name, ok := t.errorName(i); ok {
		return Chain{Name: name, Hook: -1, Head: i, First: i + 1}, true
	}
	return Chain{}, false
}

// errorName gives the name in an ERROR target (struct xt_error_target).
func (t *Table) errorName(i int) (string, bool) {
	e := t.Entries[i]
	target := t.Blob[e.Offset+uint32(e.Target) : e.Offset+uint32(e.Size)]
	if !extIs(target, errorTarget) {
		return "", false
	}
	return cstring(target[extHeader:]), true
}

// closeChain ends the last chain before entry i: the entry before it holds
// the chain's policy.
func (t *Table) closeChain(chains []Chain, i int) error {
	if len(chains) == 0 {
		if i != 0 {
			return fmt.Errorf("table %s starts with %d entries outside any chain", t.Name, i)
		}
		return nil
	}
	c := &chains[len(chains)-1]
	c.End = i - 1
	if c.End < c.First {
		return fmt.Errorf("chain %s of table %s has no last entry", c.Name, t.Name)
	}
	raw := t.Raw(c.End)
	l := layoutOf(t.Family)
	target := l.target(raw)
	if !isStandard(target) || !l.isUnconditional(raw) {
		return fmt.Errorf("chain %s of table %s does not end with its policy", c.Name, t.Name)
	}
	c.Policy = standardVerdict(target)
	return t.checkPolicy(c)
}

func (t *Table) checkPolicy(c *Chain) error {
	switch {
	case c.Hook < 0 && c.Policy == verdictReturn:
		return nil
	case c.Hook >= 0 && t.Underflow[c.Hook] == t.Entries[c.End].Offset && (c.Policy == verdictAccept || c.Policy == verdictDrop):
		return nil
	}
	return fmt.Errorf("chain %s of table %s ends with verdict %d at byte %d, which is not its policy", c.Name, t.Name, c.Policy, t.Entries[c.End].Offset)
}

// checkEnd sees that the table ends with the ERROR entry that libiptc puts
// there, and that every hook found its chain.
func (t *Table) checkEnd(last int, heads map[uint32]int, chains []Chain) error {
	if name, ok := t.errorName(last); !ok || name != errorTarget {
		return fmt.Errorf("table %s does not end with its end mark", t.Name)
	}
	valid, found := 0, 0
	for hook := range t.HookEntry {
		if t.ValidHooks&(1<<hook) != 0 {
			valid++
		}
	}
	names := make(map[string]bool, len(chains))
	for _, c := range chains {
		if c.Hook >= 0 {
			found++
		}
		if names[c.Name] {
			return fmt.Errorf("table %s has two chains %q", t.Name, c.Name)
		}
		names[c.Name] = true
	}
	if found != valid || len(heads) != valid {
		return fmt.Errorf("table %s has %d hooks but %d builtin chains", t.Name, valid, found)
	}
	return nil
}

// Starts gives the chains by the offset that a jump to them names.
func (t *Table) Starts(chains []Chain) map[uint32]string {
	starts := make(map[uint32]string, len(chains))
	for _, c := range chains {
		starts[t.Entries[c.First].Offset] = c.Name
	}
	return starts
}

// Key is how the chain's place is named among all places of a namespace.
func (t *Table) Key(chain string) string {
	return "legacy " + string(t.Family) + " " + t.Name + " " + chain
}
