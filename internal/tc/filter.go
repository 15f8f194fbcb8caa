package tc

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// tcaChain is TCA_CHAIN of include/uapi/linux/rtnetlink.h.
const tcaChain = 11

// filter is one RTM_NEWTFILTER.
type filter struct {
	hung
	ifindex uint32 // of the message: blockIndex for a shared block
	block   uint32
	handle  uint32
	prio    uint16
	proto   uint16 // ETH_P_*, in host order
	chain   uint32
	kind    string
	options attrs
	actions []action
	empty   bool // it names a list of filters, not a filter
}

// decodeFilter reads struct tcmsg and its attributes.
func decodeFilter(h hung) (filter, error) {
	b := h.raw
	if len(b) < sizeofTcmsg {
		return filter{}, errShort
	}
	info := binary.NativeEndian.Uint32(b[16:])
	f := filter{hung: h, ifindex: binary.NativeEndian.Uint32(b[4:]), handle: binary.NativeEndian.Uint32(b[8:]),
		prio: uint16(info >> 16), proto: hostOrder(uint16(info))}
	if f.ifindex == blockIndex {
		f.block = binary.NativeEndian.Uint32(b[12:])
	}
	a, err := parse(b[sizeofTcmsg:])
	if err != nil {
		return f, err
	}
	f.kind = a.text(unix.TCA_KIND)
	f.chain, _ = a.u32(tcaChain)
	raw, ok := a[unix.TCA_OPTIONS]
	f.empty = !ok
	if f.options, err = parse(raw); err != nil {
		return f, err
	}
	if t, ok := actionAttr(f.kind); ok {
		f.actions, err = decodeActions(f.options[t])
	}
	return f, err
}

// hostOrder turns a protocol of a tcmsg, which stands in network order.
func hostOrder(n uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], n)
	return binary.BigEndian.Uint16(b[:])
}

// actionAttr is the attribute that holds a classifier's actions
// (TCA_*_ACT of include/uapi/linux/pkt_cls.h); false for a classifier that is not known.
func actionAttr(kind string) (uint16, bool) {
	t, ok := map[string]uint16{"u32": 7, "basic": 3, "flower": 3, "matchall": 2, "fw": 4, "bpf": 1, "cgroup": 1, "flow": 9, "route": 6}[kind]
	return t, ok
}

// The handles of u32: a table of 12 bits, a bucket of 8, a node of 12
// (include/uapi/linux/pkt_cls.h).
const (
	u32Table = 0xfff00000
	u32Node  = 0x00000fff
)

// isTable says whether the message is of a hash table of u32.
func (f filter) isTable() bool { return f.kind == "u32" && f.handle&u32Node == 0 }

// ingress says whether the filter sees packets that come in.
func (f filter) ingress() bool { return f.parent == parentIngress || f.parent == handleIngress }

func (f filter) hook() string {
	switch {
	case f.ingress():
		return "ingress"
	case f.parent == parentEgress:
		return "egress"
	}
	return fmt.Sprintf("parent %x:%x", f.parent>>16, f.parent&0xffff)
}

func (v *view) place(f filter) string { return v.ifname(f.dev) + " " + f.hook() }

// text writes the filter as tc names it.
func (v *view) text(f filter) string {
	out := fmt.Sprintf("dev %s protocol %s pref %d %s", v.place(f), protocol(f.proto), f.prio, f.kind)
	if f.chain != 0 {
		out += fmt.Sprintf(" chain %d", f.chain)
	}
	if f.block != 0 {
		out += fmt.Sprintf(" block %d", f.block)
	}
	if f.handle == 0 {
		return out
	}
	if f.kind == "u32" {
		return out + fmt.Sprintf(" handle %x:%x:%x", f.handle>>20, f.handle>>12&0xff, f.handle&u32Node)
	}
	return out + fmt.Sprintf(" handle 0x%x", f.handle)
}

// The protocols of frames that filters name (include/uapi/linux/if_ether.h).
const (
	ethAll  = 0x0003
	ethIP   = 0x0800
	ethIPv6 = 0x86dd
)

func protocol(p uint16) string {
	switch p {
	case ethAll:
		return "all"
	case ethIP:
		return "ip"
	case ethIPv6:
		return "ipv6"
	}
	return fmt.Sprintf("0x%04x", p)
}

// match says what the classifier takes.
func (f filter) match() host.Match {
	m := host.Match{Family: host.Both}
	switch f.proto {
	case ethIP:
		m.Family = host.IP
	case ethIPv6:
		m.Family = host.IP6
	case ethAll:
	default:
		m.Require("frames of protocol " + protocol(f.proto))
	}
	if f.chain != 0 {
		m.Require(fmt.Sprintf("reached by a jump to chain %d", f.chain))
	}
	switch f.kind {
	case "u32":
		f.u32(&m)
	case "flower":
		f.flower(&m)
	case "basic":
		f.basic(&m)
	case "matchall":
	case "fw":
		f.fw(&m)
	case "bpf":
		f.bytecode(&m)
	default:
		m.Require(f.kind + " classifier")
	}
	return m
}

// fw takes packets by their mark, which is the handle (TCA_FW_MASK 5).
func (f filter) fw(m *host.Match) {
	if mask, ok := f.options.u32(5); ok && mask != 0xffffffff {
		m.Require(fmt.Sprintf("mark %#x/%#x", f.handle, mask))
		return
	}
	m.Require(fmt.Sprintf("mark %#x", f.handle))
}

func (f filter) bytecode(m *host.Match) {
	if _, extended := f.options.u32(bpfID); extended {
		m.Require(fmt.Sprintf("eBPF program %s", f.options.text(bpfName)))
		return
	}
	m.Require(fmt.Sprintf("classic BPF bytecode (%d instructions)", len(f.options[bpfOps])/8))
}

// TCA_BPF_* of include/uapi/linux/pkt_cls.h.
const (
	bpfOps  = 5
	bpfFD   = 6
	bpfName = 7
	bpfTag  = 10
	bpfID   = 11
)
