package ipset

import (
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// Set is one ipset with its elements.
type Set struct {
	Name     string
	Index    uint16      // what rules name it by (ip_set_id_t)
	Type     string      // "hash:ip,port", "bitmap:port", "list:set"
	Family   host.Family // IP or IP6; "" where the type has none (bitmap:port, hash:mac, list:set)
	Revision uint8
	// Timeouts is true where elements may expire.
	Timeouts bool
	// MarkMask is applied to a packet's mark before it is looked up (hash:ip,mark);
	// 0 is no mask.
	MarkMask uint32
	Elements []Element
	// Unread says why the elements could not be read or understood; "" where they were.
	Unread string

	hasIndex bool
	addrs    *host.Addrs
	netmask  int // prefix length of what a hash:ip or bitmap:ip holds; 0 for single addresses
}

// Dims are the dimensions of the set's elements: of "hash:ip,port" they are
// "ip" and "port". A list:set has the one dimension "set".
func (s *Set) Dims() []string {
	_, dims, _ := strings.Cut(s.Type, ":")
	return strings.Split(dims, ",")
}

// Element is one element. Which fields are filled follows from the set's type.
type Element struct {
	Lo, Hi         netip.Addr // the first address or network, as a range
	Lo2, Hi2       netip.Addr // the second network (hash:net,net, hash:ip,port,net)
	Bits, Bits2    int        // prefix lengths of the networks
	Proto          host.Proto // of the port; 0 in a bitmap:port
	PortLo, PortHi uint16     // of icmp: type and code in one number
	Mark           uint32
	Iface          string
	Wildcard       bool // Iface is the beginning of a name
	Physdev        bool // Iface is a port of a bridge
	MAC            [6]byte
	HasMAC         bool
	NoMatch        bool   // an exception: what it takes is not in the set
	Member         string // of a list:set: a set's name
}
