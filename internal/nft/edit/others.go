package edit

import (
	"cmp"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/nft"
)

// Attributes and types of stateful objects and flowtables
// (include/uapi/linux/netfilter/nf_tables.h).
const (
	flowUse    = 4 // NFTA_FLOWTABLE_USE
	flowHandle = 5 // NFTA_FLOWTABLE_HANDLE
	objUse     = unix.NFTA_OBJ_USE
	objHandle  = 6 // NFTA_OBJ_HANDLE
	objCounter = unix.NFT_OBJECT_COUNTER
	objQuota   = unix.NFT_OBJECT_QUOTA
)

// isFlowtable tells the two apart: the third attribute is the number of a type
// of the ones, the hook of the others.
func isFlowtable(raw []byte) bool { return len(nft.Find(raw, 3)) != 4 }

// otherPrint describes an object or flowtable without what it has counted.
func otherPrint(raw []byte) string {
	name := nft.Text(nft.Find(raw, 2))
	if isFlowtable(raw) {
		return "flowtable " + name + " " + nft.Raw(raw, flowUse, flowHandle)
	}
	without := []uint16{objUse, objHandle}
	switch nft.U32(nft.Find(raw, unix.NFTA_OBJ_TYPE)) {
	case objCounter:
		without = append(without, unix.NFTA_OBJ_DATA)
	case objQuota:
		raw = rewriteOne(raw, unix.NFTA_OBJ_DATA, unconsumed)
	}
	return "object " + name + " " + nft.Raw(raw, without...)
}

// quotaDepleted is NFT_QUOTA_F_DEPLETED: state, though it stands among the flags.
const quotaDepleted = 2

func unconsumed(data []byte) []byte {
	flags := nft.U32(nft.Find(data, unix.NFTA_QUOTA_FLAGS)) &^ quotaDepleted
	return nft.AppendU32(drop(drop(data, unix.NFTA_QUOTA_CONSUMED), unix.NFTA_QUOTA_FLAGS), unix.NFTA_QUOTA_FLAGS, flags)
}

// protocol is the number of a family (NFPROTO_*); 0 for none that tables have.
func protocol(f host.Family) uint8 {
	for number, name := range families {
		if name == f {
			return number
		}
	}
	return 0
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
