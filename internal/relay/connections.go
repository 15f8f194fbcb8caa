package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nlsock"
	"github.com/natwarden/natwarden/internal/sock"
)

// A connection is an established TCP socket of the namespace.
type connection struct {
	local, remote   netip.AddrPort
	inode           uint64
	acked, received uint64 // bytes: tcpi_bytes_acked, tcpi_bytes_received
	uncounted       bool   // the kernel was not asked for the bytes
}

// Sizes and numbers of include/uapi/linux/inet_diag.h and tcp.h.
const (
	sizeofDiagReq   = 56
	sizeofDiagMsg   = 72
	diagInfo        = 2 // INET_DIAG_INFO: struct tcp_info
	stateMask       = 1<<1 | 1<<8
	offsetAcked     = 120
	offsetReceived  = 128
	connectionsTime = 30 * time.Second
)

// readConnections lists the TCP connections (ESTABLISHED, CLOSE_WAIT) of the
// namespace of the calling thread with their byte counts; without them where the
// kernel would load a module to tell.
func readConnections(ctx context.Context) ([]connection, error) {
	if sock.DiagLoaded("tcp") {
		return dumpConnections(ctx)
	}
	all, err := sock.ListInet("tcp")
	var out []connection
	for _, s := range all {
		if stateMask&(1<<s.State) != 0 {
			out = append(out, connection{local: s.Local, remote: s.Remote, inode: s.Inode, uncounted: true})
		}
	}
	return out, err
}

// readUDP lists the UDP sockets of the namespace of the calling thread, those
// without a peer (whose remote port is 0) as well. The kernel counts no bytes of them.
func readUDP() ([]connection, error) {
	all, err := sock.ListInet("udp")
	out := make([]connection, 0, len(all))
	for _, s := range all {
		out = append(out, connection{local: s.Local, remote: s.Remote, inode: s.Inode, uncounted: true})
	}
	return out, err
}

func dumpConnections(ctx context.Context) ([]connection, error) {
	c, err := nlsock.Dial(unix.NETLINK_SOCK_DIAG, &netlink.Config{MessageBufferSize: 64 << 10})
	if err != nil {
		return nil, fmt.Errorf("opening a sock_diag socket: %w", err)
	}
	defer c.Close()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(connectionsTime)
	}
	if err := c.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("opening a sock_diag socket: %w", err)
	}
	var out []connection
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		req := make([]byte, sizeofDiagReq)
		req[0], req[1], req[2] = family, unix.IPPROTO_TCP, 1<<(diagInfo-1)
		binary.NativeEndian.PutUint32(req[4:], stateMask)
		msgs, err := c.Execute(netlink.Message{Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump}, Data: req})
		if errors.Is(err, unix.ENOENT) {
			continue // no such family
		}
		if err != nil {
			return nil, fmt.Errorf("dumping connections: %w", err)
		}
		for _, m := range msgs {
			if x, ok := decodeConnection(m.Data); ok {
				out = append(out, x)
			}
		}
	}
	return out, nil
}

// decodeConnection reads struct inet_diag_msg; false for one that is torn.
func decodeConnection(b []byte) (connection, bool) {
	if len(b) < sizeofDiagMsg {
		return connection{}, false
	}
	addr := func(at int) netip.Addr {
		if b[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[at : at+4]))
		}
		return netip.AddrFrom16([16]byte(b[at : at+16])).Unmap()
	}
	// struct inet_diag_msg: 4 bytes, then struct inet_diag_sockid (ports, 16 bytes each of source and destination).
	x := connection{
		local:  netip.AddrPortFrom(addr(8), binary.BigEndian.Uint16(b[4:])),
		remote: netip.AddrPortFrom(addr(24), binary.BigEndian.Uint16(b[6:])),
		inode:  uint64(binary.NativeEndian.Uint32(b[68:])),
	}
	ad, err := netlink.NewAttributeDecoder(b[sizeofDiagMsg:])
	if err != nil {
		return x, true
	}
	for ad.Next() {
		if info := ad.Bytes(); ad.Type() == diagInfo && len(info) >= offsetReceived+8 {
			x.acked = binary.NativeEndian.Uint64(info[offsetAcked:])
			x.received = binary.NativeEndian.Uint64(info[offsetReceived:])
		}
	}
	return x, true
}
