package xtables

import (
	"bytes"
	"encoding/binary"

	"github.com/natwarden/natwarden/internal/host"
)

// layout is where the fields of an entry lie: struct ipt_entry
// (include/uapi/linux/netfilter_ipv4/ip_tables.h) or struct ip6t_entry, on
// machines where a 64-bit number is aligned to 8 bytes.
type layout struct {
	size         int // of the fixed part; matches follow
	address      int // bytes of an address
	ifaces       int // iniface, outiface, their masks: 16 bytes each
	proto        int // __u16
	tos          int // __u8, -1 where there is none
	flags        int // __u8
	inverse      int // __u8
	targetOffset int // __u16
	nextOffset   int // __u16
	comefrom     int // __u32, the kernel's own
	counters     int // two __u64: packets, bytes
}

var (
	layout4 = layout{size: 112, address: 4, ifaces: 16, proto: 80, tos: -1, flags: 82, inverse: 83,
		targetOffset: 88, nextOffset: 90, comefrom: 92, counters: 96}
	layout6 = layout{size: 168, address: 16, ifaces: 64, proto: 128, tos: 130, flags: 131, inverse: 132,
		targetOffset: 140, nextOffset: 142, comefrom: 144, counters: 152}
)

func layoutOf(f host.Family) *layout {
	if f == host.IP6 {
		return &layout6
	}
	return &layout4
}

// Sizes of include/uapi/linux/netfilter/x_tables.h.
const (
	ifaceSize    = 16 // IFNAMSIZ
	extHeader    = 32 // struct xt_entry_match and xt_entry_target: size, name, revision
	extName      = 29 // XT_EXTENSION_MAXNAMELEN
	tableName    = 32 // XT_TABLE_MAXNAMELEN
	standardSize = 40 // struct xt_standard_target, aligned
	align        = 8  // XT_ALIGN
	errorTarget  = "ERROR"
	maxSetIndex  = 65535 // IPSET_INVALID_ID
)

// The bits of flags and of inverse: IPT_F_*, IP6T_F_*, IPT_INV_*.
const (
	flagFragment4 = 0x01
	flagGoto4     = 0x02
	flagProto6    = 0x01
	flagTOS6      = 0x02
	flagGoto6     = 0x04

	invIn       = 0x01
	invOut      = 0x02
	invTOS      = 0x04
	invSource   = 0x08
	invAddress  = 0x10
	invFragment = 0x20
	invProto    = 0x40
)

// verdictReturn is XT_RETURN; the others are -NF_x - 1 (include/uapi/linux/netfilter.h).
const (
	verdictDrop   = -1
	verdictAccept = -2
	verdictQueue  = -4
	verdictReturn = -5
)

func u16(b []byte, at int) uint16 { return binary.NativeEndian.Uint16(b[at:]) }
func u32(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
func u64(b []byte, at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }

// cstring reads a name that a NUL ends, or the end of its field.
func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// Counters are how many packets and bytes a rule has seen.
type Counters struct{ Packets, Bytes uint64 }

// EntryCounters reads the counters of an entry of a family.
func EntryCounters(f host.Family, raw []byte) Counters {
	l := layoutOf(f)
	return Counters{u64(raw, l.counters), u64(raw, l.counters+8)}
}

func (l *layout) isGoto(raw []byte) bool {
	if l == &layout6 {
		return raw[l.flags]&flagGoto6 != 0
	}
	return raw[l.flags]&flagGoto4 != 0
}

// isUnconditional says whether an entry takes every packet: its whole header
// of conditions is zero and it has no matches (unconditional in ip_tables.c).
func (l *layout) isUnconditional(raw []byte) bool {
	if int(u16(raw, l.targetOffset)) != l.size {
		return false
	}
	for _, b := range raw[:l.inverse+1] {
		if b != 0 {
			return false
		}
	}
	return true
}
