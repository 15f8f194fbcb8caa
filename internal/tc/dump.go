package tc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nlsock"
)

// sizeofTcmsg is the size of struct tcmsg (include/uapi/linux/rtnetlink.h).
const sizeofTcmsg = 20

// The places where filters hang (include/uapi/linux/pkt_sched.h).
const (
	handleIngress = 0xffff0000 // of the ingress and clsact qdiscs
	parentIngress = 0xfffffff2 // TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
	parentEgress  = 0xfffffff3
	parentRoot    = 0xffffffff
)

// blockIndex is TCM_IFINDEX_MAGIC_BLOCK: the message is of a shared block.
const blockIndex = 0xffffffff

const (
	dumpTime = 20 * time.Second
	attempts = 5
)

// link is a network device.
type link struct {
	name string
	up   bool
}

// spot is a place of a device at which filters may hang.
type spot struct {
	dev    uint32
	parent uint32
	qdisc  string
}

// hung is one filter message with the place at which it was found.
type hung struct {
	spot
	raw []byte
}

// view is what a namespace's rtnetlink says.
type view struct {
	links   map[uint32]link
	filters []hung
	spots   int
	tables  map[preference]int // u32 tables
}

func (v *view) ifname(index uint32) string {
	if l, ok := v.links[index]; ok {
		return l.name
	}
	return fmt.Sprintf("index %d", index)
}

type conn struct{ *netlink.Conn }

func dial(ctx context.Context) (conn, error) {
	c, err := nlsock.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return conn{}, fmt.Errorf("opening rtnetlink: %w", err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dumpTime)
	}
	if err := c.SetDeadline(deadline); err != nil {
		c.Close()
		return conn{}, fmt.Errorf("opening rtnetlink: %w", err)
	}
	return conn{c}, nil
}

// load dumps devices, qdiscs and the filters of every place.
func load(ctx context.Context) (*view, error) {
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	v := &view{links: map[uint32]link{}}
	if err := v.loadLinks(c); err != nil {
		return nil, err
	}
	spots, err := v.loadSpots(c)
	if err != nil {
		return nil, err
	}
	v.spots = len(spots)
	for _, s := range spots {
		if err := v.loadFilters(c, s); err != nil {
			return nil, err
		}
	}
	v.countTables()
	return v, ctx.Err()
}

// dump reads all objects of a kind; a torn dump is read again.
func (c conn) dump(kind netlink.HeaderType, header []byte) ([]netlink.Message, error) {
	req := netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump}, Data: header}
	for range attempts {
		msgs, err := c.Execute(req)
		if err != nil {
			return nil, fmt.Errorf("dumping rtnetlink type %d: %w", kind, err)
		}
		if !slices.ContainsFunc(msgs, func(m netlink.Message) bool { return m.Header.Flags&netlink.DumpInterrupted != 0 }) {
			return msgs, nil
		}
	}
	return nil, fmt.Errorf("dumping rtnetlink type %d: it kept changing; try again when traffic control is quiet", kind)
}

func (v *view) loadLinks(c conn) error {
	msgs, err := c.dump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		return err
	}
	for _, m := range msgs {
		if len(m.Data) < unix.SizeofIfInfomsg {
			return fmt.Errorf("reading a network device: %w", errShort)
		}
		a, err := parse(m.Data[unix.SizeofIfInfomsg:])
		if err != nil {
			return fmt.Errorf("reading a network device: %w", err)
		}
		flags := binary.NativeEndian.Uint32(m.Data[8:])
		v.links[binary.NativeEndian.Uint32(m.Data[4:])] = link{a.text(unix.IFLA_IFNAME), flags&unix.IFF_UP != 0}
	}
	return nil
}

// plain are qdiscs that take no filters (their ops have no tcf_block): most
// devices have nothing else, and need not be asked.
func plain(kind string) bool {
	return slices.Contains([]string{"noqueue", "pfifo_fast", "pfifo", "bfifo", "fq", "mq", "netem", "tbf", "codel", "pie", "fq_pie", "etf", "mqprio", "taprio"}, kind)
}

// loadSpots lists where filters may hang: qdiscs, and classes of classful ones.
func (v *view) loadSpots(c conn) ([]spot, error) {
	msgs, err := c.dump(unix.RTM_GETQDISC, make([]byte, sizeofTcmsg))
	if err != nil {
		return nil, err
	}
	var out []spot
	for _, m := range msgs {
		if len(m.Data) < sizeofTcmsg {
			return nil, fmt.Errorf("reading a qdisc: %w", errShort)
		}
		a, err := parse(m.Data[sizeofTcmsg:])
		if err != nil {
			return nil, fmt.Errorf("reading a qdisc: %w", err)
		}
		more, err := v.spotsOf(c, m.Data, a.text(unix.TCA_KIND))
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

func (v *view) spotsOf(c conn, b []byte, kind string) ([]spot, error) {
	dev, handle, parent := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
	switch {
	case kind == "ingress":
		return []spot{{dev, parentIngress, kind}}, nil
	case kind == "clsact":
		return []spot{{dev, parentIngress, kind}, {dev, parentEgress, kind}}, nil
	case plain(kind) || handle == 0 && parent != parentRoot:
		return nil, nil
	}
	out := []spot{{dev, handle, kind}}
	if handle == 0 {
		return out, nil // the default qdisc of a device, which is asked for as root
	}
	header := make([]byte, sizeofTcmsg)
	binary.NativeEndian.PutUint32(header[4:], dev)
	msgs, err := c.dump(unix.RTM_GETTCLASS, header)
	if err != nil {
		return nil, err
	}
	for _, m := range msgs {
		if len(m.Data) >= sizeofTcmsg && binary.NativeEndian.Uint32(m.Data[8:])&0xffff0000 == handle {
			out = append(out, spot{dev, binary.NativeEndian.Uint32(m.Data[8:]), kind})
		}
	}
	return out, nil
}

func (v *view) loadFilters(c conn, s spot) error {
	header := make([]byte, sizeofTcmsg)
	binary.NativeEndian.PutUint32(header[4:], s.dev)
	binary.NativeEndian.PutUint32(header[12:], s.parent)
	msgs, err := c.dump(unix.RTM_GETTFILTER, header)
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil // the device went away, or this qdisc takes no filters
	}
	if err != nil {
		return fmt.Errorf("filters of %s: %w", v.ifname(s.dev), err)
	}
	for _, m := range msgs {
		if len(m.Data) >= sizeofTcmsg && !v.again(s, m.Data) {
			v.filters = append(v.filters, hung{s, slices.Clone(m.Data)})
		}
	}
	return nil
}

// again says whether the node was listed at another class of the qdisc: u32
// shows the tables of all classes at each (tc_u_common of net/sched/cls_u32.c).
func (v *view) again(s spot, b []byte) bool {
	if s.qdisc == "ingress" || s.qdisc == "clsact" {
		return false
	}
	for _, h := range v.filters {
		if h.dev == s.dev && h.parent != s.parent && h.parent&0xffff0000 == s.parent&0xffff0000 && sameNode(h.raw, b) {
			return true
		}
	}
	return false
}

// sameNode says whether two messages are of one u32 node or table: device,
// handle, preference and classifier, which is the first attribute, are the same.
func sameNode(a, b []byte) bool {
	const kind = sizeofTcmsg + 8
	return len(a) >= kind && len(b) >= kind && string(b[sizeofTcmsg+4:kind]) == "u32\x00" && binary.NativeEndian.Uint32(b[8:])&u32Table != 0 &&
		bytes.Equal(a[:12], b[:12]) && bytes.Equal(a[16:kind], b[16:kind])
}
