package lab

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

// End is one end of a cable: its name in its space and its address there.
type End struct {
	Space *Space
	Name  string // of the interface, at most 15 bytes
	Addr  string // with prefix length: "192.168.1.10/24"
}

// Link joins two spaces with a veth pair, gives each end its address and
// brings both up (veth(4)).
func Link(ctx context.Context, a, b End) error {
	err := a.Space.Do(ctx, func(context.Context) error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: a.Name},
			PeerName:      b.Name,
			PeerNamespace: netlink.NsFd(b.Space.handle.Fd()),
		})
	})
	if err != nil {
		return fmt.Errorf("making the cable %s to %s: %w", a.Name, b.Name, err)
	}
	for _, end := range []End{a, b} {
		if err := end.up(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (e End) up(ctx context.Context) error {
	return e.Space.Do(ctx, func(context.Context) error {
		link, err := netlink.LinkByName(e.Name)
		if err != nil {
			return fmt.Errorf("finding the interface %s: %w", e.Name, err)
		}
		addr, err := netlink.ParseAddr(e.Addr)
		if err != nil {
			return fmt.Errorf("reading the address %q: %w", e.Addr, err)
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("giving %s the address %s: %w", e.Name, e.Addr, err)
		}
		return bringUp(e.Name, link)
	})
}

// Loopback brings up the space's own interface lo.
func (s *Space) Loopback(ctx context.Context) error {
	return s.Do(ctx, func(context.Context) error {
		link, err := netlink.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("finding the interface lo: %w", err)
		}
		return bringUp("lo", link)
	})
}

func bringUp(name string, link netlink.Link) error {
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bringing up %s: %w", name, err)
	}
	return nil
}

// Gateway sends what leaves the space to the router at addr.
func (s *Space) Gateway(ctx context.Context, addr string) error {
	return s.Do(ctx, func(context.Context) error {
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(addr)}); err != nil {
			return fmt.Errorf("adding the default route by %s: %w", addr, err)
		}
		return nil
	})
}

// Forward lets the space pass packets between its interfaces. /proc/sys/net
// shows each thread the values of its own network namespace.
func (s *Space) Forward(ctx context.Context) error {
	return s.Do(ctx, func(context.Context) error {
		const path = "/proc/sys/net/ipv4/ip_forward"
		if err := os.WriteFile(path, []byte("1\n"), 0); err != nil {
			return fmt.Errorf("letting the host forward packets: %w", err)
		}
		return nil
	})
}
