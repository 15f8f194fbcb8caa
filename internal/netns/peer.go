package netns

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/retry"
)

// Peer finds the other end of a veth: the place in spaces of the namespace that
// holds it, and the interface there. ifaces are the interfaces of each space. It
// gives -1 where no space of the list holds it, or where that cannot be found out.
func Peer(ctx context.Context, spaces []Space, ifaces [][]host.Iface, at int, end host.Iface) (int, host.Iface) {
	if end.Kind != "veth" {
		return -1, host.Iface{}
	}
	if end.OtherNetns < 0 {
		return at, withIndex(ifaces[at], end.Other)
	}
	found := -1
	err := spaces[at].Handle.Do(ctx, func(context.Context) error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("opening a route socket: %w", err)
		}
		defer h.Close()
		if err := h.SetSocketTimeout(routePatience); err != nil {
			return fmt.Errorf("limiting the wait for the route socket: %w", err)
		}
		for j := range spaces {
			if f := withIndex(ifaces[j], end.Other); j == at || f.Kind != "veth" || f.Other != end.Index {
				continue
			}
			if nsid, err := nsidOf(h, spaces[j].Handle); err == nil && nsid == end.OtherNetns {
				found = j
				return nil
			}
		}
		return nil
	})
	if err != nil || found < 0 {
		return -1, host.Iface{}
	}
	return found, withIndex(ifaces[found], end.Other)
}

// nsidOf is the number by which the namespace of a socket knows another one.
func nsidOf(h *netlink.Handle, other Handle) (nsid int, err error) {
	err = retry.Call(func() (err error) { nsid, err = h.GetNetNsIdByFd(other.Fd()); return err })
	return nsid, err
}

// withIndex is the interface of a number; the zero value where there is none.
func withIndex(list []host.Iface, index int) host.Iface {
	for _, f := range list {
		if f.Index == index {
			return f
		}
	}
	return host.Iface{}
}
