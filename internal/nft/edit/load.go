package edit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// loadTries bounds how often a table is loaded again without what the kernel
// refused of it: what hangs on that is refused next.
const loadTries = 6

// Load makes what a snapshot's dump holds (World's file FileName) in the network
// namespace of the calling thread, which must be an empty one: for rehearsals. It
// says in words what the kernel did not take, which is left out.
func Load(ctx context.Context, file []byte) (lacking []string, err error) {
	d, err := ReadFile(file)
	if err != nil {
		return nil, err
	}
	is, err := nft.Read(ctx, nft.Options{NoElements: true})
	if err != nil {
		return nil, err
	}
	if len(is.Tables) > 0 {
		return nil, fmt.Errorf("loading nf_tables: the namespace holds %d tables already, and only an empty one is loaded", len(is.Tables))
	}
	for _, t := range viewOf(d).order {
		missing, err := loadTable(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("loading table %s %s: %w", familyName(t.Family), t.Name, err)
		}
		lacking = append(lacking, missing...)
	}
	return lacking, nil
}

// loader is one table on its way: its objects are numbered, so that those which
// the kernel refuses can be left out.
type loader struct {
	*batch
	t     *tableView
	n     int
	words []string
	skip  map[int]string
}

func loadTable(ctx context.Context, t *tableView) ([]string, error) {
	skip := map[int]string{}
	for range loadTries {
		generation, err := nft.Generation(ctx)
		if err != nil {
			return nil, err
		}
		l := &loader{batch: newBatch(ctx, &view{generation: generation}), t: t, skip: skip}
		l.table()
		a, err := l.send(ctx, true)
		if err != nil {
			return nil, err
		}
		if len(a.failed) == 0 {
			return l.lacking(), nil
		}
		for n, why := range a.failed {
			skip[n] = why
		}
	}
	return nil, errors.New("the kernel goes on refusing parts of it")
}

// next begins an object; false where it is to be left out.
func (l *loader) next(format string, args ...any) bool {
	l.n++
	l.words = append(l.words, fmt.Sprintf("%s %s: ", familyName(l.t.Family), l.t.Name)+fmt.Sprintf(format, args...))
	return l.skip[l.n] == ""
}

func (l *loader) lacking() (out []string) {
	for i, words := range l.words {
		if why := l.skip[i+1]; why != "" {
			out = append(out, words+": "+why)
		}
	}
	return out
}

// table adds the messages of the table: what is named before what names it.
func (l *loader) table() {
	if l.next("the table") {
		attrs := nft.AppendText(nil, unix.NFTA_TABLE_NAME, l.t.Name)
		// A table with an owner would end with the socket that makes it.
		attrs = nft.AppendU32(attrs, unix.NFTA_TABLE_FLAGS, l.t.Flags&^(tableOwned|tablePersists))
		attrs = pick(attrs, l.t.Attrs, tableUserdata)
		l.add(l.n, unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, l.t.Family, attrs)
	}
	l.others(false)
	l.chains()
	l.others(true)
	for _, s := range l.t.Sets {
		if s.Flags&unix.NFT_SET_ANONYMOUS == 0 && l.next("set %s", s.Name) {
			l.restoreSet(l.n, l.t, change.Part{Kind: partSet, Name: s.Name, Raw: s.Attrs, Elements: s.Elements}, s.Name)
		}
	}
	l.rules()
}

// Attributes that golang.org/x/sys/unix does not name, and flags of tables.
const (
	tablePersists = 4 // NFT_TABLE_F_PERSIST
	tableUserdata = 6 // NFTA_TABLE_USERDATA
	objUserdata   = 8 // NFTA_OBJ_USERDATA
	flowFlags     = 7 // NFTA_FLOWTABLE_FLAGS
	msgFlowtable  = unix.NFT_MSG_NEWFLOWTABLE
)

// pick appends the attributes of the given types as they stand.
func pick(to, from []byte, types ...uint16) []byte {
	for _, typ := range types {
		if data := nft.Find(from, typ); data != nil {
			to = nft.AppendAttr(to, typ, data)
		}
	}
	return to
}

// others adds the objects, or the flowtables: the third attribute is the number
// of a type of the ones, the hook of the others.
func (l *loader) others(flowtables bool) {
	for _, raw := range l.t.Others {
		if isFlowtable(raw) != flowtables {
			continue
		}
		name := nft.Text(nft.Find(raw, 2))
		message, kept := uint16(unix.NFT_MSG_NEWOBJ), []uint16{1, 2, 3, 4, objUserdata} // NFTA_OBJ_TABLE, _NAME, _TYPE, _DATA
		if flowtables {
			message, kept = msgFlowtable, []uint16{1, 2, 3, flowFlags} // NFTA_FLOWTABLE_TABLE, _NAME, _HOOK
		}
		if l.next("object %s", name) {
			l.add(l.n, message, unix.NLM_F_CREATE, l.t.Family, pick(nil, raw, kept...))
		}
	}
}

func (l *loader) chains() {
	for _, c := range l.t.Chains {
		if c.Flags&chainBinding == 0 && l.next("chain %s", c.Name) {
			attrs := pick(nil, c.Attrs, unix.NFTA_CHAIN_TABLE, unix.NFTA_CHAIN_NAME, unix.NFTA_CHAIN_HOOK, unix.NFTA_CHAIN_POLICY,
				unix.NFTA_CHAIN_TYPE, unix.NFTA_CHAIN_COUNTERS, chainFlags, chainUserdata)
			l.add(l.n, unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, l.t.Family, attrs)
		}
	}
}

// rules adds the rules of chains that stand by themselves, each with what
// belongs to it under its own name.
func (l *loader) rules() {
	for _, c := range l.t.Chains {
		if c.Flags&chainBinding != 0 {
			continue
		}
		for i, r := range c.Rules {
			if !l.next("rule %d of chain %s", i+1, c.Name) {
				continue
			}
			parts, _ := l.t.collect(r, cut{})
			l.restoreParts(l.n, l.t, parts.parts(), renames{})
			l.add(l.n, unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, l.t.Family, ruleAttrs(l.t, c.Name, r.Attrs, renames{}))
		}
	}
}
