package lab

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
)

// StandIn gives the space an interface of a name and number: one end of a cable
// whose other end lies in far, so that it has a carrier where it is up.
func (s *Space) StandIn(ctx context.Context, far *Space, name string, index int, up bool) error {
	other := fmt.Sprintf("far%d", index)
	err := s.Do(ctx, func(context.Context) error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: name, Index: index},
			PeerName:      other,
			PeerNamespace: netlink.NsFd(far.handle.Fd()),
		})
	})
	if err != nil {
		return fmt.Errorf("making the interface %s: %w", name, err)
	}
	if !up {
		return nil
	}
	for _, end := range []struct {
		at   *Space
		name string
	}{{far, other}, {s, name}} {
		err := end.at.Do(ctx, func(context.Context) error {
			link, err := netlink.LinkByName(end.name)
			if err != nil {
				return fmt.Errorf("finding the interface %s: %w", end.name, err)
			}
			return bringUp(end.name, link)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
