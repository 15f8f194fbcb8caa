package portmap

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

type addr = netip.Addr

// keyOf is false where a side of the box is more than one range.
func keyOf(c *path.Class) (k boxKey, short bool) {
	if len(c.From) > 1 || len(c.To) > 1 || len(c.Ports) > 1 || len(c.SPorts) > 1 {
		return k, false
	}
	k = boxKey{proto: c.Proto, family: c.Family, in: c.In, any: [4]bool{c.From.Any(), c.To.Any(), c.Ports.Any(), c.SPorts.Any()}}
	put(&k.from, c.From)
	put(&k.to, c.To)
	put(&k.ports, c.Ports)
	put(&k.sports, c.SPorts)
	return k, true
}

func put[T host.Point[T]](into *host.Range[T], set host.Set[T]) {
	if len(set) == 1 {
		*into = set[0]
	}
}
