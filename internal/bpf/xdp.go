package bpf

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nlsock"
)

// device is a network device with its XDP programs by mode.
type device struct {
	name    string
	index   uint32
	up      bool
	kind    string // "veth", "netkit", …; "" for none
	primary bool   // of a netkit pair: the end that has the programs of both
	driver  uint32 // program ids
	generic uint32
	offload uint32
}

// dumpTime bounds the dump of links where the context has no deadline.
const dumpTime = 20 * time.Second

// devices lists the network devices of the namespace of the calling thread.
func devices(ctx context.Context) ([]device, error) {
	c, err := nlsock.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("opening rtnetlink: %w", err)
	}
	defer c.Close()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dumpTime)
	}
	if err := c.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("opening rtnetlink: %w", err)
	}
	msgs, err := c.Execute(netlink.Message{Data: make([]byte, unix.SizeofIfInfomsg),
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request | netlink.Dump}})
	if err != nil {
		return nil, fmt.Errorf("listing network devices: %w", err)
	}
	out := make([]device, 0, len(msgs))
	for _, m := range msgs {
		d, err := decodeDevice(m.Data)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// decodeDevice reads struct ifinfomsg and its attributes
// (include/uapi/linux/rtnetlink.h, if_link.h).
func decodeDevice(b []byte) (device, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return device{}, fmt.Errorf("a network device of %d bytes is shorter than its header", len(b))
	}
	d := device{index: binary.NativeEndian.Uint32(b[4:]), up: binary.NativeEndian.Uint32(b[8:])&unix.IFF_UP != 0}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return device{}, fmt.Errorf("attributes of a network device: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			d.name = ad.String()
		case unix.IFLA_XDP:
			ad.Nested(d.decodeXDP)
		case unix.IFLA_LINKINFO:
			ad.Nested(d.decodeKind)
		}
	}
	return d, ad.Err()
}

func (d *device) decodeKind(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_INFO_KIND:
			d.kind = ad.String()
		case unix.IFLA_INFO_DATA:
			if d.kind == "netkit" { // the kind stands before its data (rtnl_link_fill)
				ad.Nested(d.decodeNetkit)
			}
		}
	}
	return nil
}

// netkitPrimary is IFLA_NETKIT_PRIMARY of if_link.h.
const netkitPrimary = 2

func (d *device) decodeNetkit(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() == netkitPrimary {
			d.primary = ad.Uint8() != 0
		}
	}
	return nil
}

// decodeXDP reads the programs of IFLA_XDP. With one program PROG_ID names it
// and ATTACHED its mode; with several each has its own attribute as well.
func (d *device) decodeXDP(ad *netlink.AttributeDecoder) error {
	var mode uint8
	var single uint32
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_XDP_ATTACHED:
			mode = ad.Uint8()
		case unix.IFLA_XDP_PROG_ID:
			single = ad.Uint32()
		case unix.IFLA_XDP_DRV_PROG_ID:
			d.driver = ad.Uint32()
		case unix.IFLA_XDP_SKB_PROG_ID:
			d.generic = ad.Uint32()
		case unix.IFLA_XDP_HW_PROG_ID:
			d.offload = ad.Uint32()
		}
	}
	if single == 0 || d.driver|d.generic|d.offload != 0 {
		return nil
	}
	switch mode { // XDP_ATTACHED_* of if_link.h; kernels before 4.20 have no attribute for each mode
	case 2:
		d.generic = single
	case 3:
		d.offload = single
	default:
		d.driver = single
	}
	return nil
}

func (l *listing) xdp(d device) {
	for _, m := range []struct {
		hook string
		id   uint32
	}{{"driver", d.driver}, {"generic", d.generic}, {"offload", d.offload}} {
		if m.id != 0 {
			l.found = append(l.found, Attachment{Kind: XDP, Dev: d.name, Ifindex: d.index, Hook: m.hook,
				Type: uint32(ebpf.AttachXDP), Program: m.id, down: !d.up})
		}
	}
}
