package nft

import "encoding/binary"

// fields are the attributes of one expression or element by their number
// (struct nlattr: length and type in host byte order, payload padded to four bytes;
// include/uapi/linux/netlink.h). Absent ones are nil.
type fields [12][]byte

// cutAttr splits the first attribute off b. ok is false at the end and where the
// bytes are torn; then rest tells which: torn bytes are left in it.
func cutAttr(b []byte) (kind uint16, payload, rest []byte, ok bool) {
	if len(b) < attrHead {
		return 0, nil, b, false
	}
	size := int(binary.NativeEndian.Uint16(b))
	if size < attrHead || size > len(b) {
		return 0, nil, b, false
	}
	next := min(align(size), len(b))
	return binary.NativeEndian.Uint16(b[2:]) & typeMask, b[attrHead:size:size], b[next:], true
}

// read sorts the attributes of b by number. It gives the highest number seen and
// whether the bytes were whole.
func (f *fields) read(b []byte) (highest int, whole bool) {
	for len(b) > 0 {
		kind, payload, rest, ok := cutAttr(b)
		if !ok {
			return highest, false
		}
		highest = max(highest, int(kind))
		if int(kind) < len(f) {
			f[kind] = payload
		}
		b = rest
	}
	return highest, true
}

// u32 is a big-endian number; 0 where the attribute is absent or torn.
func (f *fields) u32(n int) uint32 {
	if len(f[n]) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(f[n])
}

func (f *fields) u16(n int) uint16 {
	if len(f[n]) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(f[n])
}

func (f *fields) u64(n int) uint64 {
	if len(f[n]) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(f[n])
}

func (f *fields) has(n int) bool { return f[n] != nil }

// text is a string up to its NUL.
func (f *fields) text(n int) string { return Text(f[n]) }

// data is NFTA_DATA_VALUE inside the attribute n (enum nft_data_attributes).
func (f *fields) data(n int) []byte { return dataValue(f[n]) }

func dataValue(b []byte) []byte {
	kind, payload, _, ok := cutAttr(b)
	if !ok || kind != dataIsValue {
		return nil
	}
	return payload
}

// enum nft_data_attributes
const (
	dataIsValue   = 1
	dataIsVerdict = 2
)
