package edit

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nft"
)

// compat gives the attribute NFTA_RULE_COMPAT of a rule, which xt extensions
// such as multiport and TPROXY ask for the rule's protocol, and which the kernel
// never gives out (net/netfilter/nft_compat.c). Of a bridge rule it is the
// ethertype. It is nil where the rule has no xt extension or no one protocol.
func compat(family uint8, exprs []byte) []byte {
	list, _ := nft.Expressions(exprs)
	xt := false
	for _, e := range list {
		xt = xt || e.Name == "match" || e.Name == "target"
	}
	if !xt {
		return nil
	}
	for i := 0; i+1 < len(list); i++ {
		if !loadsProtocol(family, list[i]) {
			continue
		}
		if proto, inverted, ok := comparedNumber(list[i+1]); ok {
			return compatAttr(proto, inverted)
		}
	}
	return nil
}

func compatAttr(proto uint32, inverted bool) []byte {
	flags := uint32(0)
	if inverted {
		flags = unix.NFT_RULE_COMPAT_F_INV
	}
	b := nft.AppendU32(nil, unix.NFTA_RULE_COMPAT_PROTO, proto)
	return nft.AppendNest(nil, unix.NFTA_RULE_COMPAT, nft.AppendU32(b, unix.NFTA_RULE_COMPAT_FLAGS, flags))
}

// loadsProtocol says whether an expression loads what compat carries: `meta
// l4proto`, the protocol of the IP header, or the ethertype of a bridge rule.
func loadsProtocol(family uint8, e nft.Expr) bool {
	get := func(typ uint16) uint32 { return nft.U32(nft.Find(e.Data, typ)) }
	switch e.Name {
	case "meta":
		if family == unix.NFPROTO_BRIDGE {
			return get(unix.NFTA_META_KEY) == unix.NFT_META_PROTOCOL && nft.Find(e.Data, unix.NFTA_META_KEY) != nil
		}
		return get(unix.NFTA_META_KEY) == unix.NFT_META_L4PROTO
	case "payload":
		base, offset, size := get(unix.NFTA_PAYLOAD_BASE), get(unix.NFTA_PAYLOAD_OFFSET), get(unix.NFTA_PAYLOAD_LEN)
		switch family {
		case unix.NFPROTO_BRIDGE:
			return base == unix.NFT_PAYLOAD_LL_HEADER && offset == 12 && size == 2
		case unix.NFPROTO_IPV4:
			return base == unix.NFT_PAYLOAD_NETWORK_HEADER && offset == 9 && size == 1
		case unix.NFPROTO_IPV6:
			return base == unix.NFT_PAYLOAD_NETWORK_HEADER && offset == 6 && size == 1
		}
	}
	return false
}

// comparedNumber reads a comparison with one number of 1 or 2 bytes.
func comparedNumber(e nft.Expr) (n uint32, inverted, ok bool) {
	value := nft.FindPath(e.Data, unix.NFTA_CMP_DATA, unix.NFTA_DATA_VALUE)
	op := nft.U32(nft.Find(e.Data, unix.NFTA_CMP_OP))
	if e.Name != "cmp" || op != unix.NFT_CMP_EQ && op != unix.NFT_CMP_NEQ {
		return 0, false, false
	}
	switch len(value) {
	case 1:
		n = uint32(value[0])
	case 2:
		// An ethertype: the kernel takes the number's bytes as they are for a value in
		// network order (entry->ebt.ethproto, nft_target_set_tgchk_param).
		n = uint32(binary.NativeEndian.Uint16(value))
	default:
		return 0, false, false
	}
	return n, op == unix.NFT_CMP_NEQ, true
}
