package flow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/kmod"
	"github.com/natwarden/natwarden/internal/nlsock"
)

const (
	// bufferSize holds what the kernel sends at once in a dump (at most 32 KiB,
	// net/netlink/af_netlink.c) with room to spare.
	bufferSize = 64 << 10
	// patience is how long a connection may be used when the caller sets no limit.
	patience = 30 * time.Second
	// sizeofGenmsg is struct nfgenmsg: family, version, resource id.
	sizeofGenmsg = 4

	// enum cntl_msg_types with the subsystem in the high byte
	messageNew    = unix.NFNL_SUBSYS_CTNETLINK << 8   // IPCTNL_MSG_CT_NEW, 0
	messageGet    = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET
	messageDelete = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE
)

// Loaded says whether the namespace of the calling thread can have flows that
// can be listed without loading a kernel module.
func Loaded() bool {
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_count"); err != nil {
		return false
	}
	m := kmod.Read()
	return m.Have("nf_conntrack_netlink") || m.Unsure()
}

// Conn talks to conntrack of the network namespace in which it was opened.
type Conn struct {
	c    *netlink.Conn
	stop func() bool
}

// Dial opens conntrack of the calling thread's namespace. Everything done with
// the connection ends with an error when ctx ends.
func Dial(ctx context.Context) (*Conn, error) {
	c, err := nlsock.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: bufferSize})
	if err != nil {
		return nil, fmt.Errorf("opening conntrack: %w", err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return &Conn{c: c, stop: stop}, nil
}

// Close ends the connection.
func (c *Conn) Close() error {
	c.stop()
	return c.c.Close()
}

// Delete cuts the flow that key names (Flow.Key). It says false where that
// flow is no more: then there is nothing to cut.
func (c *Conn) Delete(key []byte) (cut bool, err error) {
	if !IsKey(key) {
		return false, errors.New("the key does not name one flow")
	}
	_, err = c.c.Execute(netlink.Message{
		Header: netlink.Header{Type: messageDelete, Flags: netlink.Request | netlink.Acknowledge},
		Data:   key,
	})
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// genmsg is a struct nfgenmsg for the entries of one family; 0 is all.
func genmsg(family uint8) []byte { return []byte{family, 0, 0, 0} } // NFNETLINK_V0

func appendAttr(b []byte, kind uint16, payload []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(payload)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, payload...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// IsKey says whether key names exactly one flow (Flow.Key). A deletion without
// a tuple would flush the whole table, one without the kernel's id might take
// a later flow of the same tuple.
func IsKey(key []byte) bool {
	if len(key) < sizeofGenmsg {
		return false
	}
	var tuple, id bool
	err := eachAttr(key[sizeofGenmsg:], func(kind uint16, value []byte) error {
		switch kind {
		case attrTupleOrig:
			_, err := decodeTuple(value)
			tuple = err == nil
			return err
		case attrID:
			id = len(value) == 4
		}
		return nil
	})
	return err == nil && tuple && id
}
