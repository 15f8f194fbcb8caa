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

// readOthers reads what an old kernel does not know, and so cannot hold: it
// refuses the very message (EINVAL).
func (r *reader) readOthers(what, tableAttr uint16) error {
	err := r.conn.dump(what, unix.NFPROTO_UNSPEC, nil, func(family uint8, attrs []byte) error {
		t := r.tables[tableKey{family, Text(Find(attrs, tableAttr))}]
		if t == nil {
			return errOvertaken
		}
		t.Others = append(t.Others, attrs)
		return nil
	})
	if err == unix.EINVAL {
		return nil
	}
	return err
}
