package flow

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nft"
)

// Find gives the flow of the calling thread's namespace one of whose directions
// is the tuple; false where none is tracked. One in a zone of its own is found
// where it is translated.
func Find(ctx context.Context, t Tuple) (Flow, bool, error) {
	if !Loaded() || none() {
		return Flow{}, false, ctx.Err()
	}
	f, found, err := get(ctx, t)
	if err != nil || found {
		return f, found, err
	}
	all, err := Translated(ctx)
	if err != nil {
		return Flow{}, false, err
	}
	i := slices.IndexFunc(all, func(f Flow) bool { return f.Orig == t || f.Reply == t })
	if i < 0 {
		return Flow{}, false, ctx.Err()
	}
	return all[i], true, ctx.Err()
}

// get asks the kernel for one flow: it looks for the tuple in both directions
// (ctnetlink_get_conntrack). The one answer says that it is one of several and
// none follows, so it is taken from the socket by hand.
func get(ctx context.Context, t Tuple) (f Flow, found bool, err error) {
	family := uint8(unix.AF_INET)
	if t.Src.Is6() {
		family = unix.AF_INET6
	}
	c, err := nft.Open(ctx)
	if err != nil {
		return f, false, err
	}
	defer c.Close()
	if err := c.Send(nft.AppendMessage(nil, messageGet, unix.NLM_F_ACK, 1, family, 0, appendAttr(nil, attrTupleReply|nested, t.encode()))); err != nil {
		return f, false, t.asking(err)
	}
	for {
		datagram, err := c.ReceiveNow() // the kernel has answered when the sending returns
		if err != nil || datagram == nil {
			return f, found, err
		}
		err = nft.Messages(datagram, func(m nft.Message) (err error) {
			switch m.Type {
			case messageNew:
				f, err = decode(m.Body)
				found = err == nil
			case unix.NLMSG_ERROR:
				if errno := nft.AckErrno(m); errno != 0 && errno != unix.ENOENT {
					return errno
				}
			}
			return err
		})
		if err != nil {
			return f, false, t.asking(err)
		}
	}
}

func (t Tuple) asking(err error) error {
	return fmt.Errorf("asking conntrack for %s %s -> %s: %w", t.Proto, netip.AddrPortFrom(t.Src, t.SrcPort), netip.AddrPortFrom(t.Dst, t.DstPort), err)
}

// encode writes the attributes of a tuple (enum ctattr_tuple).
func (t Tuple) encode() []byte {
	src, dst := uint16(ipV4Src), uint16(ipV4Dst)
	if t.Src.Is6() {
		src, dst = ipV6Src, ipV6Dst
	}
	ip := appendAttr(appendAttr(nil, src, t.Src.AsSlice()), dst, t.Dst.AsSlice())
	proto := appendAttr(nil, protoNum, []byte{byte(t.Proto)})
	proto = appendAttr(proto, protoSrcPort, binary.BigEndian.AppendUint16(nil, t.SrcPort))
	proto = appendAttr(proto, protoDstPort, binary.BigEndian.AppendUint16(nil, t.DstPort))
	return appendAttr(appendAttr(nil, tupleIP|nested, ip), tupleProto|nested, proto)
}
