package ipvs

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
)

// Attributes that say no more than has happened: counters, and connections as
// they are. They are no part of a service or destination, and are not sent back.
const (
	svcStats   = 10
	svcStats64 = 12

	destActive     = 7
	destInactive   = 8
	destPersistent = 9
	destStats      = 10
	destStats64    = 12
)

// flagHashed is IP_VS_SVC_F_HASHED: the kernel's own note that it holds the
// service. A new service with it would be taken for one that is held already (ip_vs_svc_hash).
const flagHashed = 2

// flagsKnown are the flags that a user gives: persistent, one-packet, and the
// three that a scheduler reads as it likes (IP_VS_SVC_F_*).
const flagsKnown = flagPersistent | flagOnePacket | flagSched1 | flagSched2 | flagSched3

const (
	flagOnePacket = 4
	flagSched1    = 8
	flagSched2    = 0x10
	flagSched3    = 0x20
)

// form says which attributes of an object there are: those that are sent back
// to make it again, and those that change by themselves.
type form struct{ lasting, volatile []uint16 }

func serviceForm() form {
	return form{[]uint16{svcFamily, svcProtocol, svcAddr, svcPort, svcMark, svcSched, svcFlags, svcTimeout, svcNetmask, svcEngine}, []uint16{svcStats, svcStats64}}
}

func destForm() form {
	return form{[]uint16{destAddr, destPort, destMethod, destWeight, destUpper, destLower, destFamily, destTunType, destTunPort, destTunFlags},
		[]uint16{destActive, destInactive, destPersistent, destStats, destStats64}}
}

// keep gives the attributes that make an object again, as the kernel gave them
// and in its order. strange says what of them is not understood, so that it
// may not come back as it was; it is kept nevertheless.
func (f form) keep(b []byte) (raw []byte, strange string, err error) {
	all, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		return nil, "", err
	}
	var kept []netlink.Attribute
	for _, a := range all {
		kind := a.Type &^ (netlink.Nested | netlink.NetByteOrder)
		if slices.Contains(f.volatile, kind) {
			continue
		}
		if !slices.Contains(f.lasting, kind) && strange == "" {
			strange = fmt.Sprintf("the kernel shows attribute %d (%d bytes), which is not known", kind, len(a.Data))
		}
		kept = append(kept, a)
	}
	raw, err = netlink.MarshalAttributes(kept)
	return raw, strange, err
}

// withoutHashed takes the kernel's own flag out of the attributes of a service.
func withoutHashed(raw []byte) ([]byte, error) {
	all, err := netlink.UnmarshalAttributes(raw)
	if err != nil {
		return nil, err
	}
	for i, a := range all {
		if a.Type == svcFlags && len(a.Data) >= 4 {
			all[i].Data = slices.Clone(a.Data)
			binary.NativeEndian.PutUint32(all[i].Data, binary.NativeEndian.Uint32(a.Data)&^flagHashed)
		}
	}
	return netlink.MarshalAttributes(all)
}

// unknownFlags names flags that natwarden does not know.
func unknownFlags(flags uint32) string {
	if rest := flags &^ (flagsKnown | flagHashed); rest != 0 {
		return fmt.Sprintf("it has flags %#x, which are not known", rest)
	}
	return ""
}
