package xtables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// SO_IP_SET and its questions, of include/uapi/linux/netfilter/ipset/ip_set.h.
const (
	soIPSet        = 83
	ipsetByName    = 0x06
	ipsetByIndex   = 0x07
	ipsetVersion   = 0x100
	ipsetNameSize  = 32
	ipsetRequest   = 8 + ipsetNameSize // struct ip_set_req_get_set
	ipsetVersionSz = 8                 // struct ip_set_req_version
)

// nameSets asks for the names of the ipsets that the entries refer to. Only
// where an entry does is ipset asked at all: it is loaded then.
func (d *Dump) nameSets() error {
	indices := map[uint16]bool{}
	for _, t := range d.Tables {
		for i := range t.Entries {
			for _, at := range setFields(t.Family, t.Raw(i)) {
				indices[u16(t.Raw(i), at)] = true
			}
		}
	}
	if len(indices) == 0 {
		return nil
	}
	sets, err := OpenSets()
	if err != nil {
		return err
	}
	defer sets.Close()
	var failed error
	for index := range indices {
		name, err := sets.Name(index)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		d.SetNames[index] = name
	}
	return failed
}

// setFields finds where in a checked entry the kernel's indices of ipsets
// stand: in "set" matches and "SET" targets (include/uapi/linux/netfilter/xt_set.h).
// Fields that name no set are left out.
func setFields(family host.Family, raw []byte) []int {
	l := layoutOf(family)
	var fields []int
	add := func(at, size int) {
		if at+2 <= size && u16(raw, at) != maxSetIndex {
			fields = append(fields, at)
		}
	}
	at := l.size
	l.eachMatch(raw, func(m []byte) bool {
		if extIs(m, "set") {
			add(at+extHeader, at+len(m))
		}
		at += len(m)
		return true
	})
	if target := l.target(raw); extIs(target, "SET") {
		at, step, count := int(u16(raw, l.targetOffset))+extHeader, 4, 2
		switch target[2+extName] {
		case 0: // struct xt_set_info_v0 carries seven words of flags
			step = 32
		case 3: // add, del, map
			count = 3
		}
		for i := range count {
			add(at+i*step, int(u16(raw, l.targetOffset))+len(target))
		}
	}
	return fields
}

// Sets resolves names and kernel indices of ipsets.
type Sets struct {
	s       *Socket
	version uint32
}

// OpenSets opens a socket to ipset in the calling thread's namespace. It
// loads no module: a kernel without ipset answers with an error.
func OpenSets() (*Sets, error) {
	s, err := OpenSocket(host.IP)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, ipsetVersionSz)
	binary.NativeEndian.PutUint32(buf, ipsetVersion)
	if _, err := s.Get(soIPSet, buf); err != nil {
		s.Close()
		return nil, fmt.Errorf("asking ipset for its version: %w", err)
	}
	return &Sets{s, u32(buf, 4)}, nil
}

// Close closes the socket.
func (s *Sets) Close() error { return s.s.Close() }

// Name gives the name of the set with a kernel index.
func (s *Sets) Name(index uint16) (string, error) {
	buf := s.request(ipsetByIndex)
	binary.NativeEndian.PutUint16(buf[8:], index)
	if _, err := s.s.Get(soIPSet, buf); err != nil {
		return "", fmt.Errorf("asking for the name of ipset %d: %w", index, err)
	}
	name := cstring(buf[8:])
	if name == "" {
		return "", fmt.Errorf("asking for the name of ipset %d: there is none", index)
	}
	return name, nil
}

// Index gives the kernel index of the set with a name.
func (s *Sets) Index(name string) (uint16, error) {
	buf := s.request(ipsetByName)
	if len(name) >= ipsetNameSize {
		return 0, fmt.Errorf("ipset name %q is too long", name)
	}
	copy(buf[8:], name)
	if _, err := s.s.Get(soIPSet, buf); err != nil {
		return 0, fmt.Errorf("asking for ipset %q: %w", name, err)
	}
	index := u16(buf, 8)
	if index == maxSetIndex {
		return 0, fmt.Errorf("asking for ipset %q: %w", name, unix.ENOENT)
	}
	return index, nil
}

func (s *Sets) request(op uint32) []byte {
	buf := make([]byte, ipsetRequest)
	binary.NativeEndian.PutUint32(buf, op)
	binary.NativeEndian.PutUint32(buf[4:], s.version)
	return buf
}

// SetName gives the name of an ipset, or its index where it has no name.
func (d *Dump) SetName(index uint16) string {
	if name, ok := d.SetNames[index]; ok {
		return name
	}
	return "index:" + strconv.Itoa(int(index))
}
