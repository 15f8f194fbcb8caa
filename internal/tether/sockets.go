package tether

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// socket is a TCP or UDP socket of a namespace.
type socket struct {
	proto       string
	here, there netip.AddrPort // there is of port 0 where it has no peer
	listens     bool           // TCP in state LISTEN
	inode       uint64
	space       string // key of the namespace, as namespaces name it
}

// Sizes and states of include/uapi/linux/inet_diag.h and net/tcp_states.h.
const (
	sizeofDiagReq = 56
	sizeofDiagMsg = 72
	established   = 1
	closeWait     = 8
	closed        = 7 // of UDP: bound, without a peer
	listening     = 10
	diagTime      = 30 * time.Second
)

// readSockets dumps the TCP sockets that listen or are connected, and all UDP
// sockets, of the namespace of the calling thread.
func readSockets(ctx context.Context) ([]socket, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, &netlink.Config{MessageBufferSize: 64 << 10})
	if err != nil {
		return nil, fmt.Errorf("opening a sock_diag socket: %w", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(diagTime))
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	var out []socket
	for _, kind := range []struct {
		name   string
		number byte
		states uint32
	}{{"tcp", unix.IPPROTO_TCP, 1<<established | 1<<closeWait | 1<<listening}, {"udp", unix.IPPROTO_UDP, 1<<established | 1<<closed}} {
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			req := make([]byte, sizeofDiagReq)
			req[0], req[1] = family, kind.number
			binary.NativeEndian.PutUint32(req[4:], kind.states)
			msgs, err := c.Execute(netlink.Message{Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump}, Data: req})
			if errors.Is(err, unix.ENOENT) {
				continue // no such family, or its diag module is not there
			}
			if err != nil {
				return nil, fmt.Errorf("dumping %s sockets: %w", kind.name, err)
			}
			for _, m := range msgs {
				if s, ok := decodeSocket(m.Data); ok {
					s.proto = kind.name
					out = append(out, s)
				}
			}
		}
	}
	return out, nil
}

// decodeSocket reads struct inet_diag_msg; false for one that is torn.
func decodeSocket(b []byte) (socket, bool) {
	if len(b) < sizeofDiagMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return socket{}, false
	}
	addr := func(at int) netip.Addr {
		if b[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[at : at+4]))
		}
		return netip.AddrFrom16([16]byte(b[at : at+16])).Unmap()
	}
	return socket{
		here:    netip.AddrPortFrom(addr(8), binary.BigEndian.Uint16(b[4:])),
		there:   netip.AddrPortFrom(addr(24), binary.BigEndian.Uint16(b[6:])),
		listens: b[1] == listening,
		inode:   uint64(binary.NativeEndian.Uint32(b[68:])),
	}, true
}

// connected says whether the socket has a peer.
func (s *socket) connected() bool { return s.there.Port() != 0 }
