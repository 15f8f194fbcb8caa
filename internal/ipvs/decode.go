package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/genl"
)

// Commands and attributes of include/uapi/linux/ip_vs.h.
const (
	cmdNewService = 1
	cmdDelService = 3
	cmdGetService = 4
	cmdNewDest    = 5
	cmdGetDest    = 8

	attrService = 1 // IPVS_CMD_ATTR_SERVICE
	attrDest    = 2 // IPVS_CMD_ATTR_DEST

	svcFamily   = 1
	svcProtocol = 2
	svcAddr     = 3
	svcPort     = 4
	svcMark     = 5
	svcSched    = 6
	svcFlags    = 7
	svcTimeout  = 8
	svcNetmask  = 9
	svcEngine   = 11 // IPVS_SVC_ATTR_PE_NAME

	destAddr     = 1
	destPort     = 2
	destMethod   = 3
	destWeight   = 4
	destUpper    = 5
	destLower    = 6
	destFamily   = 11
	destTunType  = 13
	destTunPort  = 14
	destTunFlags = 15
)

const nested = unix.NLA_F_NESTED

// flagPersistent is IP_VS_SVC_F_PERSISTENT.
const flagPersistent = 1

// service is one virtual service: of an address, or of a packet mark.
type service struct {
	family    uint16 // AF_INET or AF_INET6
	protocol  uint16 // IPPROTO_*; 0 of a mark
	addr      netip.Addr
	port      uint16 // 0: every port
	mark      uint32 // 0: by address
	scheduler string
	engine    string // that finds persistent connections by their content; "" for none
	flags     uint32
	timeout   uint32  // of persistence, in seconds
	netmask   [4]byte // of persistence: of IPv4 a mask, of IPv6 the length of a prefix
	dests     []dest

	raw     []byte // what makes it again
	strange string // what of raw is not understood
}

// netmaskV6 is the length of the persistence prefix of IPv6, which the kernel
// keeps as a number in the host's order.
func (s *service) netmaskV6() uint32 { return binary.NativeEndian.Uint32(s.netmask[:]) }

// dest is a real server.
type dest struct {
	addr   netip.Addr
	port   uint16
	method uint32 // IP_VS_CONN_F_*: how packets are forwarded
	weight int32
	// upper and lower are the numbers of connections at which it is spared, and
	// asked again; 0 for none.
	upper, lower uint32
	tunType      uint8
	tunPort      uint16

	raw     []byte
	strange string
}

// methodMask is IP_VS_CONN_F_FWD_MASK.
const methodMask = 7

// methodNames are the ways of forwarding by their number, as /proc/net/ip_vs
// writes them (ip_vs_fwd_name in net/netfilter/ipvs/ip_vs_ctl.c).
func methodName(method uint32) string {
	switch method & methodMask {
	case 0:
		return "Masq"
	case 1:
		return "Local"
	case 2:
		return "Tunnel"
	case 3:
		return "Route"
	case 4:
		return "Bypass"
	}
	return fmt.Sprintf("method %d", method&methodMask)
}

var errNothing = errors.New("the message holds no object")

// decodeService reads an answer to IPVS_CMD_GET_SERVICE.
func decodeService(m genl.Message) (service, error) {
	var s service
	var addr, port []byte
	payload, err := inside(m, attrService, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case svcFamily:
			s.family = ad.Uint16()
		case svcProtocol:
			s.protocol = ad.Uint16()
		case svcAddr:
			addr = ad.Bytes()
		case svcPort:
			port = ad.Bytes()
		case svcMark:
			s.mark = ad.Uint32()
		case svcSched:
			s.scheduler = ad.String()
		case svcFlags: // struct ip_vs_flags: flags, mask
			if b := ad.Bytes(); len(b) >= 4 {
				s.flags = binary.NativeEndian.Uint32(b)
			}
		case svcTimeout:
			s.timeout = ad.Uint32()
		case svcNetmask:
			copy(s.netmask[:], ad.Bytes())
		case svcEngine:
			s.engine = ad.String()
		}
	})
	if err == nil {
		err = s.take(payload)
	}
	if err != nil {
		return s, fmt.Errorf("decoding an IPVS service: %w", err)
	}
	if s.family != unix.AF_INET && s.family != unix.AF_INET6 {
		return s, fmt.Errorf("decoding an IPVS service: address family %d is unknown", s.family)
	}
	if s.mark != 0 {
		return s, nil
	}
	if s.addr, err = address(s.family, addr); err == nil {
		s.port, err = bigPort(port)
	}
	if err != nil {
		return s, fmt.Errorf("decoding an IPVS service: %w", err)
	}
	return s, nil
}

