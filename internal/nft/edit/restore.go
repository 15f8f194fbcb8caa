package edit

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// Attributes that golang.org/x/sys/unix does not name.
const (
	rulePositionID = 10 // NFTA_RULE_POSITION_ID
	chainUserdata  = 12 // NFTA_CHAIN_USERDATA
	setExpr        = 17 // NFTA_SET_EXPR
	setExpressions = 18 // NFTA_SET_EXPRESSIONS
)

// restore adds the messages that make the pending rule of a slot, with all
// that belongs to it.
func (b *batch) restore(c *chainView, s *slot, at spot) {
	number, o := s.pending.step.number, s.pending.object
	r, err := b.renames(c.table, o)
	if err == nil {
		err = lacking(c.table, o)
	}
	if err != nil {
		b.leave(number, "%s cannot be put back: %s", objectName(o), err)
		return // it stays pending: nothing is placed beside it
	}
	b.restoreParts(number, c.table, o.Parts, r)
	attrs := ruleAttrs(c.table, c.Name, o.Raw, r)
	s.id, s.pending, s.names = b.id(), nil, r.made
	attrs = nft.AppendU32(attrs, unix.NFTA_RULE_ID, s.id)
	position, flags := at.attrs()
	attrs = append(attrs, position...)
	b.add(number, unix.NFT_MSG_NEWRULE, flags, c.table.Family, attrs)
}

// lacking says which set or chain that a rule names is gone from its table.
func lacking(t *tableView, o *change.Object) error {
	own := map[string]bool{}
	lists := [][]byte{nft.Find(o.Raw, unix.NFTA_RULE_EXPRESSIONS)}
	for _, p := range o.Parts {
		own[p.Name] = true
		if p.Kind != partChain {
			continue
		}
		for _, rule := range p.Elements {
			lists = append(lists, nft.Find(rule, unix.NFTA_RULE_EXPRESSIONS))
		}
	}
	for _, list := range lists {
		for _, u := range uses(list) {
			switch {
			case u.set != "" && !own[u.set] && t.sets[u.set] == nil:
				return fmt.Errorf("set %s, which it looks at, is gone; create it again first", u.set)
			case u.chain != "" && !own[u.chain] && t.chains[u.chain] == nil:
				return fmt.Errorf("chain %s, to which it jumps, is gone; create it again first", u.chain)
			}
		}
	}
	return nil
}

// restoreParts makes sets, then chains, then their rules, inner chains first:
// a chain takes no rule any more once a rule jumps to it.
func (b *batch) restoreParts(number int, t *tableView, parts []change.Part, r renames) {
	for _, p := range parts {
		if p.Kind == partSet {
			b.restoreSet(number, t, p, r.set(p.Name))
		}
	}
	for _, p := range parts {
		if p.Kind == partChain {
			b.restoreChain(number, t, p, r.chain(p.Name))
		}
	}
	for _, p := range parts {
		if p.Kind != partChain {
			continue
		}
		for _, rule := range p.Elements {
			attrs := ruleAttrs(t, r.chain(p.Name), rule, r)
			b.add(number, unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, t.Family, attrs)
		}
	}
}

// ruleAttrs are the attributes that make a rule from those that the kernel dumped.
func ruleAttrs(t *tableView, chain string, raw []byte, r renames) []byte {
	exprs := nft.Find(raw, unix.NFTA_RULE_EXPRESSIONS)
	attrs := nft.AppendText(nil, unix.NFTA_RULE_TABLE, t.Name)
	attrs = nft.AppendText(attrs, unix.NFTA_RULE_CHAIN, chain)
	attrs = nft.AppendNest(attrs, unix.NFTA_RULE_EXPRESSIONS, acceptable(r.expressions(exprs)))
	if userdata := nft.Find(raw, unix.NFTA_RULE_USERDATA); len(userdata) > 0 {
		attrs = nft.AppendAttr(attrs, unix.NFTA_RULE_USERDATA, userdata)
	}
	return append(attrs, compat(t.Family, exprs)...)
}

// setAttrs are what makes a set; the kernel gives out the rest by itself.
var setAttrs = map[uint16]bool{
	unix.NFTA_SET_FLAGS: true, unix.NFTA_SET_KEY_TYPE: true, unix.NFTA_SET_KEY_LEN: true,
	unix.NFTA_SET_DATA_TYPE: true, unix.NFTA_SET_DATA_LEN: true, unix.NFTA_SET_OBJ_TYPE: true,
	unix.NFTA_SET_POLICY: true, unix.NFTA_SET_DESC: true, unix.NFTA_SET_TIMEOUT: true,
	unix.NFTA_SET_GC_INTERVAL: true, unix.NFTA_SET_USERDATA: true, setExpr: true, setExpressions: true,
}

func (b *batch) restoreSet(number int, t *tableView, p change.Part, name string) {
	id := b.id()
	attrs := nft.AppendText(nil, unix.NFTA_SET_TABLE, t.Name)
	attrs = nft.AppendText(attrs, unix.NFTA_SET_NAME, name)
	attrs = nft.AppendU32(attrs, unix.NFTA_SET_ID, id)
	_ = nft.Walk(p.Raw, func(typ uint16, data []byte) {
		if setAttrs[typ] {
			attrs = nft.AppendAttr(attrs, typ, data)
		}
	})
	b.add(number, unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, t.Family, attrs)
	head := elementHead(t, name)
	head = nft.AppendU32(head, unix.NFTA_SET_ELEM_LIST_SET_ID, id)
	for _, list := range lists(p.Elements) {
		b.add(number, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, t.Family, nft.AppendNest(head, unix.NFTA_SET_ELEM_LIST_ELEMENTS, list))
	}
}

// listMax keeps a list of elements below the 64 KiB that an attribute holds.
const listMax = 32 << 10

// lists packs elements into the payloads of NFTA_SET_ELEM_LIST_ELEMENTS.
func lists(elements [][]byte) [][]byte {
	var out [][]byte
	var list []byte
	for _, e := range elements {
		if len(list)+len(e) > listMax && len(list) > 0 {
			out, list = append(out, list), nil
		}
		list = nft.AppendNest(list, unix.NFTA_LIST_ELEM, e)
	}
	if len(list) > 0 {
		out = append(out, list)
	}
	return out
}

func (b *batch) restoreChain(number int, t *tableView, p change.Part, name string) {
	attrs := nft.AppendText(nil, unix.NFTA_CHAIN_TABLE, t.Name)
	attrs = nft.AppendText(attrs, unix.NFTA_CHAIN_NAME, name)
	attrs = nft.AppendU32(attrs, chainFlags, chainBinding)
	attrs = nft.AppendU32(attrs, chainID, b.id())
	if userdata := nft.Find(p.Raw, chainUserdata); len(userdata) > 0 {
		attrs = nft.AppendAttr(attrs, chainUserdata, userdata)
	}
	b.add(number, unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, t.Family, attrs)
}

// used are the names of sets and chains of a table that are taken.
func (b *batch) used(t *tableView) map[string]bool {
	if b.names[t] == nil {
		b.names[t] = map[string]bool{}
		for name := range t.sets {
			b.names[t][name] = true
		}
		for name := range t.chains {
			b.names[t][name] = true
		}
	}
	return b.names[t]
}

// free gives the name itself where it is free, else one like it.
func (b *batch) free(t *tableView, name string) string {
	used := b.used(t)
	stem, free := strings.TrimRight(name, "0123456789"), name
	for i := 0; used[free]; i++ {
		free = fmt.Sprintf("%s%d", stem, i)
	}
	used[free] = true
	return free
}
