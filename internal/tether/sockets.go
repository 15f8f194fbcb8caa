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

	"github.com/natwarden/natwarden/internal/sock"
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

// kind is a protocol with the states of its sockets that are read.
type kind struct {
	name   string
	number byte
	states uint32
}

func kinds() []kind {
	return []kind{{"tcp", unix.IPPROTO_TCP, 1<<established | 1<<closeWait | 1<<listening}, {"udp", unix.IPPROTO_UDP, 1<<established | 1<<closed}}
}

// readSockets lists the TCP sockets that listen or are connected, and all UDP
// sockets, of the namespace of the calling thread: by sock_diag where the kernel
// loads no module for it.
func readSockets(ctx context.Context) ([]socket, error) {
	var out []socket
	for _, k := range kinds() {
		read := listed
		if sock.DiagLoaded(k.name) {
			read = dumped
		}
		found, err := read(ctx, k)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// listed reads the sockets of one protocol from /proc/net.
func listed(_ context.Context, k kind) ([]socket, error) {
	all, err := sock.ListInet(k.name)
	if err != nil {
		return nil, err
	}
	var out []socket
	for _, s := range all {
		if k.states&(1<<s.State) != 0 {
			out = append(out, socket{proto: k.name, here: s.Local, there: s.Remote, listens: s.State == listening, inode: s.Inode})
		}
	}
	return out, nil
}

// dumped reads the sockets of one protocol by sock_diag.
func dumped(ctx context.Context, k kind) ([]socket, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, &netlink.Config{MessageBufferSize: 64 << 10})
	if err != nil {
		return nil, fmt.Errorf("opening a sock_diag socket: %w", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(diagTime))
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	var out []socket
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		req := make([]byte, sizeofDiagReq)
		req[0], req[1] = family, k.number
		binary.NativeEndian.PutUint32(req[4:], k.states)
		msgs, err := c.Execute(netlink.Message{Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump}, Data: req})
		if errors.Is(err, unix.ENOENT) {
			continue // no such family
		}
		if err != nil {
			return nil, fmt.Errorf("dumping %s sockets: %w", k.name, err)
		}
		for _, m := range msgs {
			if s, ok := decodeSocket(m.Data); ok {
				s.proto = k.name
				out = append(out, s)
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
