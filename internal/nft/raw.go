package nft

// Dump is nf_tables of one network namespace as the kernel gave it. Byte
// slices are attributes in netlink encoding (struct nlattr, host byte order for
// lengths and types, big endian for values: include/uapi/linux/netfilter/nf_tables.h).
type Dump struct {
	Generation uint32
	Tables     []*Table
}

// Table is one NFT_MSG_NEWTABLE.
type Table struct {
	Family uint8 // NFPROTO_*
	Name   string
	Flags  uint32 // NFT_TABLE_F_*
	Owner  uint32 // NFTA_TABLE_OWNER, 0 for none
	Handle uint64
	Attrs  []byte // all attributes of the message
	Chains []*Chain
	Sets   []*Set
	// Others are objects (NFT_MSG_NEWOBJ) and flowtables, as messages; read only for snapshots.
	Others [][]byte
}

// Chain is one NFT_MSG_NEWCHAIN with its rules in order.
type Chain struct {
	Name   string
	Handle uint64
	Flags  uint32 // NFT_CHAIN_*
	Hook   *Hook  // nil: no base chain
	Type   string
	Policy uint32 // NF_DROP 0, NF_ACCEPT 1
	Attrs  []byte
	Rules  []*Rule
}

// Hook is NFTA_CHAIN_HOOK.
type Hook struct {
	Num      uint32 // NF_INET_*, NF_NETDEV_*, by family
	Priority int32
	Devices  []string
}

// Rule is one NFT_MSG_NEWRULE.
type Rule struct {
	Handle   uint64
	Exprs    []byte // payload of NFTA_RULE_EXPRESSIONS: a list of NFTA_LIST_ELEM
	Userdata []byte // payload of NFTA_RULE_USERDATA
	ChainID  uint32
	Attrs    []byte
}

// Set is one NFT_MSG_NEWSET with its elements.
type Set struct {
	Name     string
	Handle   uint64
	Flags    uint32 // NFT_SET_*
	KeyType  uint32
	KeyLen   uint32
	DataType uint32 // 0xffffff00 (NFT_DATA_VERDICT) for verdict maps
	DataLen  uint32
	ObjType  uint32
	Userdata []byte
	Attrs    []byte
	Elements [][]byte // payloads of NFTA_LIST_ELEM in NFTA_SET_ELEM_LIST_ELEMENTS
}
