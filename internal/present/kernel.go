package present

import (
	"context"
	"fmt"

	"github.com/mdlayher/netlink"

	"github.com/natwarden/natwarden/internal/genl"
	"github.com/natwarden/natwarden/internal/host"
)

// Names of generic netlink families, and what asks Open vSwitch for its
// datapaths (include/uapi/linux/openvswitch.h, OVS_DATAPATH_FAMILY).
const (
	familyDatapath = "ovs_datapath"
	familyJool     = "Jool" // JOOLNL_FAMILY of Jool's src/common/config.h

	datapathGet     = 3 // OVS_DP_CMD_GET
	datapathVersion = 2 // OVS_DATAPATH_VERSION
	datapathHeader  = 4 // struct ovs_header: dp_ifindex
	datapathName    = 1 // OVS_DP_ATTR_NAME
)

// families looks for switches and translators that speak generic netlink.
func families(ctx context.Context, into *host.Space) ([]host.Blind, error) {
	c, err := genl.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ids, err := c.Families()
	if err != nil {
		return nil, err
	}
	var out []host.Blind
	if id, ok := ids[familyDatapath]; ok {
		answers, err := c.Dump(id, datapathGet, datapathVersion, make([]byte, datapathHeader))
		if err != nil {
			return nil, fmt.Errorf("asking Open vSwitch for its datapaths: %w", err)
		}
		out = append(out, datapaths(answers)...)
	}
	if _, ok := ids[familyJool]; ok && carries(into) {
		out = append(out, spot("Jool", "the translator between IPv4 and IPv6 is loaded, and its instances are not judged: see `jool instance display`"))
	}
	return out, nil
}

func datapaths(answers []genl.Message) []host.Blind {
	var out []host.Blind
	for _, m := range answers {
		out = append(out, spot("Open vSwitch datapath "+datapath(m), "its flows may rewrite and forward, and are not judged: see `ovs-ofctl dump-flows`"))
	}
	return out
}

func datapath(m genl.Message) string {
	const unnamed = "without a name"
	if len(m.Attrs) < datapathHeader {
		return unnamed
	}
	ad, err := netlink.NewAttributeDecoder(m.Attrs[datapathHeader:])
	if err != nil {
		return unnamed
	}
	for ad.Next() {
		if ad.Type() == datapathName {
			return fmt.Sprintf("%q", ad.String())
		}
	}
	return unnamed
}
