package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// view is what a namespace's rtnetlink says.
type view struct {
	routes     []route // of the tables and kinds that matter: see load
	rules      []rule
	neighbours []neighbour
	addresses  []address
	links      map[uint32]string
	sysctl     sysctls
}

func (v *view) ifname(index uint32) string {
	if name, ok := v.links[index]; ok {
		return name
	}
	return fmt.Sprintf("index %d", index)
}

// load dumps everything that the finders look at.
func load(ctx context.Context) (*view, error) {
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	v := &view{links: map[uint32]string{}}
	for _, step := range []func(conn) error{v.loadLinks, v.loadAddresses, v.loadRules, v.loadRoutes, v.loadNeighbours} {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	v.sysctl, err = readSysctls(v.links)
	return v, err
}

func (v *view) loadLinks(c conn) error {
	msgs, err := c.dump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		return err
	}
	for _, b := range msgs {
		if len(b) < unix.SizeofIfInfomsg {
			return errShort
		}
		ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
		if err != nil {
			return fmt.Errorf("attributes of a link: %w", err)
		}
		for ad.Next() {
			if ad.Type() == unix.IFLA_IFNAME {
				v.links[nativeUint32(b[4:])] = ad.String()
			}
		}
	}
	return nil
}

func (v *view) loadAddresses(c conn) error {
	msgs, err := c.dump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg))
	if err != nil {
		return err
	}
	v.addresses, err = decodeAll(msgs, decodeAddress)
	return err
}

func (v *view) loadRules(c conn) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := make([]byte, unix.SizeofRtMsg)
		header[0] = family
		msgs, err := c.dump(unix.RTM_GETRULE, header)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			continue // a kernel without IPv6, or without policy rules
		}
		if err != nil {
			return err
		}
		rules, err := decodeAll(msgs, decodeRule)
		if err != nil {
			return err
		}
		v.rules = append(v.rules, rules...)
	}
	return nil
}

// loadRoutes reads the local routes of every table, and every route of the
// tables that policy rules name. The main table of a router may hold a million
// routes: it is read only where something asks for it.
func (v *view) loadRoutes(c conn) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := v.loadKind(c, family, unix.RTN_LOCAL, 0); err != nil {
			return err
		}
		for _, table := range v.namedTables(family) {
			if err := v.loadKind(c, family, 0, table); err != nil {
				return err
			}
		}
	}
	return nil
}

// namedTables are the tables of policy rules besides the kernel's own three.
func (v *view) namedTables(family uint8) []uint32 {
	var out []uint32
	seen := map[uint32]bool{unix.RT_TABLE_LOCAL: true, unix.RT_TABLE_MAIN: true, unix.RT_TABLE_DEFAULT: true, unix.RT_TABLE_UNSPEC: true}
	for _, r := range v.rules {
		if r.family == family && !seen[r.table] {
			seen[r.table] = true
			out = append(out, r.table)
		}
	}
	return out
}

// loadKind reads routes of one kind (0: any) and table (0: all). The kernel
// filters where it can; what it sends besides is dropped here.
func (v *view) loadKind(c conn, family, kind uint8, table uint32) error {
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[7] = family, kind
	if table != 0 {
		ae := netlink.NewAttributeEncoder()
		ae.Uint32(unix.RTA_TABLE, table)
		attrs, err := ae.Encode()
		if err != nil {
			return fmt.Errorf("asking for table %d: %w", table, err)
		}
		header = append(header, attrs...)
	}
	msgs, err := c.dump(unix.RTM_GETROUTE, header)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil // no such table, or no such family
	}
	if err != nil {
		return err
	}
	for _, b := range msgs {
		if len(b) > 8 && kind != 0 && b[7] != kind {
			continue
		}
		r, err := decodeRoute(b)
		if err != nil {
			return err
		}
		cached := nativeUint32(b[8:])&unix.RTM_F_CLONED != 0
		if !cached && (table == 0 || r.table == table && r.kind != unix.RTN_LOCAL) {
			v.routes = append(v.routes, r)
		}
	}
	return nil
}

// loadNeighbours reads proxy entries: they are listed only where the request
// says NTF_PROXY.
func (v *view) loadNeighbours(c conn) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := make([]byte, unix.SizeofNdMsg)
		header[0], header[10] = family, unix.NTF_PROXY
		msgs, err := c.dump(unix.RTM_GETNEIGH, header)
		if err != nil {
			return err
		}
		for _, b := range msgs {
			n, err := decodeNeighbour(b)
			if err != nil {
				return err
			}
			if b[0] == family && n.addr.IsValid() && b[10]&unix.NTF_PROXY != 0 {
				v.neighbours = append(v.neighbours, n)
			}
		}
	}
	return nil
}

func decodeAll[T any](msgs []raw, decode func(raw) (T, error)) ([]T, error) {
	out := make([]T, 0, len(msgs))
	for _, b := range msgs {
		t, err := decode(b)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// owns says whether the address is one of the namespace's own.
func (v *view) owns(a netip.Addr) bool {
	for _, own := range v.addresses {
		if own.prefix.Addr() == a {
			return true
		}
	}
	return false
}
