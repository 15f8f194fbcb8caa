package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// errNothing is a set that excludes everything, such as "!0-65535": an entry
// with it could allow nothing and is a slip.
var errNothing = errors.New("nothing is left of it: want a set that holds something")

// families is a set of packet families; the zero value is not restricted.
type families uint8

const (
	v4   families = 1
	v6   families = 2
	both          = v4 | v6
)

func familiesOf(f host.Family) families {
	switch f {
	case host.IP:
		return v4
	case host.IP6:
		return v6
	}
	return both // not known: as wide as it can be
}

func (f families) contains(o families) bool { return f == 0 || o&^f == 0 }

// addrSet is a set of addresses of both families. The zero value is any; of a
// restricted one, a nil set is the whole family.
type addrSet struct {
	restricted bool
	v4, v6     host.Addrs
}

// add reads one item of an address key.
func (s *addrSet) add(text string) error {
	set, err := parseAddrs(text)
	if err != nil || set.Empty() {
		return cmp.Or(err, errNothing)
	}
	if !s.restricted {
		s.restricted, s.v4, s.v6 = true, host.Addrs{}, host.Addrs{}
	}
	switch {
	case text == "any":
		s.v4, s.v6 = nil, nil
	case strings.Contains(text, ":"):
		s.v6 = s.v6.Union(set)
	default:
		s.v4 = s.v4.Union(set)
	}
	return nil
}

func parseAddrs(text string) (host.Addrs, error) {
	for _, part := range strings.Split(strings.TrimPrefix(text, "!"), ",") {
		if err := wholePrefix(strings.TrimSpace(part)); err != nil {
			return nil, err
		}
	}
	return host.ParseAddrs(text)
}

// wholePrefix refuses 10.0.5.7/24: it is not clear whether one address or the
// whole prefix was meant.
func wholePrefix(text string) error {
	p, err := netip.ParsePrefix(text)
	if err == nil && p != p.Masked() {
		return fmt.Errorf("%q has host bits set: write %s or %s", text, p.Masked(), p.Addr())
	}
	return nil
}

// contains says whether all addresses of a row are in the set. A row's nil set
// is every address of its families.
func (s *addrSet) contains(set host.Addrs, f families) bool {
	switch {
	case !s.restricted:
		return true
	case set == nil:
		return (f&v4 == 0 || s.v4.Any()) && (f&v6 == 0 || s.v6.Any())
	case len(set) > 0 && set[0].Lo.Is4():
		return s.v4.Contains(set)
	}
	return s.v6.Contains(set)
}

// covers says whether the set holds all of another policy's set.
func (s *addrSet) covers(o *addrSet) bool {
	if !s.restricted || !o.restricted {
		return !s.restricted || s.v4.Any() && s.v6.Any()
	}
	return s.v4.Contains(o.v4) && s.v6.Contains(o.v6)
}

// portSet is a set of ports in a match; the zero value is any.
type portSet struct {
	restricted bool
	set        host.Ports
}

func (s *portSet) add(text string) error {
	for _, part := range strings.Split(strings.TrimPrefix(text, "!"), ",") {
		if strings.Trim(part, "0 ") == "" && strings.Contains(part, "0") {
			return errors.New("port 0 does not exist")
		}
	}
	set, err := host.ParsePorts(text)
	if err != nil || set.Empty() {
		return cmp.Or(err, errNothing)
	}
	if !s.restricted {
		s.restricted, s.set = true, host.Nothing[host.Port]()
	}
	s.set = s.set.Union(set)
	return nil
}

// contains compares the ends first: of many entries most fail there.
func (s *portSet) contains(o host.Ports) bool {
	if !s.restricted || s.set == nil {
		return true
	}
	if len(o) == 0 || len(s.set) == 0 || o[0].Lo < s.set[0].Lo || o[len(o)-1].Hi > s.set[len(s.set)-1].Hi {
		return false
	}
	return s.set.Contains(o)
}

func (s *portSet) covers(o *portSet) bool {
	return !s.restricted || s.set.Any() || o.restricted && s.set.Contains(o.set)
}

// protoSet is a set of protocols in a match; the zero value is any.
type protoSet struct {
	restricted bool
	set        host.Protos
}

func (s *protoSet) add(text string) error {
	set, err := host.ParseProtos(text)
	if err != nil || set.Empty() {
		return cmp.Or(err, errNothing)
	}
	if !s.restricted {
		s.restricted, s.set = true, host.Nothing[host.Proto]()
	}
	s.set = s.set.Union(set)
	return nil
}

func (s *protoSet) contains(o host.Protos) bool { return !s.restricted || s.set.Contains(o) }

func (s *protoSet) covers(o *protoSet) bool {
	return !s.restricted || s.set.Any() || o.restricted && s.set.Contains(o.set)
}
