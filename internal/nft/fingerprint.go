package nft

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"golang.org/x/sys/unix"
)

// Fingerprint identifies a rule by what it means: a hash of where it stands
// (family, table, chain), its expressions and its userdata, with the content of
// its anonymous sets and chains in place of their names. Counters, consumed
// quotas, times of last use, expirations, handles and positions are left out,
// so it is the same after the rule was deleted and put back.
func Fingerprint(t *Table, c *Chain, r *Rule) string { return NewPrinter(t).Rule(c, r) }

// Printer makes the fingerprints of one table.
type Printer struct {
	table  *Table
	sets   map[string]*Set   // the anonymous ones; nil until one is asked for
	chains map[string]*Chain // likewise
	room   canon             // used again for each rule
}

// NewPrinter gives a Printer for a table with its sets, elements and chains.
func NewPrinter(t *Table) *Printer { return &Printer{table: t} }

// Rule is the fingerprint of a rule of chain c: 32 hexadecimal digits.
func (p *Printer) Rule(c *Chain, r *Rule) string {
	w := append(p.room[:0], p.table.Family)
	w.name(p.table.Name)
	w.name(c.Name)
	p.rule(&w, r, 0)
	p.room = w
	return w.sum()
}

// Element is the fingerprint of a set element without what passes by itself:
// its expiration and counters.
func (p *Printer) Element(set string, element []byte) string {
	w := canon{p.table.Family}
	w.put(0, []byte(p.table.Name))
	w.put(0, []byte(set))
	p.element(&w, element, 0)
	return w.sum()
}

// Raw is the fingerprint of a list of attributes without those of the types left out.
func Raw(attrs []byte, without ...uint16) string {
	var w canon
	w.list(attrs, func(w *canon, typ uint16, data []byte) bool { return slices.Contains(without, typ) })
	return w.sum()
}

// canon is what is hashed: attributes with their lengths, so that no two
// contents give the same bytes.
type canon []byte

func (w *canon) put(typ uint16, data []byte) {
	*w = binary.BigEndian.AppendUint16(*w, typ)
	*w = binary.BigEndian.AppendUint32(*w, uint32(len(data)))
	*w = append(*w, data...)
}

// name is put of a name, as type 0.
func (w *canon) name(name string) {
	*w = binary.BigEndian.AppendUint16(*w, 0)
	*w = binary.BigEndian.AppendUint32(*w, uint32(len(name)))
	*w = append(*w, name...)
}

// nest is put of what body writes.
func (w *canon) nest(typ uint16, body func(w *canon)) {
	*w = binary.BigEndian.AppendUint16(*w, typ)
	*w = append(*w, 0, 0, 0, 0)
	at := len(*w)
	body(w)
	binary.BigEndian.PutUint32((*w)[at-4:], uint32(len(*w)-at))
}

// list writes attributes; those that special has dealt with are left to it. A
// torn rest is written as it is.
func (w *canon) list(attrs []byte, special func(w *canon, typ uint16, data []byte) bool) {
	n := 0
	err := Walk(attrs, func(typ uint16, data []byte) {
		n += align(attrHead + len(data))
		if !special(w, typ, data) {
			w.put(typ, data)
		}
	})
	if err != nil {
		w.put(0xffff, attrs[min(n, len(attrs)):])
	}
}

func (w canon) sum() string {
	h := sha256.Sum256(w)
	var out [32]byte
	hex.Encode(out[:], h[:16])
	return string(out[:])
}

// deepest bounds how far anonymous chains nest; the kernel allows 16 jumps.
const deepest = 16

func (p *Printer) rule(w *canon, r *Rule, depth int) {
	p.exprs(w, r.Exprs, depth)
	w.put(unix.NFTA_RULE_USERDATA, r.Userdata)
}

func (p *Printer) exprs(w *canon, list []byte, depth int) {
	w.list(list, func(w *canon, typ uint16, data []byte) bool {
		if typ != unix.NFTA_LIST_ELEM {
			return false
		}
		p.expr(w, data, depth)
		return true
	})
}

// expr writes one expression without its state.
func (p *Printer) expr(w *canon, attrs []byte, depth int) {
	name := textBytes(Find(attrs, unix.NFTA_EXPR_NAME))
	data := Find(attrs, unix.NFTA_EXPR_DATA)
	w.put(unix.NFTA_EXPR_NAME, name)
	w.nest(unix.NFTA_EXPR_DATA, func(w *canon) { p.body(w, name, data, depth) })
}

// body writes what an expression of a name holds.
func (p *Printer) body(w *canon, name, data []byte, depth int) {
	switch string(name) {
	case "counter", "last":
	case "quota":
		w.list(data, withoutConsumed)
	case "lookup":
		w.list(data, p.setNames(unix.NFTA_LOOKUP_SET, unix.NFTA_LOOKUP_SET_ID, depth))
	case "objref":
		w.list(data, p.setNames(unix.NFTA_OBJREF_SET_NAME, unix.NFTA_OBJREF_SET_ID, depth))
	case "dynset":
		w.list(data, p.dynset(depth))
	case "immediate":
		w.list(data, p.verdicts(unix.NFTA_IMMEDIATE_DATA, depth))
	default:
		*w = append(*w, data...)
	}
}

