package nft

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// reader fills a Dump.
type reader struct {
	conn   *Conn
	dump   *Dump
	tables map[tableKey]*Table
	chains map[*Table]map[string]*Chain
	slab   []Rule // rules are made many at a time
}

type tableKey struct {
	family uint8
	name   string
}

func newReader(c *Conn) *reader {
	return &reader{conn: c, dump: &Dump{}, tables: map[tableKey]*Table{}, chains: map[*Table]map[string]*Chain{}}
}

func (r *reader) readTables() error {
	return r.conn.dump(unix.NFT_MSG_GETTABLE, unix.NFPROTO_UNSPEC, nil, func(family uint8, attrs []byte) error {
		t, err := ParseTable(family, attrs)
		if err != nil {
			return err
		}
		r.dump.Tables = append(r.dump.Tables, t)
		r.tables[tableKey{family, t.Name}] = t
		r.chains[t] = map[string]*Chain{}
		return nil
	})
}

func (r *reader) readChains() error {
	return r.conn.dump(unix.NFT_MSG_GETCHAIN, unix.NFPROTO_UNSPEC, nil, func(family uint8, attrs []byte) error {
		c, table, err := ParseChain(attrs)
		if err != nil {
			return err
		}
		t := r.tables[tableKey{family, string(table)}]
		if t == nil {
			return errOvertaken
		}
		t.Chains = append(t.Chains, c)
		r.chains[t][c.Name] = c
		return nil
	})
}

// readRules asks for each table by itself. The kernel walks over all that it
// has given already for every 32 KiB of an answer, so what one request covers
// costs its square.
func (r *reader) readRules() error {
	for _, t := range r.dump.Tables {
		attrs := AppendText(nil, unix.NFTA_RULE_TABLE, t.Name)
		if err := r.readRulesOf(t, attrs); err != nil {
			return fmt.Errorf("rules of table %q: %w", t.Name, err)
		}
	}
	return nil
}

func (r *reader) readRulesOf(t *Table, attrs []byte) error {
	var chain *Chain // of the rule before: rules come chain by chain
	return r.conn.dump(unix.NFT_MSG_GETRULE, t.Family, attrs, func(_ uint8, attrs []byte) error {
		rule := r.newRule()
		_, name, err := ParseRule(attrs, rule)
		if err != nil {
			return err
		}
		if chain == nil || chain.Name != string(name) {
			if chain = r.chains[t][string(name)]; chain == nil {
				return errOvertaken
			}
		}
		chain.Rules = append(chain.Rules, rule)
		return nil
	})
}

func (r *reader) newRule() *Rule {
	if len(r.slab) == 0 {
		r.slab = make([]Rule, 256)
	}
	rule := &r.slab[0]
	r.slab = r.slab[1:]
	return rule
}

func (r *reader) readSets() error {
	return r.conn.dump(unix.NFT_MSG_GETSET, unix.NFPROTO_UNSPEC, nil, func(family uint8, attrs []byte) error {
		s, table, err := ParseSet(attrs)
		if err != nil {
			return err
		}
		t := r.tables[tableKey{family, string(table)}]
		if t == nil {
			return errOvertaken
		}
		t.Sets = append(t.Sets, s)
		return nil
	})
}

func (r *reader) readElements() error {
	for _, t := range r.dump.Tables {
		for _, s := range t.Sets {
			if err := r.readElementsOf(t, s); err != nil {
				return fmt.Errorf("elements of set %q of table %q: %w", s.Name, t.Name, err)
			}
		}
	}
	return nil
}

func (r *reader) readElementsOf(t *Table, s *Set) error {
	attrs := AppendText(nil, unix.NFTA_SET_ELEM_LIST_TABLE, t.Name)
	attrs = AppendText(attrs, unix.NFTA_SET_ELEM_LIST_SET, s.Name)
	return r.conn.dump(unix.NFT_MSG_GETSETELEM, t.Family, attrs, func(_ uint8, attrs []byte) error {
		elements, err := ParseElements(attrs)
		s.Elements = append(s.Elements, elements...)
		return err
	})
}

func (r *reader) readObjects() error {
	return r.readOthers(unix.NFT_MSG_GETOBJ, unix.NFTA_OBJ_TABLE)
}

func (r *reader) readFlowtables() error {
	return r.readOthers(unix.NFT_MSG_GETFLOWTABLE, 1 /* NFTA_FLOWTABLE_TABLE */)
}

func (r *reader) readOthers(what, tableAttr uint16) error {
	return r.conn.dump(what, unix.NFPROTO_UNSPEC, nil, func(family uint8, attrs []byte) error {
		t := r.tables[tableKey{family, Text(Find(attrs, tableAttr))}]
		if t == nil {
			return errOvertaken
		}
		t.Others = append(t.Others, attrs)
		return nil
	})
}
