package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

const (
	// routePatience is how long one answer about interfaces may take.
	routePatience = 10 * time.Second
	// tries is how often a dump is repeated that the kernel marks as torn because
	// interfaces came or went meanwhile (NLM_F_DUMP_INTR).
	tries = 5
)

// Ifaces lists the interfaces of the calling thread's namespace by index, and
// the namespace's own addresses in order. The caller has locked the thread.
func Ifaces(ctx context.Context) ([]host.Iface, []string, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a route socket: %w", err)
	}
	defer h.Close()
	if err := h.SetSocketTimeout(routePatience); err != nil {
		return nil, nil, fmt.Errorf("limiting the wait for the route socket: %w", err)
	}
	links, err := untorn(ctx, h.LinkList)
	if err != nil {
		return nil, nil, fmt.Errorf("listing interfaces: %w", err)
	}
	addrs, err := untorn(ctx, func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, nil, fmt.Errorf("listing addresses: %w", err)
	}
	return ifaces(links), addresses(addrs), nil
}

// untorn repeats a dump until the kernel says that it is whole, and no signal
// interrupted it: netlink.ErrDumpInterrupted is an EINTR to errors.Is, too.
func untorn[T any](ctx context.Context, dump func() ([]T, error)) (list []T, err error) {
	for range tries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if list, err = dump(); !errors.Is(err, unix.EINTR) {
			return list, err
		}
	}
	return nil, err
}

func ifaces(links []netlink.Link) []host.Iface {
	out := make([]host.Iface, 0, len(links))
	for _, l := range links {
		a := l.Attrs()
		out = append(out, host.Iface{Name: a.Name, Index: a.Index, Up: a.Flags&net.FlagUp != 0, Loopback: a.Flags&net.FlagLoopback != 0,
			Kind: kindOf(l), Other: a.ParentIndex, OtherNetns: a.NetNsID, Master: a.MasterIndex, Filtering: filtering(l), Port: kernelPort(l)})
	}
	slices.SortFunc(out, func(a, b host.Iface) int { return a.Index - b.Index })
	return out
}

// kindOf is the driver's name for a virtual interface. The library calls those
// that have none "device".
func kindOf(l netlink.Link) string {
	if kind := l.Type(); kind != "device" {
		return kind
	}
	return ""
}

func filtering(l netlink.Link) bool {
	b, ok := l.(*netlink.Bridge)
	return ok && b.VlanFiltering != nil && *b.VlanFiltering
}

// kernelPort is the UDP port on which the kernel answers for the interface.
func kernelPort(l netlink.Link) uint16 {
	switch l := l.(type) {
	case *netlink.Vxlan:
		return uint16(l.Port)
	case *netlink.Geneve:
		return l.Dport
	case *netlink.BareUDP:
		return l.Port
	}
	return 0
}

func addresses(list []netlink.Addr) []string {
	var found []netip.Addr
	for _, a := range list {
		if a.IPNet == nil {
			continue
		}
		if addr, ok := netip.AddrFromSlice(a.IP); ok {
			found = append(found, addr.Unmap())
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	out := make([]string, 0, len(found))
	for _, a := range slices.Compact(found) {
		out = append(out, a.String())
	}
	return out
}
