package edit

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// entry is one entry of a table that may move.
type entry struct {
	raw []byte // with the offset of the jump as last read or written
	// jump is the chain to which it jumps or goes; falls is true of a rule
	// without target, which goes on at the next entry.
	jump  string
	falls bool
	print string // fingerprint; "" of heads, policies and the end mark
	// counters are what the entry has seen while it is in no table of the kernel,
	// or until the last replacement.
	counters xtables.Counters
}

// chain is a chain that may gain and lose rules.
type chain struct {
	name   string
	hook   int    // -1 for a chain of the user
	drops  bool   // the policy
	head   *entry // nil for a builtin chain
	rules  []*entry
	policy *entry
}

// table is a table taken apart.
type table struct {
	family host.Family
	name   string
	hooks  uint32
	chains []*chain
	byName map[string]*chain
	end    *entry
	elf    bool // some rule holds the number of an open file: see holdsELF
}

// takeApart makes a table of chains and entries of what the kernel gave.
func takeApart(d *xtables.Dump, t *xtables.Table) (*table, error) {
	chains, err := t.Chains()
	if err != nil {
		return nil, err
	}
	starts := t.Starts(chains)
	out := &table{family: t.Family, name: t.Name, hooks: t.ValidHooks, byName: map[string]*chain{},
		end: plain(t, len(t.Entries)-1)}
	for _, c := range chains {
		part := &chain{name: c.Name, hook: c.Hook, drops: c.Policy == -1, policy: plain(t, c.End), rules: make([]*entry, 0, c.End-c.First)}
		if c.Head >= 0 {
			part.head = plain(t, c.Head)
		}
		for i := c.First; i < c.End; i++ {
			e, err := ruleEntry(d, t, i, starts)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.Key(c.Name), err)
			}
			part.rules = append(part.rules, e)
			out.elf = out.elf || holdsELF(t.Family, e.raw)
		}
		out.chains = append(out.chains, part)
		out.byName[c.Name] = part
	}
	return out, nil
}

func plain(t *xtables.Table, i int) *entry { return &entry{raw: t.Raw(i)} }

func ruleEntry(d *xtables.Dump, t *xtables.Table, i int, starts map[uint32]string) (*entry, error) {
	e := plain(t, i)
	var known bool
	if e.jump, known = t.Jump(i, starts); !known {
		return nil, fmt.Errorf("entry %d jumps to what is no chain", i)
	}
	e.falls = e.jump == "" && xtables.IsJump(t.Family, e.raw)
	e.print = xtables.Fingerprint(t.Family, e.raw, e.jump, d.SetName)
	return e, nil
}

// clone is a copy whose chains can be changed without changing t. The entries
// are shared.
func (t *table) clone() *table {
	out := *t
	out.chains, out.byName = nil, map[string]*chain{}
	for _, c := range t.chains {
		part := *c
		part.rules = append([]*entry(nil), c.rules...)
		out.chains = append(out.chains, &part)
		out.byName[c.name] = &part
	}
	return &out
}

// policyName is the policy of a builtin chain, as iptables writes it.
func (c *chain) policyName() string {
	switch {
	case c.hook < 0:
		return ""
	case c.drops:
		return "DROP"
	}
	return "ACCEPT"
}
