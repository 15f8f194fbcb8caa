package edit

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// isTables says whether steps restore whole tables.
func isTables(steps []change.Step) bool {
	return len(steps) > 0 && steps[0].Object() != nil && steps[0].Object().Kind == change.KindTable
}

// eachSet visits where the rules of a table hold the number of an ipset.
func (t *table) eachSet(visit func(e *entry, at int, index uint16) error) error {
	for _, c := range t.chains {
		for _, e := range c.rules {
			for _, at := range xtables.SetFields(t.family, e.raw) {
				if err := visit(e, at, binary.NativeEndian.Uint16(e.raw[at:])); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t *table) renumber(names map[uint16]string, sets *setFinder) error {
	return t.eachSet(func(e *entry, at int, index uint16) error {
		is, err := sets.index(names[index])
		if err == nil {
			binary.NativeEndian.PutUint16(e.raw[at:], is)
		}
		return err
	})
}

// checkTables proves as much as can be without writing: the tables are as they
// were read, and what is recorded of them, before and after, can be put together.
// x_tables has no check mode: what it had and has it takes again.
func (w *world) checkTables(steps []change.Step) map[int]string {
	failed := map[int]string{}
	sets := &setFinder{}
	defer sets.close()
	for i, s := range steps {
		if why := w.differs(s); why != "" {
			failed[i] = why
			continue
		}
		for _, o := range []*change.Object{s.Before, s.After} {
			if o == nil {
				continue
			}
			t, err := recorded(o, sets)
			if err == nil {
				_, err = t.build()
			}
			if err != nil {
				failed[i] = fmt.Sprintf("%s table %s cannot be restored: %v", o.Family, o.Table, err)
			}
		}
	}
	return failed
}

// differs says that a table is not as a step has it before; "" where it is.
func (w *world) differs(s change.Step) string {
	o := s.Object()
	if o == nil || o.Kind != change.KindTable {
		return "the step names no table"
	}
	key := tableKey{o.Family, o.Table}
	now := ""
	if t := w.tables[key]; t != nil {
		now = t.fingerprint()
	} else if w.broken[key] != nil {
		now = "not laid out as iptables does it"
	}
	was := ""
	if s.Before != nil {
		was = s.Before.Fingerprint
	}
	if now != was {
		return fmt.Sprintf("%s table %s is not as it was read", o.Family, o.Table)
	}
	return ""
}

// restore makes whole tables others, each in one step of the kernel. The caller
// holds the lock. Where a later one fails, those before are put back.
func (w *world) restore(ctx context.Context, steps []change.Step) (change.Outcome, error) {
	sets := &setFinder{}
	defer sets.close()
	var moves []move
	for _, s := range steps {
		if why := w.differs(s); why != "" {
			return change.Outcome{}, fmt.Errorf("%s: %w", why, change.ErrStale)
		}
		m, err := w.moveTo(ctx, s, sets)
		if err != nil {
			return change.Outcome{}, fmt.Errorf("restoring %s table %s: %w", s.Object().Family, s.Object().Table, err)
		}
		moves = append(moves, m)
	}
	notes, err := commit(moves)
	if err == nil {
		err = proven(ctx, moves)
	}
	return change.Outcome{Notes: notes}, err
}

// moveTo is a table as it is and as the step wants it. One that is not there is
// made: the kernel makes it when it is asked for.
func (w *world) moveTo(ctx context.Context, s change.Step, sets *setFinder) (m move, err error) {
	o := s.Object()
	is := w.tables[tableKey{o.Family, o.Table}]
	if is == nil {
		if is, err = created(ctx, o.Family, o.Table); err != nil {
			return m, err
		}
	}
	becomes := is.emptied()
	if s.After != nil {
		if becomes, err = recorded(s.After, sets); err != nil {
			return m, err
		}
	}
	if m.now, err = is.build(); err != nil {
		return m, err
	}
	if m.next, err = becomes.build(); err != nil {
		return m, err
	}
	for _, e := range m.next.order {
		e.counters = xtables.EntryCounters(o.Family, e.raw)
	}
	return m, nil
}

func created(ctx context.Context, family host.Family, name string) (*table, error) {
	s, err := xtables.OpenSocket(family)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	t, err := xtables.ReadTable(ctx, s, family, name)
	if err != nil {
		return nil, err
	}
	return takeApart(&xtables.Dump{SetNames: map[uint16]string{}}, t)
}

// acceptVerdict is a standard target's verdict for NF_ACCEPT, -2 (-NF_ACCEPT - 1,
// as libiptc writes it), as the number without a sign that PutJump takes.
const acceptVerdict = 1<<32 - 2

// emptied is the table without rules and chains of the user, as it is when the
// kernel makes it.
func (t *table) emptied() *table {
	out := *t
	out.chains, out.byName = nil, map[string]*chain{}
	for _, c := range t.chains {
		if c.hook < 0 {
			continue
		}
		policy := &entry{raw: bytes.Clone(c.policy.raw)}
		xtables.PutJump(t.family, policy.raw, acceptVerdict)
		xtables.PutCounters(t.family, policy.raw, xtables.Counters{})
		part := &chain{name: c.name, hook: c.hook, policy: policy}
		out.chains, out.byName[c.name] = append(out.chains, part), part
	}
	return &out
}

// proven reads the tables again, still under the lock, and compares them byte
// for byte, counters aside.
func proven(ctx context.Context, moves []move) error {
	w, err := look(ctx)
	if err != nil {
		return err
	}
	for _, m := range moves {
		t := w.tables[tableKey{m.next.Family, m.next.Name}]
		if t == nil {
			return fmt.Errorf("%s table %s is not there after it was written", m.next.Family, m.next.Name)
		}
		is, err := t.build()
		if err != nil {
			return err
		}
		if !sameButCounters(is, m.next) {
			return fmt.Errorf("%s table %s does not read as it was written", m.next.Family, m.next.Name)
		}
	}
	return nil
}
