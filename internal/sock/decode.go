package sock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// socket is one struct inet_diag_msg with its attributes.
type socket struct {
	state            uint8
	addr             netip.Addr
	homes            []netip.Addr // of a multi-homed SCTP socket, instead of addr
	port, remotePort uint16
	ifindex          uint32
	uid, inode       uint32
	v6               bool
	v6only           bool
	transparent      bool
	options          bool // the kernel told transparent
}

var errTorn = errors.New("the kernel's answer is cut short")

// decode reads a struct inet_diag_msg: family, state, timer, retrans, then
// struct inet_diag_sockid (ports and addresses in network order, the interface
// in host order), expires, rqueue, wqueue, uid, inode, then attributes.
func decode(b []byte) (socket, error) {
	if len(b) < sizeofMsg {
		return socket{}, errTorn
	}
	s := socket{
		state:      b[1],
		port:       binary.BigEndian.Uint16(b[4:]),
		remotePort: binary.BigEndian.Uint16(b[6:]),
		ifindex:    binary.NativeEndian.Uint32(b[40:]),
		uid:        binary.NativeEndian.Uint32(b[64:]),
		inode:      binary.NativeEndian.Uint32(b[68:]),
		v6:         b[0] == unix.AF_INET6,
	}
	switch b[0] {
	case unix.AF_INET:
		s.addr = netip.AddrFrom4([4]byte(b[8:12]))
	case unix.AF_INET6:
		s.addr = netip.AddrFrom16([16]byte(b[8:24]))
	default:
		return socket{}, fmt.Errorf("the kernel listed a socket of family %d", b[0])
	}
	return s, s.attributes(b[sizeofMsg:])
}

// attributes walks struct nlattr records: length and type of 16 bits in host
// order, padded to four bytes.
func (s *socket) attributes(b []byte) error {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return errTorn
		}
		if err := s.attribute(binary.NativeEndian.Uint16(b[2:]), b[4:n]); err != nil {
			return err
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

func (s *socket) attribute(kind uint16, b []byte) error {
	switch {
	case kind == attrSockopt && len(b) >= 2:
		s.options, s.transparent = true, bitfield(b[0], 5)
	case kind == attrV6Only && len(b) >= 1:
		s.v6only = b[0] != 0
	case kind == attrLocals:
		return s.locals(b)
	}
	return nil
}

// bitfield reads the n-th bit field of a C struct: compilers count from the
// low end where the lowest byte comes first, else from the high end.
func bitfield(b byte, n uint) bool {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return b>>n&1 == 1
	}
	return b>>(7-n)&1 == 1
}

// locals reads the addresses of a multi-homed SCTP socket: struct
// sockaddr_storage (128 bytes each).
func (s *socket) locals(b []byte) error {
	const size = 128 // sizeof(struct sockaddr_storage)
	if len(b) == 0 || len(b)%size != 0 {
		return errTorn
	}
	for ; len(b) > 0; b = b[size:] {
		switch binary.NativeEndian.Uint16(b) {
		case unix.AF_INET:
			s.homes = append(s.homes, netip.AddrFrom4([4]byte(b[4:8])))
		case unix.AF_INET6:
			s.homes = append(s.homes, netip.AddrFrom16([16]byte(b[8:24])))
		default:
			return fmt.Errorf("the kernel listed a local address of family %d", binary.NativeEndian.Uint16(b))
		}
	}
	return nil
}

// addresses are those on which the socket answers.
func (s *socket) addresses() []netip.Addr {
	if len(s.homes) > 0 {
		return s.homes
	}
	return []netip.Addr{s.addr}
}

// listener writes the socket in the words of the model.
func (s *socket) listener(proto string, addr netip.Addr, text, device string) host.Listener {
	wild := s.v6 && addr == netip.IPv6Unspecified()
	return host.Listener{
		Proto: proto, Address: text, Port: s.port, UID: s.uid, Transparent: s.transparent,
		Inode: uint64(s.inode), Device: device,
		V6Only: wild && s.v6only, DualStack: wild && !s.v6only, Partial: !s.options,
	}
}

// addressText writes an address. An IPv4 address that is mapped into IPv6
// takes IPv4 only, so it is written as what it takes.
func addressText(a netip.Addr) string { return a.Unmap().String() }