// quotaDepleted is NFT_QUOTA_F_DEPLETED: state, though it stands among the flags.
const quotaDepleted = 2

func withoutConsumed(w *canon, typ uint16, data []byte) bool {
	if typ == unix.NFTA_QUOTA_FLAGS {
		*w = binary.BigEndian.AppendUint32(*w, U32(data)&^quotaDepleted)
		return true
	}
	return typ == unix.NFTA_QUOTA_CONSUMED || typ == unix.NFTA_QUOTA_PAD
}

// setNames writes an anonymous set by its content.
func (p *Printer) setNames(name, id uint16, depth int) func(*canon, uint16, []byte) bool {
	return func(w *canon, typ uint16, data []byte) bool {
		switch typ {
		case id:
			return true
		case name:
			if s := p.anonymousSet(Text(data)); s != nil && depth < deepest {
				p.set(w, s, depth+1)
				return true
			}
		}
		return false
	}
}

const dynsetExpressions = 10 // NFTA_DYNSET_EXPRESSIONS

func (p *Printer) dynset(depth int) func(*canon, uint16, []byte) bool {
	names := p.setNames(unix.NFTA_DYNSET_SET_NAME, unix.NFTA_DYNSET_SET_ID, depth)
	return func(w *canon, typ uint16, data []byte) bool {
		switch typ {
		case unix.NFTA_DYNSET_EXPR:
			p.expr(w, data, depth)
			return true
		case dynsetExpressions:
			p.exprs(w, data, depth)
			return true
		}
		return names(w, typ, data)
	}
}

// verdicts writes a jump to an anonymous chain by the rules of that chain.
func (p *Printer) verdicts(holder uint16, depth int) func(*canon, uint16, []byte) bool {
	return func(w *canon, typ uint16, data []byte) bool {
		if typ != holder {
			return false
		}
		verdict := Find(data, unix.NFTA_DATA_VERDICT)
		c := p.anonymousChain(Text(Find(verdict, unix.NFTA_VERDICT_CHAIN)))
		if c == nil || depth >= deepest {
			return false
		}
		w.put(unix.NFTA_VERDICT_CODE, Find(verdict, unix.NFTA_VERDICT_CODE))
		for _, r := range c.Rules {
			p.rule(w, r, depth+1)
		}
		return true
	}
}

// Attributes of sets and elements that golang.org/x/sys/unix does not name.
const (
	setExpr          = 17 // NFTA_SET_EXPR
	setExpressions   = 18 // NFTA_SET_EXPRESSIONS
	setType          = 19 // NFTA_SET_TYPE: the backend that the kernel chose
	setCount         = 20 // NFTA_SET_COUNT
	elemExpressions  = 11 // NFTA_SET_ELEM_EXPRESSIONS
	anonymousSetFlag = unix.NFT_SET_ANONYMOUS
)

// set writes an anonymous set: what it is, then its elements in one order.
func (p *Printer) set(w *canon, s *Set, depth int) {
	w.list(s.Attrs, func(w *canon, typ uint16, data []byte) bool {
		switch typ {
		case unix.NFTA_SET_TABLE, unix.NFTA_SET_NAME, unix.NFTA_SET_ID, setHandle, setType, setCount, unix.NFTA_SET_PAD:
			return true
		}
		return false
	})
	elements := make([]canon, len(s.Elements))
	for i, e := range s.Elements {
		p.element(&elements[i], e, depth)
	}
	slices.SortFunc(elements, func(a, b canon) int { return bytes.Compare(a, b) })
	for _, e := range elements {
		w.put(unix.NFTA_LIST_ELEM, e)
	}
}

func (p *Printer) element(w *canon, attrs []byte, depth int) {
	verdict := p.verdicts(unix.NFTA_SET_ELEM_DATA, depth)
	w.list(attrs, func(w *canon, typ uint16, data []byte) bool {
		switch typ {
		case unix.NFTA_SET_ELEM_EXPIRATION, unix.NFTA_SET_ELEM_PAD:
			return true
		case unix.NFTA_SET_ELEM_EXPR:
			p.expr(w, data, depth)
			return true
		case elemExpressions:
			p.exprs(w, data, depth)
			return true
		}
		return verdict(w, typ, data)
	})
}

func (p *Printer) anonymousSet(name string) *Set {
	if p.sets == nil {
		p.sets = map[string]*Set{}
		for _, s := range p.table.Sets {
			if s.Flags&anonymousSetFlag != 0 {
				p.sets[s.Name] = s
			}
		}
	}
	return p.sets[name]
}

// boundChain is NFT_CHAIN_BINDING: the chain belongs to one rule.
const boundChain = 4

func (p *Printer) anonymousChain(name string) *Chain {
	if name == "" {
		return nil
	}
	if p.chains == nil {
		p.chains = map[string]*Chain{}
		for _, c := range p.table.Chains {
			if c.Flags&boundChain != 0 {
				p.chains[c.Name] = c
			}
		}
	}
	return p.chains[name]
}

// SetContents is the elements of a set as fingerprints, in one order.
func (p *Printer) SetContents(s *Set) []string {
	out := make([]string, len(s.Elements))
	for i, e := range s.Elements {
		out[i] = p.Element(s.Name, e)
	}
	slices.Sort(out)
	return out
}
