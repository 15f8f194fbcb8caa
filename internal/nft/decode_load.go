package nft

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// doPayload is nft_payload: it loads bytes of a header, or writes them.
func (m *machine) doPayload(f *fields) {
	if f.has(5) {
		m.native = true
		m.writePayload(f)
		return
	}
	base := f.u32(2)
	if base > uint32(innerHeader) || f.u32(4) == 0 || f.u32(4) > 64 {
		m.putAll(f.u32(1), foreignOf(fmt.Sprintf("@header %d,%d,%d", base, f.u32(3)*8, f.u32(4)*8), int(f.u32(4)&63)))
		return
	}
	v := value{kind: loaded, place: place(base), key: uint16(f.u32(3)), size: int(f.u32(4)), dir: dirNone}
	if m.rewritten(&v) {
		m.putAll(f.u32(1), foreignOf("rewritten "+m.describe(&m.states[0], &v), v.size))
		return
	}
	m.putAll(f.u32(1), v)
}

// rewritten says whether the rule itself has changed what is loaded: it is then
// no longer what the packet brought, of which the match speaks.
func (m *machine) rewritten(v *value) bool {
	return slices.ContainsFunc(m.written, func(w value) bool {
		return w.place == v.place && w.key < v.key+uint16(v.size) && v.key < w.key+uint16(w.size)
	})
}

// doMeta is nft_meta: it loads a fact about the packet, or sets one (mark,
// priority, trace), which no redirect is.
func (m *machine) doMeta(f *fields) {
	if f.has(3) {
		m.native = true
		switch f.u32(2) {
		case metaBriBroute:
			m.broute()
		case metaMark:
			m.assignMark(host.FieldMark, f.u32(3))
		}
		return
	}
	key := f.u32(2)
	m.putAll(f.u32(1), value{kind: loaded, place: fromMeta, key: uint16(key), size: metaSize(key), dir: dirNone})
}

// broute is "meta broute set 1" (Linux 6.4): frames that would be bridged are
// routed by this host, which so answers for the one behind the bridge.
func (m *machine) broute() {
	m.each(func(s *state) {
		s.branch.Effects = append(s.branch.Effects, host.Effect{Kind: "mac-redirect", To: []host.Target{{}},
			Evidence: []string{"frames are routed instead of bridged"}})
	})
}

func metaSize(key uint32) int {
	switch key {
	case metaIifname, metaOifname, metaBriIifname, metaBriOifname, metaSdifname, metaIifkind, metaOifkind:
		return 16
	case metaProtocol, metaIiftype, metaOiftype:
		return 2
	case metaNfproto, metaL4proto, metaPkttype, metaDay, metaSecpath, metaNftrace:
		return 1
	case metaTime:
		return 8
	}
	return 4
}

// doCT is nft_ct: it loads a fact about the connection, or sets one.
func (m *machine) doCT(f *fields) {
	m.native = true
	if f.has(4) {
		if f.u32(2) == ctMark {
			m.assignMark(host.FieldCTMark, f.u32(4))
		}
		return
	}
	key, dir := f.u32(2), uint8(dirNone)
	if d := f[3]; len(d) > 0 && d[0] <= dirReply {
		dir = d[0]
	}
	m.putAll(f.u32(1), value{kind: loaded, place: fromCT, key: uint16(key), dir: dir, size: m.ctSize(key)})
}

func (m *machine) ctSize(key uint32) int {
	switch key {
	case ctDirection, ctL3proto, ctProtocol:
		return 1
	case ctProtoSrc, ctProtoDst, ctZone:
		return 2
	case ctHelper, ctLabels, ctSrcIP6, ctDstIP6:
		return 16
	case ctBytes, ctPackets, ctAvgpkt:
		return 8
	case ctSrc, ctDst:
		if m.t.raw.Family == 2 {
			return 4
		}
		return 16
	}
	return 4
}

// doFib is nft_fib: what the routing table says about an address.
func (m *machine) doFib(f *fields) {
	words := "fib"
	for bit, name := range []string{"saddr", "daddr", "mark", "iif", "oif"} {
		if f.u32(3)&(1<<bit) != 0 {
			if words != "fib" {
				words += " ."
			}
			words += " " + name
		}
	}
	v := foreignOf(words+" oif", 4)
	v.format = asIfindex
	kinds := map[uint32]host.Field{1: host.FieldSourceType, 2: host.FieldDestType}
	switch {
	case f.u32(3)&(1<<5) != 0:
		v = foreignOf(words+" oif", 1)
		v.format = asPresence
	case f.u32(2) == 2:
		v = foreignOf(words+" oifname", 16)
		v.format = asName
	case f.u32(2) == 3:
		v = foreignOf(words+" type", 4)
		v.format, v.field = asAddrType, kinds[f.u32(3)]
	}
	m.putAll(f.u32(1), v)
}

// doRt is nft_rt: what the packet's route says.
func (m *machine) doRt(f *fields) {
	names := []string{"classid", "ip nexthop", "ip6 nexthop", "mtu", "ipsec"}
	sizes := []int{4, 4, 16, 2, 1}
	formats := []format{asHostHex, asAddr, asAddr, asHostNumber, asPresence}
	key := f.u32(2)
	if int(key) >= len(names) {
		m.putAll(f.u32(1), foreignOf("rt key "+itoa(int(key)), 16))
		return
	}
	v := foreignOf("rt "+names[key], sizes[key])
	v.format = formats[key]
	m.putAll(f.u32(1), v)
}

