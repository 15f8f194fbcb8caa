package tc

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
)

var errShort = errors.New("it is shorter than its header")

// attrs are the attributes of one level by type; of equal types the last.
type attrs map[uint16][]byte

// nestedBits are NLA_F_NESTED and NLA_F_NET_BYTEORDER of include/uapi/linux/netlink.h.
const nestedBits = netlink.Nested | netlink.NetByteOrder

func list(b []byte) ([]netlink.Attribute, error) {
	all, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		return nil, fmt.Errorf("its attributes cannot be read: %w", err)
	}
	for i := range all {
		all[i].Type &^= nestedBits
	}
	return all, nil
}

// pack writes attributes, with their lengths as they are now.
func pack(all []netlink.Attribute) ([]byte, error) {
	for i := range all {
		all[i].Length = uint16(4 + len(all[i].Data))
	}
	return netlink.MarshalAttributes(all)
}

func parse(b []byte) (attrs, error) {
	all, err := list(b)
	out := make(attrs, len(all))
	for _, a := range all {
		out[a.Type] = a.Data
	}
	return out, err
}

func (a attrs) u32(t uint16) (uint32, bool) {
	if b := a[t]; len(b) >= 4 {
		return binary.NativeEndian.Uint32(b), true
	}
	return 0, false
}

// be16 reads a port or protocol, which stand in network order.
func (a attrs) be16(t uint16) (uint16, bool) {
	if b := a[t]; len(b) >= 2 {
		return binary.BigEndian.Uint16(b), true
	}
	return 0, false
}

func (a attrs) text(t uint16) string {
	b := a[t]
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
