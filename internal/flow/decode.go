package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// enum ctattr_type, ctattr_tuple, ctattr_ip, ctattr_l4proto of
// nfnetlink_conntrack.h. Values are big endian.
const (
	attrTupleOrig  = 1
	attrTupleReply = 2
	attrStatus     = 3
	attrTimeout    = 7
	attrMark       = 8
	attrID         = 12
	attrZone       = 18
	attrStatusMask = 26

	tupleIP    = 1
	tupleProto = 2

	ipV4Src = 1
	ipV4Dst = 2
	ipV6Src = 3
	ipV6Dst = 4

	protoNum     = 1
	protoSrcPort = 2
	protoDstPort = 3

	nested   = 0x8000 // NLA_F_NESTED
	typeMask = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
)

var errTorn = errors.New("the kernel's answer is cut short")

// decode reads the payload of an IPCTNL_MSG_CT_NEW.
func decode(b []byte) (Flow, error) {
	if len(b) < sizeofGenmsg {
		return Flow{}, errTorn
	}
	f := Flow{Key: genmsg(b[0])}
	if err := eachAttr(b[sizeofGenmsg:], f.attribute); err != nil {
		return Flow{}, err
	}
	if !f.Orig.Src.IsValid() || !f.Reply.Src.IsValid() {
		return Flow{}, errors.New("the kernel listed a flow without its tuples")
	}
	return f, nil
}

// attribute takes one attribute, and keeps those that find the entry again.
func (f *Flow) attribute(kind uint16, value []byte) (err error) {
	switch kind {
	case attrTupleOrig:
		f.Orig, err = decodeTuple(value)
		f.Key = appendAttr(f.Key, attrTupleOrig|nested, value)
	case attrTupleReply:
		f.Reply, err = decodeTuple(value)
	case attrZone, attrID:
		f.Key = appendAttr(f.Key, kind, value)
		err = f.number(kind, value)
	default:
		err = f.number(kind, value)
	}
	return err
}

// number takes the attributes that are numbers. Others are not needed.
func (f *Flow) number(kind uint16, value []byte) error {
	switch kind {
	case attrStatus, attrTimeout, attrMark, attrID:
		if len(value) < 4 {
			return errTorn
		}
	case attrZone:
		if len(value) < 2 {
			return errTorn
		}
	}
	switch kind {
	case attrStatus:
		f.Status = binary.BigEndian.Uint32(value)
	case attrTimeout:
		f.Timeout = time.Duration(binary.BigEndian.Uint32(value)) * time.Second
	case attrMark:
		f.Mark = binary.BigEndian.Uint32(value)
	case attrID:
		f.ID = binary.BigEndian.Uint32(value)
	case attrZone:
		f.Zone = binary.BigEndian.Uint16(value)
	}
	return nil
}

// eachAttr walks struct nlattr records.
func eachAttr(b []byte, take func(kind uint16, value []byte) error) error {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return errTorn
		}
		if err := take(binary.NativeEndian.Uint16(b[2:])&typeMask, b[4:n]); err != nil {
			return err
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

func decodeTuple(b []byte) (Tuple, error) {
	var t Tuple
	err := eachAttr(b, func(kind uint16, value []byte) error {
		switch kind {
		case tupleIP:
			return eachAttr(value, t.addr)
		case tupleProto:
			return eachAttr(value, t.proto)
		}
		return nil
	})
	if err == nil && (!t.Src.IsValid() || !t.Dst.IsValid()) {
		err = errors.New("the kernel listed a tuple without addresses")
	}
	return t, err
}

func (t *Tuple) addr(kind uint16, value []byte) error {
	a, ok := netip.AddrFromSlice(value)
	v6 := kind == ipV6Src || kind == ipV6Dst
	switch {
	case kind < ipV4Src || kind > ipV6Dst:
		return nil
	case !ok || a.Is6() != v6:
		return fmt.Errorf("the kernel listed an address of %d bytes", len(value))
	case kind == ipV4Src || kind == ipV6Src:
		t.Src = a
	default:
		t.Dst = a
	}
	return nil
}

func (t *Tuple) proto(kind uint16, value []byte) error {
	switch {
	case kind == protoNum && len(value) >= 1:
		t.Proto = host.Proto(value[0])
	case kind == protoSrcPort && len(value) >= 2:
		t.SrcPort = binary.BigEndian.Uint16(value)
	case kind == protoDstPort && len(value) >= 2:
		t.DstPort = binary.BigEndian.Uint16(value)
	case kind <= protoDstPort:
		return errTorn
	}
	return nil
}
