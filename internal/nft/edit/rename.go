package edit

import (
	"encoding/binary"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// renames are names and numbers in the expressions of a rule that are not
// free any more, or mean something else now, and what stands for them.
type renames struct {
	sets, chains map[string]string
	indices      map[uint16]uint16 // of ipsets
	made         []string          // the anonymous sets and chains, by their names now
}

func (r renames) set(name string) string   { return renamed(r.sets, name) }
func (r renames) chain(name string) string { return renamed(r.chains, name) }

func renamed(m map[string]string, name string) string {
	if to, ok := m[name]; ok {
		return to
	}
	return name
}

// renames finds names for what belongs to an object, and the numbers that its
// ipsets have now.
func (b *batch) renames(t *tableView, o *change.Object) (renames, error) {
	r := renames{sets: map[string]string{}, chains: map[string]string{}, indices: map[uint16]uint16{}}
	for text, name := range o.Names {
		was, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return r, err
		}
		is, err := b.ipsets.index(name)
		if err != nil {
			return r, err
		}
		if is != uint16(was) {
			r.indices[uint16(was)] = is
		}
	}
	for _, p := range o.Parts {
		to, free := r.sets, b.free(t, p.Name)
		if p.Kind == partChain {
			to = r.chains
		}
		r.made = append(r.made, free)
		if free != p.Name {
			to[p.Name] = free
		}
	}
	return r, nil
}

// expressions rewrites a list of expressions; where nothing has another name
// it is the same bytes.
func (r renames) expressions(list []byte) []byte {
	if len(r.sets)+len(r.chains)+len(r.indices) == 0 {
		return list
	}
	return rewrite(list, func(_ uint16, elem []byte) []byte {
		name := nft.Text(nft.Find(elem, unix.NFTA_EXPR_NAME))
		return rewriteOne(elem, unix.NFTA_EXPR_DATA, func(data []byte) []byte { return r.expression(name, data) })
	})
}

func (r renames) expression(name string, data []byte) []byte {
	set := func(b []byte) []byte { return append([]byte(r.set(nft.Text(b))), 0) }
	chain := func(b []byte) []byte { return append([]byte(r.chain(nft.Text(b))), 0) }
	switch name {
	case "lookup":
		return rewriteOne(data, unix.NFTA_LOOKUP_SET, set)
	case "dynset":
		return rewriteOne(data, unix.NFTA_DYNSET_SET_NAME, set)
	case "objref":
		return rewriteOne(data, unix.NFTA_OBJREF_SET_NAME, set)
	case "immediate":
		return rewriteOne(data, unix.NFTA_IMMEDIATE_DATA, func(b []byte) []byte {
			return rewriteOne(b, unix.NFTA_DATA_VERDICT, func(b []byte) []byte {
				return rewriteOne(b, unix.NFTA_VERDICT_CHAIN, chain)
			})
		})
	case "match", "target":
		return rewriteOne(data, unix.NFTA_MATCH_INFO, func(info []byte) []byte { return r.ipsets(name, data, info) })
	}
	return data
}

// ipsets puts the present numbers of ipsets into the data of an xt extension.
func (r renames) ipsets(kind string, ext, info []byte) []byte {
	info = slices.Clone(info)
	for _, at := range indexOffsets(kind, ext) {
		if at+2 > len(info) {
			continue
		}
		if to, ok := r.indices[binary.NativeEndian.Uint16(info[at:])]; ok {
			binary.NativeEndian.PutUint16(info[at:], to)
		}
	}
	return info
}

// rewrite makes a list of attributes anew with other payloads.
func rewrite(list []byte, to func(typ uint16, data []byte) []byte) []byte {
	var out []byte
	_ = nft.Walk(list, func(typ uint16, data []byte) { out = nft.AppendAttr(out, typ, to(typ, data)) })
	return out
}

// rewriteOne gives the attributes of one type another payload.
func rewriteOne(list []byte, which uint16, to func([]byte) []byte) []byte {
	return rewrite(list, func(typ uint16, data []byte) []byte {
		if typ == which {
			return to(data)
		}
		return data
	})
}