// doSocket is nft_socket: the local socket that would get the packet.
func (m *machine) doSocket(f *fields) {
	names := []string{"transparent", "mark", "wildcard", "cgroupv2 level " + itoa(int(f.u32(3)))}
	sizes := []int{1, 4, 1, 8}
	key := f.u32(1)
	if int(key) >= len(names) {
		m.putAll(f.u32(2), foreignOf("socket key "+itoa(int(key)), 16))
		return
	}
	v := foreignOf("socket "+names[key], sizes[key])
	v.format = asHostNumber
	if key == 1 {
		v.format = asHostHex
	}
	m.putAll(f.u32(2), v)
}

// doExthdr is nft_exthdr: IPv6 extension headers, TCP, IP, SCTP and DCCP
// options. Setting or removing an option redirects nothing.
func (m *machine) doExthdr(f *fields) {
	if !f.has(1) {
		return
	}
	names := []string{"exthdr", "tcp option", "ip option", "sctp chunk", "dccp option"}
	op := f.u32(6)
	if int(op) >= len(names) {
		m.putAll(f.u32(1), foreignOf("option of kind "+itoa(int(op)), int(f.u32(4)&63)))
		return
	}
	kind := 0
	if len(f[2]) > 0 {
		kind = int(f[2][0])
	}
	v := foreignOf(fmt.Sprintf("%s %s", names[op], optionName(op, kind)), int(f.u32(4)&63))
	v.format = asNumber
	if f.u32(5)&1 != 0 {
		v.format = asPresence
	} else if name := tcpOptionParts[optionPart{kind, f.u32(3), f.u32(4)}]; op == 1 && name != "" {
		v.words += " " + name
		v.format = asDecimal
	} else {
		v.words += fmt.Sprintf(" @%d,%d", f.u32(3)*8, f.u32(4)*8)
	}
	m.putAll(f.u32(1), v)
}

// optionPart is a part of a TCP option: kind, offset and length in bytes.
type optionPart struct {
	kind    int
	at, len uint32
}

var tcpOptionParts = map[optionPart]string{{2, 2, 2}: "size", {3, 2, 1}: "count", {8, 2, 4}: "tsval", {8, 6, 4}: "tsecr"}

func optionName(op uint32, kind int) string {
	known := map[int]string{2: "maxseg", 3: "window", 4: "sack-perm", 5: "sack", 8: "timestamp"}
	if op == 0 {
		known = map[int]string{0: "hbh", 43: "rt", 44: "frag", 51: "auth", 60: "dst", 135: "mh"}
	}
	if name := known[kind]; op <= 1 && name != "" {
		return name
	}
	return itoa(kind)
}

func (m *machine) doOsf(f *fields) {
	v := foreignOf("osf name", 16)
	v.format = asName
	m.putAll(f.u32(1), v)
}

// doXfrm is nft_xfrm: the IPsec state of the packet.
func (m *machine) doXfrm(f *fields) {
	names := []string{"", "ip daddr", "ip6 daddr", "ip saddr", "ip6 saddr", "reqid", "spi"}
	key, dir := f.u32(2), "in"
	if len(f[3]) > 0 && f[3][0] == 1 {
		dir = "out"
	}
	name := "key " + itoa(int(key))
	if key > 0 && int(key) < len(names) {
		name = names[key]
	}
	v := foreignOf("ipsec "+dir+" "+name, 16)
	v.format = asNumber
	if key <= 4 {
		v.format = asAddr
	}
	m.putAll(f.u32(1), v)
}

func (m *machine) doTunnel(f *fields) {
	v := foreignOf("tunnel id", 4)
	v.format = asHostNumber
	if f.u32(1) == 0 {
		v = foreignOf("tunnel path", 1)
		v.format = asPresence
	}
	m.putAll(f.u32(2), v)
}

// doInner is nft_inner (Linux 6.2): a field of the packet inside a tunnel.
func (m *machine) doInner(f *fields) {
	_, elem, _, ok := cutAttr(f[5])
	var inner fields
	inner.read(f[5])
	var load fields
	load.read(inner[2])
	if !ok || elem == nil {
		m.doubt("an inner expression that is torn")
		return
	}
	v := foreignOf(fmt.Sprintf("inner %s @%d,%d", inner.text(1), load.u32(3)*8, load.u32(4)*8), int(load.u32(4)&63))
	v.format = asNumber
	m.putAll(load.u32(1), v)
}

// hostNumber reads a number that the kernel keeps in its own byte order, or in
// network order where a byteorder expression went before.
func hostNumber(b []byte, big bool) uint64 {
	order := binary.ByteOrder(binary.NativeEndian)
	if big {
		order = binary.BigEndian
	}
	switch {
	case len(b) >= 8:
		return order.Uint64(b)
	case len(b) >= 4:
		return uint64(order.Uint32(b))
	case len(b) >= 2:
		return uint64(order.Uint16(b))
	case len(b) == 1:
		return uint64(b[0])
	}
	return 0
}
