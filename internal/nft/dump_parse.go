package nft

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Attributes that golang.org/x/sys/unix does not name, from
// include/uapi/linux/netfilter/nf_tables.h.
const (
	tableHandle = 4  // NFTA_TABLE_HANDLE
	tableOwner  = 7  // NFTA_TABLE_OWNER
	chainFlags  = 10 // NFTA_CHAIN_FLAGS
	chainID     = 11 // NFTA_CHAIN_ID
	ruleChainID = 11 // NFTA_RULE_CHAIN_ID
	setHandle   = 16 // NFTA_SET_HANDLE
	hookDevs    = 4  // NFTA_HOOK_DEVS
	deviceName  = 1  // NFTA_DEVICE_NAME
	devicePre   = 2  // NFTA_DEVICE_PREFIX (Linux 6.18): every name that begins so
)

// ParseTable reads the attributes of an NFT_MSG_NEWTABLE.
func ParseTable(family uint8, attrs []byte) (*Table, error) {
	t := &Table{Family: family, Attrs: attrs}
	err := Walk(attrs, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_TABLE_NAME:
			t.Name = Text(data)
		case unix.NFTA_TABLE_FLAGS:
			t.Flags = U32(data)
		case tableHandle:
			t.Handle = U64(data)
		case tableOwner:
			t.Owner = U32(data)
		}
	})
	return t, during(err, "table")
}

// ParseChain reads the attributes of an NFT_MSG_NEWCHAIN, and the name of its table.
func ParseChain(attrs []byte) (c *Chain, table []byte, err error) {
	c = &Chain{Attrs: attrs}
	var torn error
	err = Walk(attrs, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_CHAIN_TABLE:
			table = textBytes(data)
		case unix.NFTA_CHAIN_NAME:
			c.Name = Text(data)
		case unix.NFTA_CHAIN_HANDLE:
			c.Handle = U64(data)
		case chainFlags:
			c.Flags = U32(data)
		case unix.NFTA_CHAIN_TYPE:
			c.Type = Text(data)
		case unix.NFTA_CHAIN_POLICY:
			c.Policy = U32(data)
		case unix.NFTA_CHAIN_HOOK:
			c.Hook, torn = parseHook(data)
		}
	})
	if err == nil {
		err = torn
	}
	return c, table, during(err, "chain")
}

func parseHook(attrs []byte) (*Hook, error) {
	h := &Hook{}
	var torn error
	addDevice := func(typ uint16, data []byte) {
		switch typ {
		case deviceName:
			h.Devices = append(h.Devices, Text(data))
		case devicePre:
			h.Devices = append(h.Devices, Text(data)+"*")
		}
	}
	err := Walk(attrs, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_HOOK_HOOKNUM:
			h.Num = U32(data)
		case unix.NFTA_HOOK_PRIORITY:
			h.Priority = int32(U32(data))
		case unix.NFTA_HOOK_DEV:
			h.Devices = []string{Text(data)}
		case hookDevs: // repeats NFTA_HOOK_DEV where there is one device
			h.Devices = nil
			torn = Walk(data, addDevice)
		}
	})
	if err == nil {
		err = torn
	}
	return h, err
}

// ParseRule reads the attributes of an NFT_MSG_NEWRULE into r, and the names
// of its table and chain.
func ParseRule(attrs []byte, r *Rule) (table, chain []byte, err error) {
	r.Attrs = attrs
	err = Walk(attrs, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_RULE_TABLE:
			table = textBytes(data)
		case unix.NFTA_RULE_CHAIN:
			chain = textBytes(data)
		case unix.NFTA_RULE_HANDLE:
			r.Handle = U64(data)
		case unix.NFTA_RULE_EXPRESSIONS:
			r.Exprs = data
		case unix.NFTA_RULE_USERDATA:
			r.Userdata = data
		case ruleChainID:
			r.ChainID = U32(data)
		}
	})
	return table, chain, during(err, "rule")
}

// ParseSet reads the attributes of an NFT_MSG_NEWSET, and the name of its table.
func ParseSet(attrs []byte) (s *Set, table []byte, err error) {
	s = &Set{Attrs: attrs}
	err = Walk(attrs, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_SET_TABLE:
			table = textBytes(data)
		case unix.NFTA_SET_NAME:
			s.Name = Text(data)
		case setHandle:
			s.Handle = U64(data)
		case unix.NFTA_SET_FLAGS:
			s.Flags = U32(data)
		case unix.NFTA_SET_KEY_TYPE:
			s.KeyType = U32(data)
		case unix.NFTA_SET_KEY_LEN:
			s.KeyLen = U32(data)
		case unix.NFTA_SET_DATA_TYPE:
			s.DataType = U32(data)
		case unix.NFTA_SET_DATA_LEN:
			s.DataLen = U32(data)
		case unix.NFTA_SET_OBJ_TYPE:
			s.ObjType = U32(data)
		case unix.NFTA_SET_USERDATA:
			s.Userdata = data
		}
	})
	return s, table, during(err, "set")
}

// ParseElements gives the elements of an NFT_MSG_NEWSETELEM: the payloads of
// its NFTA_LIST_ELEM.
func ParseElements(attrs []byte) (elements [][]byte, err error) {
	list := Find(attrs, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	err = Walk(list, func(typ uint16, data []byte) {
		if typ == unix.NFTA_LIST_ELEM {
			elements = append(elements, data)
		}
	})
	return elements, during(err, "set element")
}

func during(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reading a %s message: %w", what, err)
}

// AckErrno is the error that an NLMSG_ERROR or NLMSG_DONE carries; 0 for none.
func AckErrno(m Message) unix.Errno {
	if len(m.Body) < 4 {
		return 0
	}
	if n := int32(binary.NativeEndian.Uint32(m.Body)); n < 0 {
		return unix.Errno(-n)
	}
	return 0
}
