package edit

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/natwarden/natwarden/internal/xtables"
)

// Socket options and structs of include/uapi/linux/netfilter_ipv4/ip_tables.h;
// those of IPv6 are the same at another level.
const (
	setReplace     = 64 // IPT_SO_SET_REPLACE
	setAddCounters = 65 // IPT_SO_SET_ADD_COUNTERS
	nameSize       = 32 // XT_TABLE_MAXNAMELEN
	replaceHeader  = 96 // struct ipt_replace, up to its entries
	countersHeader = 40 // struct xt_counters_info, up to its counters
	counterSize    = 16 // struct xt_counters
)

// replace puts next in the place of now, in one step of the kernel. What the
// entries of now have counted goes into them.
func replace(s *xtables.Socket, now, next *built) error {
	counted := make([]byte, counterSize*len(now.order))
	var pin runtime.Pinner
	pin.Pin(&counted[0]) // the kernel writes there: see replaceMessage
	defer pin.Unpin()
	if err := s.Set(setReplace, replaceMessage(now, next, counted)); err != nil {
		return fmt.Errorf("replacing %s table %s: %w", next.Family, next.Name, err)
	}
	for i, e := range now.order {
		e.counters = xtables.Counters{
			Packets: binary.NativeEndian.Uint64(counted[counterSize*i:]),
			Bytes:   binary.NativeEndian.Uint64(counted[counterSize*i+8:]),
		}
	}
	return nil
}

// replaceMessage makes struct ipt_replace: name, valid_hooks, num_entries,
// size, hook_entry[5], underflow[5], num_counters, counters, entries.
func replaceMessage(now, next *built, counted []byte) []byte {
	m := make([]byte, replaceHeader, replaceHeader+len(next.Blob))
	copy(m[:nameSize-1], next.Name)
	put := binary.NativeEndian.PutUint32
	put(m[32:], next.ValidHooks)
	put(m[36:], uint32(len(next.order)))
	put(m[40:], uint32(len(next.Blob)))
	for i := range 5 {
		put(m[44+4*i:], next.HookEntry[i])
		put(m[64+4*i:], next.Underflow[i])
	}
	put(m[84:], uint32(len(now.order)))
	*(*uintptr)(unsafe.Pointer(&m[88])) = uintptr(unsafe.Pointer(&counted[0]))
	return append(m, next.Blob...)
}

// addCounters gives every entry of the table, which starts at zero, what it
// has counted before.
func addCounters(s *xtables.Socket, b *built) error {
	m := make([]byte, countersHeader+counterSize*len(b.order))
	copy(m[:nameSize-1], b.Name)
	binary.NativeEndian.PutUint32(m[nameSize:], uint32(len(b.order)))
	for i, e := range b.order {
		at := m[countersHeader+counterSize*i:]
		binary.NativeEndian.PutUint64(at, e.counters.Packets)
		binary.NativeEndian.PutUint64(at[8:], e.counters.Bytes)
	}
	if err := s.Set(setAddCounters, m); err != nil {
		return fmt.Errorf("adding the counters of %s table %s: %w", b.Family, b.Name, err)
	}
	return nil
}