// take keeps the bytes that make the service again.
func (s *service) take(payload []byte) (err error) {
	if s.raw, s.strange, err = serviceForm().keep(payload); err != nil {
		return err
	}
	if s.strange == "" {
		s.strange = unknownFlags(s.flags)
	}
	s.raw, err = withoutHashed(s.raw)
	return err
}

// decodeDest reads an answer to IPVS_CMD_GET_DEST. Before Linux 3.18 a
// destination is of the service's family and does not say so.
func decodeDest(m genl.Message, family uint16) (dest, error) {
	var d dest
	var addr, port []byte
	payload, err := inside(m, attrDest, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case destAddr:
			addr = ad.Bytes()
		case destPort:
			port = ad.Bytes()
		case destMethod:
			d.method = ad.Uint32()
		case destWeight:
			d.weight = int32(ad.Uint32())
		case destUpper:
			d.upper = ad.Uint32()
		case destLower:
			d.lower = ad.Uint32()
		case destTunType:
			d.tunType = ad.Uint8()
		case destTunPort:
			if b := ad.Bytes(); len(b) == 2 {
				d.tunPort = binary.BigEndian.Uint16(b)
			}
		case destFamily:
			family = ad.Uint16()
		}
	})
	if err == nil {
		d.raw, d.strange, err = destForm().keep(payload)
	}
	if err == nil {
		d.addr, err = address(family, addr)
	}
	if err == nil {
		d.port, err = bigPort(port)
	}
	if err != nil {
		return d, fmt.Errorf("decoding an IPVS destination: %w", err)
	}
	return d, nil
}

// inside walks the attributes of the one object of a message, and gives their bytes.
func inside(m genl.Message, kind uint16, each func(*netlink.AttributeDecoder)) ([]byte, error) {
	outer, err := netlink.NewAttributeDecoder(m.Attrs)
	if err != nil {
		return nil, err
	}
	var payload []byte
	for outer.Next() {
		if outer.Type() != kind {
			continue
		}
		payload = outer.Bytes()
		outer.Nested(func(ad *netlink.AttributeDecoder) error {
			for ad.Next() {
				each(ad)
			}
			return nil // of ad is asked by Nested
		})
	}
	if err := outer.Err(); err != nil {
		return nil, err
	}
	if payload == nil {
		return nil, errNothing
	}
	return payload, nil
}

// address reads union nf_inet_addr: 16 bytes, of which IPv4 uses four.
func address(family uint16, b []byte) (netip.Addr, error) {
	switch {
	case family == unix.AF_INET && len(b) >= 4:
		return netip.AddrFrom4([4]byte(b[:4])), nil
	case family == unix.AF_INET6 && len(b) >= 16:
		return netip.AddrFrom16([16]byte(b[:16])), nil
	}
	return netip.Addr{}, fmt.Errorf("an address of family %d has %d bytes", family, len(b))
}

func bigPort(b []byte) (uint16, error) {
	if len(b) != 2 {
		return 0, fmt.Errorf("a port has %d bytes", len(b))
	}
	return binary.BigEndian.Uint16(b), nil
}

// question is what asks for the destinations of a service: the attributes by
// which the kernel finds it again (ip_vs_genl_parse_service).
func (s service) question() []byte {
	var b []byte
	b = append(b, genl.Attribute(svcFamily, native16(s.family))...)
	if s.mark != 0 {
		b = append(b, genl.Attribute(svcMark, binary.NativeEndian.AppendUint32(nil, s.mark))...)
	} else {
		b = append(b, genl.Attribute(svcProtocol, native16(s.protocol))...)
		addr := make([]byte, 16)
		copy(addr, s.addr.AsSlice())
		b = append(b, genl.Attribute(svcAddr, addr)...)
		b = append(b, genl.Attribute(svcPort, binary.BigEndian.AppendUint16(nil, s.port))...)
	}
	return genl.Attribute(attrService|nested, b)
}

func native16(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }
