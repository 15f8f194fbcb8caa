package ipset

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// IPSET_ATTR_* at the level of a command.
const (
	attrProtocol    = 1
	attrSetName     = 2
	attrTypeName    = 3
	attrRevision    = 4
	attrFamily      = 5
	attrData        = 7
	attrADT         = 8
	attrProtocolMin = 10
	attrIndex       = 11
)

// IPSET_ATTR_* of a set's header and of elements.
const (
	attrIP       = 1
	attrIPTo     = 2
	attrCIDR     = 3
	attrPort     = 4
	attrPortTo   = 5
	attrTimeout  = 6
	attrProto    = 7
	attrFlags    = 8
	attrMark     = 10
	attrMarkMask = 11
	attrBitmask  = 12 // since Linux 6.3
	attrEther    = 17
	attrName     = 18
	attrIP2      = 20 // of an element
	attrNetmask  = 20 // of a header
	attrCIDR2    = 21
	attrIP2To    = 22
	attrIface    = 23
	attrLast     = 30 // IPSET_ATTR_SKBQUEUE and its padding: those above are unknown
)

// IPSET_FLAG_* of elements.
const (
	flagPhysdev  = 1 << 1
	flagNoMatch  = 1 << 2
	flagWildcard = 1 << 7
)

// maxElements bounds how many elements of one set are kept.
const maxElements = 1 << 20

func decoder(b []byte) (*netlink.AttributeDecoder, error) {
	if len(b) < 4 {
		return nil, fmt.Errorf("an ipset message of %d bytes is too short", len(b))
	}
	ad, err := netlink.NewAttributeDecoder(b[4:]) // behind struct nfgenmsg
	if err != nil {
		return nil, fmt.Errorf("decoding an ipset message: %w", err)
	}
	ad.ByteOrder = binary.BigEndian
	return ad, nil
}

func parseProtocol(b []byte) (newest, oldest uint8, err error) {
	ad, err := decoder(b)
	if err != nil {
		return 0, 0, err
	}
	for ad.Next() {
		switch ad.Type() {
		case attrProtocol:
			newest = ad.Uint8()
		case attrProtocolMin:
			oldest = ad.Uint8()
		}
	}
	if oldest == 0 {
		oldest = newest
	}
	return newest, oldest, ad.Err()
}

func (s *Set) parseIndex(b []byte) error {
	ad, err := decoder(b)
	if err != nil {
		return err
	}
	for ad.Next() {
		if ad.Type() == attrIndex {
			s.Index, s.hasIndex = ad.Uint16(), true
		}
	}
	return ad.Err()
}

// list gathers sets from the messages of a listing. A large set comes in
// several messages; those after the first carry its name and elements only.
type list struct{ sets []Set }

func (l *list) add(b []byte) error {
	ad, err := decoder(b)
	if err != nil {
		return err
	}
	for ad.Next() {
		l.attribute(ad)
	}
	if err := ad.Err(); err != nil {
		return fmt.Errorf("decoding ipset %q: %w", l.last(), err)
	}
	return nil
}

// attribute reads one attribute of a message. The name comes first; what
// follows belongs to that set.
func (l *list) attribute(ad *netlink.AttributeDecoder) {
	if ad.Type() == attrSetName {
		l.open(ad.String())
		return
	}
	if len(l.sets) == 0 {
		return
	}
	s := &l.sets[len(l.sets)-1]
	switch ad.Type() {
	case attrTypeName:
		s.Type = ad.String()
	case attrRevision:
		s.Revision = ad.Uint8()
	case attrFamily:
		s.Family = family(ad.Uint8())
	case attrIndex:
		s.Index, s.hasIndex = ad.Uint16(), true
	case attrData:
		ad.Nested(s.header)
	case attrADT:
		ad.Nested(s.elements)
	}
}

// last is the name of the set that was opened last.
func (l *list) last() string {
	if len(l.sets) == 0 {
		return ""
	}
	return l.sets[len(l.sets)-1].Name
}

func (l *list) open(name string) {
	if n := len(l.sets); n == 0 || l.sets[n-1].Name != name {
		l.sets = append(l.sets, Set{Name: name})
	}
}

func family(f uint8) host.Family {
	switch f {
	case unix.AF_INET:
		return host.IP
	case unix.AF_INET6:
		return host.IP6
	}
	return ""
}

// header reads what the set was made with.
func (s *Set) header(ad *netlink.AttributeDecoder) error {
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case attrTimeout:
			s.Timeouts = true
		case attrNetmask:
			s.netmask = int(ad.Uint8())
		case attrMarkMask:
			s.MarkMask = ad.Uint32()
		case attrBitmask:
			s.Unread = "its bitmask is not evaluated"
		}
	}
	return ad.Err()
}

func (s *Set) elements(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() != attrData {
			continue
		}
		if len(s.Elements) == maxElements {
			s.Unread = fmt.Sprintf("more than %d elements", maxElements)
			return nil
		}
		ad.Nested(s.element)
	}
	return ad.Err()
}

func (s *Set) element(ad *netlink.AttributeDecoder) error {
	ad.ByteOrder = binary.BigEndian
	e := Element{Bits: -1, Bits2: -1}
	for ad.Next() {
		e.attribute(ad)
		if ad.Type() > attrLast {
			s.Unread = fmt.Sprintf("attribute %d of its elements is unknown", ad.Type())
		}
	}
	if err := ad.Err(); err != nil {
		return err
	}
	if why := e.complete(s); why != "" {
		s.Unread = why
		return nil
	}
	s.Elements = append(s.Elements, e)
	return nil
}

func (e *Element) attribute(ad *netlink.AttributeDecoder) {
	switch ad.Type() {
	case attrIP:
		ad.Nested(address(&e.Lo))
	case attrIPTo:
		ad.Nested(address(&e.Hi))
	case attrCIDR:
		e.Bits = int(ad.Uint8())
	case attrIP2:
		ad.Nested(address(&e.Lo2))
	case attrIP2To:
		ad.Nested(address(&e.Hi2))
	case attrCIDR2:
		e.Bits2 = int(ad.Uint8())
	case attrPort:
		e.PortLo = ad.Uint16()
	case attrPortTo:
		e.PortHi = ad.Uint16()
	case attrProto:
		e.Proto = host.Proto(ad.Uint8())
	case attrMark:
		e.Mark = ad.Uint32()
	case attrName:
		e.Member = ad.String()
	default:
		e.rarer(ad)
	}
}

func (e *Element) rarer(ad *netlink.AttributeDecoder) {
	switch ad.Type() {
	case attrIface:
		e.Iface = ad.String()
	case attrEther:
		e.HasMAC = copy(e.MAC[:], ad.Bytes()) == 6
	case attrFlags:
		flags := ad.Uint32()
		e.Physdev, e.NoMatch, e.Wildcard = flags&flagPhysdev != 0, flags&flagNoMatch != 0, flags&flagWildcard != 0
	}
}

// address reads IPSET_ATTR_IPADDR_IPV4 (1) or IPV6 (2).
func address(to *netip.Addr) func(*netlink.AttributeDecoder) error {
	return func(ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			a, ok := netip.AddrFromSlice(ad.Bytes())
			if !ok || (ad.Type() == 1) != a.Is4() {
				return fmt.Errorf("an address of %d bytes", ad.Len())
			}
			*to = a
		}
		return ad.Err()
	}
}
