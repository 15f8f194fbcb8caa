package xt

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// data takes values from a match's or target's bytes. Reading behind their end
// gives zero and sets bad, which callers look at once, at the end.
type data struct {
	name string
	fam  host.Family
	rev  uint8
	b    []byte
	env  Env
	bad  bool // too short, or with values that the kernel would refuse
}

func newData(e Ext, env Env) *data {
	return &data{name: e.Name, fam: e.Family, rev: e.Revision, b: e.Info, env: env}
}

func (d *data) bytes(off, n int) []byte {
	if off < 0 || n < 0 || off > len(d.b)-n {
		d.bad = true
		return make([]byte, max(n, 0))
	}
	return d.b[off : off+n]
}

func (d *data) u8(off int) uint8    { return d.bytes(off, 1)[0] }
func (d *data) u16(off int) uint16  { return binary.NativeEndian.Uint16(d.bytes(off, 2)) }
func (d *data) u32(off int) uint32  { return binary.NativeEndian.Uint32(d.bytes(off, 4)) }
func (d *data) u64(off int) uint64  { return binary.NativeEndian.Uint64(d.bytes(off, 8)) }
func (d *data) be16(off int) uint16 { return binary.BigEndian.Uint16(d.bytes(off, 2)) }
func (d *data) be32(off int) uint32 { return binary.BigEndian.Uint32(d.bytes(off, 4)) }

// str reads a string that ends at the first NUL or after n bytes.
func (d *data) str(off, n int) string {
	b, _, _ := bytes.Cut(d.bytes(off, n), []byte{0})
	return string(b)
}

func (d *data) v4(off int) netip.Addr { return netip.AddrFrom4([4]byte(d.bytes(off, 4))) }
func (d *data) v6(off int) netip.Addr { return netip.AddrFrom16([16]byte(d.bytes(off, 16))) }

// addr reads a union nf_inet_addr: 16 bytes of which IPv4 uses the first four.
func (d *data) addr(off int) netip.Addr {
	if d.fam == host.IP6 {
		return d.v6(off)
	}
	d.bytes(off, 16)
	return d.v4(off)
}

// refuse says that the values are none that the kernel takes from iptables, so
// that their meaning is not known.
func (d *data) refuse() { d.bad = true }

// masked gives the addresses that fit addr under mask; ok is false where the
// mask has holes.
func masked(addr, mask netip.Addr) (host.Addrs, bool) {
	bits, ok := maskBits(mask)
	if !ok {
		return nil, false
	}
	return host.AddrsOf(netip.PrefixFrom(addr, bits)), true
}

// maskBits counts the leading ones of a netmask; ok is false where zeroes and
// ones mix.
func maskBits(mask netip.Addr) (bits int, ok bool) {
	ended := false
	for _, b := range mask.AsSlice() {
		for i := 7; i >= 0; i-- {
			one := b>>i&1 == 1
			if one && ended {
				return 0, false
			}
			if one {
				bits++
			}
			ended = ended || !one
		}
	}
	return bits, true
}

// maskedText writes ADDR, ADDR/LEN or ADDR/MASK as iptables-save does.
func maskedText(addr, mask netip.Addr) string {
	bits, ok := maskBits(mask)
	switch {
	case !ok:
		return addr.String() + "/" + mask.String()
	case bits == addr.BitLen():
		return addr.String()
	}
	return netip.PrefixFrom(addr, bits).String()
}
