package tc

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// TCA_U32_* of include/uapi/linux/pkt_cls.h.
const (
	u32Hash  = 2
	u32Link  = 3
	u32Sel   = 5
	u32Indev = 8
	u32Mark  = 10
)

// sizeofSel is the size of struct tc_u32_sel without its keys.
const sizeofSel = 16

// u32 reads the keys of a u32 filter. Its offsets count from the network
// header; ports behind an IPv4 header stand at 20 where it has no options.
func (f filter) u32(m *host.Match) {
	sel := f.options[u32Sel]
	if len(sel) < sizeofSel || len(sel) < sizeofSel+int(sel[2])*sizeofKey {
		m.Require("u32 keys that could not be read")
		return
	}
	if len(f.options[u32Mark]) >= 8 {
		value, _ := f.options.u32(u32Mark)
		mask, _ := attrs{0: f.options[u32Mark][4:]}.u32(0)
		if mask != 0 {
			m.Require(fmt.Sprintf("mark %#x/%#x", value, mask))
		}
	}
	if dev := f.options.text(u32Indev); dev != "" {
		m.In = host.Ifaces{Names: []string{dev}}
	}
	if hash, ok := f.options.u32(u32Hash); ok && hash&^u32Table != 0 {
		m.Require(fmt.Sprintf("bucket %x of u32 table %x", hash>>12&0xff, hash>>20))
	}
	var k bytemask
	for i := range int(sel[2]) {
		k.key(sel[sizeofSel+i*sizeofKey:][:sizeofKey])
	}
	k.narrow(m)
}
