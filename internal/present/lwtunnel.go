package present

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/nlsock"
)

// dumpTime bounds a dump where the context has no deadline of its own. The
// routes of a router may be a million.
const dumpTime = 30 * time.Second

// Attributes of next hop objects and of one of several next hops
// (include/uapi/linux/nexthop.h, struct rtnexthop of rtnetlink.h).
const (
	nexthopEncapType = 7 // NHA_ENCAP_TYPE
	sizeofNhmsg      = 8
	sizeofRtnexthop  = 8
)

// wrapped looks for routes and next hop objects that wrap, unwrap or rewrite
// packets (lwtunnel): segment routing, MPLS, ILA, programs.
func wrapped(ctx context.Context, _ *host.Space) ([]host.Blind, error) {
	c, err := dialRoute(ctx, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	kinds := map[uint16]int{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := make([]byte, unix.SizeofRtMsg)
		header[0] = family
		if err := each(c, unix.RTM_GETROUTE, header, func(b []byte) { countRoute(kinds, b) }); err != nil {
			return nil, fmt.Errorf("reading routes: %w", err)
		}
	}
	if err := each(c, unix.RTM_GETNEXTHOP, make([]byte, sizeofNhmsg), func(b []byte) { countNexthop(kinds, b) }); err != nil {
		return nil, fmt.Errorf("reading next hop objects: %w", err)
	}
	var out []host.Blind
	for kind := range uint16(32) {
		if n := kinds[kind]; n > 0 {
			out = append(out, spot("routes with encapsulation "+encapName(kind), "%d of them wrap, unwrap or rewrite packets, and are not judged: see `ip route show table all`", n))
		}
	}
	return out, nil
}

func dialRoute(ctx context.Context, family int) (*netlink.Conn, error) {
	c, err := nlsock.Dial(family, nil)
	if err != nil {
		return nil, fmt.Errorf("opening netlink: %w", err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dumpTime)
	}
	if err := c.SetDeadline(deadline); err != nil {
		c.Close()
		return nil, fmt.Errorf("opening netlink: %w", err)
	}
	return c, nil
}

// each dumps and looks at each object once. A torn dump shows some twice or
// misses what is being changed: it is read as it is, for it only counts.
func each(c *netlink.Conn, kind netlink.HeaderType, header []byte, look func([]byte)) error {
	_, err := c.Send(netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump}, Data: header})
	if err != nil {
		return err
	}
	for m, err := range c.ReceiveIter() {
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
			return nil // a kernel without it
		}
		if err != nil {
			return err
		}
		look(m.Data)
	}
	return nil
}

func countRoute(kinds map[uint16]int, b []byte) {
	if len(b) < unix.SizeofRtMsg {
		return
	}
	countEncap(kinds, b[unix.SizeofRtMsg:])
}

func countNexthop(kinds map[uint16]int, b []byte) {
	if len(b) < sizeofNhmsg {
		return
	}
	if v, ok := attribute(b[sizeofNhmsg:], nexthopEncapType); ok && len(v) >= 2 {
		kinds[binary.NativeEndian.Uint16(v)]++
	}
}

func countEncap(kinds map[uint16]int, attrs []byte) {
	if v, ok := attribute(attrs, unix.RTA_ENCAP_TYPE); ok && len(v) >= 2 {
		kinds[binary.NativeEndian.Uint16(v)]++
	}
	hops, ok := attribute(attrs, unix.RTA_MULTIPATH)
	for ok && len(hops) >= sizeofRtnexthop {
		n := int(binary.NativeEndian.Uint16(hops))
		if n < sizeofRtnexthop || n > len(hops) {
			return
		}
		countEncap(kinds, hops[sizeofRtnexthop:n])
		hops = hops[min((n+3)&^3, len(hops)):]
	}
}

// attribute finds one attribute without taking the others apart: of a million
// routes hardly any has it.
func attribute(b []byte, kind uint16) ([]byte, bool) {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return nil, false
		}
		if binary.NativeEndian.Uint16(b[2:])&^uint16(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == kind {
			return b[4:n], true
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil, false
}

// encapName is the name of a LWTUNNEL_ENCAP_* (include/uapi/linux/lwtunnel.h)
// as `ip route` writes it.
func encapName(kind uint16) string {
	names := []string{"none", "mpls", "ip", "ila", "ip6", "seg6", "bpf", "seg6local", "rpl", "ioam6", "xfrm"}
	if int(kind) < len(names) {
		return names[kind]
	}
	return fmt.Sprintf("%d", kind)
}
