package edit

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/xtables"
)

// built is a table put together: the kernel's form, and which entry stands
// where.
type built struct {
	*xtables.Table
	order []*entry
}

// build puts a table together: entries end to end, jumps to where their
// chains now start, hook entries and underflows where the builtin chains now
// start and end.
func (t *table) build() (*built, error) {
	b := &built{Table: &xtables.Table{Family: t.family, Name: t.name, ValidHooks: t.hooks}}
	starts := b.lay(t)
	for i, e := range b.order {
		at := b.Entries[i]
		raw := b.Raw(i)
		switch {
		case e.falls:
			xtables.PutJump(t.family, raw, at.Offset+uint32(at.Size))
		case e.jump != "":
			start, known := starts[e.jump]
			if !known {
				return nil, fmt.Errorf("chain %s of %s table %s, to which a rule jumps, is gone", e.jump, t.family, t.name)
			}
			xtables.PutJump(t.family, raw, start)
		}
	}
	return b, nil
}

// lay puts all entries end to end and gives where each chain starts.
func (b *built) lay(t *table) map[string]uint32 {
	starts := make(map[string]uint32, len(t.chains))
	for _, c := range t.chains {
		if c.head != nil {
			b.put(c.head)
		}
		starts[c.name] = uint32(len(b.Blob))
		for _, r := range c.rules {
			b.put(r)
		}
		if c.hook >= 0 {
			b.HookEntry[c.hook], b.Underflow[c.hook] = starts[c.name], uint32(len(b.Blob))
		}
		b.put(c.policy)
	}
	b.put(t.end)
	return starts
}

func (b *built) put(e *entry) {
	size := uint16(len(e.raw)) // an entry's own size is 16 bits wide
	at, _ := xtables.CheckEntry(b.Family, e.raw)
	b.Entries = append(b.Entries, xtables.Entry{Offset: uint32(len(b.Blob)), Size: size, Target: at.Target})
	b.Blob = append(b.Blob, e.raw...)
	b.order = append(b.order, e)
}
