package route

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Pinned says whether an entry of the neighbour table that nobody on the
// network is asked about (NUD_PERMANENT, NUD_NOARP) says where frames for an
// address go on an interface.
func (r *Router) Pinned(iface string, a netip.Addr) (bool, error) {
	header := make([]byte, unix.SizeofNdMsg)
	header[0] = unix.AF_INET
	if !a.Is4() {
		header[0] = unix.AF_INET6
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	msgs, err := r.conn.dump(unix.RTM_GETNEIGH, header)
	if err != nil {
		return false, fmt.Errorf("listing neighbours: %w", err)
	}
	for _, b := range msgs {
		if pins(b, r.links[iface], a) {
			return true, nil
		}
	}
	return false, nil
}

// pins reads a struct ndmsg (include/uapi/linux/neighbour.h).
func pins(b []byte, index uint32, a netip.Addr) bool {
	if len(b) < unix.SizeofNdMsg || binary.NativeEndian.Uint32(b[4:]) != index ||
		binary.NativeEndian.Uint16(b[8:])&(unix.NUD_PERMANENT|unix.NUD_NOARP) == 0 {
		return false
	}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofNdMsg:])
	if err != nil {
		return true // it is something, and cannot be read
	}
	for ad.Next() {
		if ad.Type() == unix.NDA_DST {
			dst, _ := netip.AddrFromSlice(ad.Bytes())
			return dst == a
		}
	}
	return ad.Err() != nil
}
