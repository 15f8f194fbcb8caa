package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ErrTorn says that a list of attributes ends in the middle of one. What was
// visited before it stands.
var ErrTorn = errors.New("torn netlink attributes")

// attrHead is sizeof(struct nlattr), include/uapi/linux/netlink.h.
const attrHead = 4

// typeMask cuts NLA_F_NESTED and NLA_F_NET_BYTEORDER from an attribute's type.
const typeMask = 0x3fff

// nested is NLA_F_NESTED.
const nested = 0x8000

// Walk calls visit for each attribute of a list, in order, with its type
// (flags cut off) and its payload, which points into b. The error is ErrTorn.
func Walk(b []byte, visit func(typ uint16, data []byte)) error {
	for len(b) >= attrHead {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attrHead || n > len(b) {
			return ErrTorn
		}
		visit(binary.NativeEndian.Uint16(b[2:])&typeMask, b[attrHead:n:n])
		b = b[min(align(n), len(b)):]
	}
	if len(b) > 0 {
		return ErrTorn
	}
	return nil
}

// Find gives the payload of the first attribute of a type; nil where there is
// none. An attribute that is there but empty is an empty slice, not nil.
func Find(b []byte, typ uint16) []byte {
	for len(b) >= attrHead {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attrHead || n > len(b) {
			return nil
		}
		if binary.NativeEndian.Uint16(b[2:])&typeMask == typ {
			return b[attrHead:n:n]
		}
		b = b[min(align(n), len(b)):]
	}
	return nil
}

// FindPath is Find through nested attributes, outermost type first.
func FindPath(b []byte, types ...uint16) []byte {
	for _, t := range types {
		if b = Find(b, t); b == nil {
			return nil
		}
	}
	return b
}

// U32 reads a big-endian number as nf_tables writes them; 0 unless it has 4 bytes.
func U32(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// U64 reads a big-endian number; 0 unless it has 8 bytes.
func U64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Text reads a name: the bytes before the first NUL, unchanged. They may be anything.
func Text(b []byte) string { return string(textBytes(b)) }

func textBytes(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// AppendAttr appends one attribute, padded to 4 bytes.
func AppendAttr(b []byte, typ uint16, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrHead+len(data)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, data...)
	return append(b, make([]byte, align(len(data))-len(data))...)
}

// AppendNest appends an attribute that holds attributes (NLA_F_NESTED).
func AppendNest(b []byte, typ uint16, data []byte) []byte {
	return AppendAttr(b, typ|nested, data)
}

// AppendU32 appends a big-endian number.
func AppendU32(b []byte, typ uint16, v uint32) []byte {
	return AppendAttr(b, typ, binary.BigEndian.AppendUint32(nil, v))
}

// AppendU64 appends a big-endian number.
func AppendU64(b []byte, typ uint16, v uint64) []byte {
	return AppendAttr(b, typ, binary.BigEndian.AppendUint64(nil, v))
}

// AppendText appends a name with the NUL that the kernel wants at its end.
func AppendText(b []byte, typ uint16, text string) []byte {
	return AppendAttr(b, typ, append([]byte(text), 0))
}

func align(n int) int { return (n + 3) &^ 3 }

// Expr is one expression of a rule: its name and the payload of NFTA_EXPR_DATA.
type Expr struct {
	Name string
	Data []byte
}

// Expressions gives the expressions of a list of NFTA_LIST_ELEM
// (NFTA_RULE_EXPRESSIONS and the like).
func Expressions(list []byte) ([]Expr, error) {
	var out []Expr
	err := Walk(list, func(typ uint16, data []byte) {
		if typ == 1 { // NFTA_LIST_ELEM
			out = append(out, Expr{Text(Find(data, 1)), Find(data, 2)}) // NFTA_EXPR_NAME, NFTA_EXPR_DATA
		}
	})
	return out, err
}
