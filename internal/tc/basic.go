package tc

import (
	"encoding/binary"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// TCA_BASIC_EMATCHES and TCA_EMATCH_TREE_* of include/uapi/linux/pkt_cls.h.
const (
	basicEmatches = 2
	ematchHeader  = 1
	ematchList    = 2
	ematchU32     = 3 // TCF_EM_U32
	ematchSize    = 8 // struct tcf_ematch_hdr
)

// The flags of struct tcf_ematch_hdr.
const (
	ematchOr     = 2
	ematchInvert = 4
)

// basic reads the extended matches of a basic filter: a chain of u32 matches
// that must all hold is said in sets, anything else in words.
func (f filter) basic(m *host.Match) {
	raw, ok := f.options[basicEmatches]
	if !ok {
		return
	}
	tree, err := parse(raw)
	if err != nil {
		m.Require("ematches that could not be read")
		return
	}
	items, err := list(tree[ematchList])
	if err != nil || len(items) == 0 && len(tree[ematchHeader]) >= 2 && binary.NativeEndian.Uint16(tree[ematchHeader]) != 0 {
		m.Require("ematches that could not be read")
		return
	}
	var k bytemask
	for _, item := range items {
		if len(item.Data) < ematchSize {
			m.Require("an ematch that could not be read")
			return
		}
		kind, flags := binary.NativeEndian.Uint16(item.Data[2:]), binary.NativeEndian.Uint16(item.Data[4:])
		if kind != ematchU32 || flags&(ematchOr|ematchInvert) != 0 || len(item.Data) < ematchSize+sizeofKey {
			m.Require(fmt.Sprintf("a tree of %d ematches", len(items)))
			return
		}
		k.key(item.Data[ematchSize:][:sizeofKey])
	}
	k.narrow(m)
}
