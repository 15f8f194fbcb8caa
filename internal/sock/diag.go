package sock

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nlsock"
)

const (
	// bufferSize holds what the kernel sends at once in a dump (at most 32 KiB,
	// net/netlink/af_netlink.c) with room to spare.
	bufferSize = 64 << 10
	// patience is how long one dump may take when the caller sets no limit.
	patience = 30 * time.Second

	// sizes of include/uapi/linux/inet_diag.h
	sizeofReqV2 = 56 // struct inet_diag_req_v2
	sizeofMsg   = 72 // struct inet_diag_msg

	attrSockopt  = 22 // INET_DIAG_SOCKOPT, struct inet_diag_sockopt
	attrV6Only   = 11 // INET_DIAG_SKV6ONLY
	attrLocals   = 17 // INET_DIAG_LOCALS, struct sockaddr_storage[]
	attrProtocol = 3  // INET_DIAG_REQ_PROTOCOL
)

// diagConn is a NETLINK_SOCK_DIAG socket of the thread's namespace.
type diagConn struct{ *netlink.Conn }

func dialDiag() (*diagConn, error) {
	c, err := nlsock.Dial(unix.NETLINK_SOCK_DIAG, &netlink.Config{MessageBufferSize: bufferSize})
	if err != nil {
		return nil, fmt.Errorf("opening a sock_diag socket: %w", err)
	}
	return &diagConn{c}, nil
}

// ask dumps one protocol of one family. Nothing is kept of a dump that fails.
func (r *reader) ask(k kind, v6 int) error {
	if r.diag == nil {
		c, err := dialDiag()
		if err != nil {
			return err
		}
		r.diag = c
	}
	stop := r.limit()
	defer stop()
	before := len(r.found)
	if err := r.dump(k, v6); err != nil {
		r.found = r.found[:before]
		return fmt.Errorf("dumping %s: %w", what(k, v6), err)
	}
	return nil
}

// limit ends a dump when ctx ends, or when it takes too long.
func (r *reader) limit() (stop func() bool) {
	_ = r.diag.SetDeadline(time.Now().Add(patience))
	diag := r.diag
	return context.AfterFunc(r.ctx, func() { _ = diag.SetDeadline(time.Unix(1, 0)) })
}

func (r *reader) dump(k kind, v6 int) error {
	_, err := r.diag.Send(netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump},
		Data:   request(k, v6),
	})
	if err != nil {
		return err
	}
	var bad error // the rest is still received, so that the socket stays usable
	for m, err := range r.diag.ReceiveIter() {
		if err != nil {
			return err
		}
		if bad == nil && m.Header.Type == unix.SOCK_DIAG_BY_FAMILY {
			bad = r.take(k, m.Data)
		}
	}
	return bad
}

// request is a struct inet_diag_req_v2 that asks for sockets in the one state
// that answers, whatever their addresses.
func request(k kind, v6 int) []byte {
	b := make([]byte, sizeofReqV2, sizeofReqV2+8)
	b[0] = unix.AF_INET
	if v6 == 1 {
		b[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(b[4:], 1<<k.state)
	if k.number < 256 {
		b[1] = byte(k.number)
		return b
	}
	// A number that does not fit goes into an attribute. A kernel that does not
	// know it reads the byte: 255, of which no socket listens.
	b[1] = unix.IPPROTO_RAW
	b = binary.NativeEndian.AppendUint16(b, 8)
	b = binary.NativeEndian.AppendUint16(b, attrProtocol)
	return binary.NativeEndian.AppendUint32(b, k.number)
}

// take decodes one socket and keeps it if it answers.
func (r *reader) take(k kind, data []byte) error {
	s, err := decode(data)
	if err != nil {
		return err
	}
	if s.state != k.state || s.remotePort != 0 || s.port == 0 {
		return nil
	}
	for _, a := range s.addresses() {
		if len(r.found) == cap(r.found) { // append alone would copy ten times as much
			r.found = slices.Grow(r.found, len(r.found)+256)
		}
		r.found = append(r.found, s.listener(k.name, a, r.text(a), r.device(s.ifindex)))
	}
	return nil
}

// text writes an address once: most sockets share a few.
func (r *reader) text(a netip.Addr) string {
	text, ok := r.texts[a]
	if !ok {
		text = addressText(a)
		r.texts[a] = text
	}
	return text
}

// device is the name of an interface of the thread's namespace, or its number
// where it has gone.
func (r *reader) device(index uint32) string {
	if index == 0 {
		return ""
	}
	name, ok := r.devices[index]
	if !ok {
		name = fmt.Sprintf("#%d", index)
		if i, err := net.InterfaceByIndex(int(index)); err == nil {
			name = i.Name
		}
		r.devices[index] = name
	}
	return name
}
