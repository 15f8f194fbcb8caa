package flow

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
)

// statusDstNAT is IPS_DST_NAT: the destination was translated.
const statusDstNAT = 1 << 5

// Translated lists the flows of the calling thread's namespace whose
// destination was translated. Where conntrack is not loaded there are none, and
// it is not asked.
func Translated(ctx context.Context) ([]Flow, error) {
	if !Loaded() {
		return nil, ctx.Err()
	}
	c, err := Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	flows, err := c.translated()
	if err != nil {
		return nil, fmt.Errorf("listing translated flows: %w", err)
	}
	return flows, ctx.Err()
}

// translated dumps with the kernel's filter on the status (Linux 5.10) and
// looks at each entry all the same: older kernels ignore the filter.
func (c *Conn) translated() ([]Flow, error) {
	_, err := c.c.Send(netlink.Message{
		Header: netlink.Header{Type: messageGet, Flags: netlink.Request | netlink.Dump},
		Data:   request(),
	})
	if err != nil {
		return nil, err
	}
	var flows []Flow
	var bad error // the rest is still received, so that the connection stays usable
	for m, err := range c.c.ReceiveIter() {
		if err != nil {
			return nil, err
		}
		if m.Header.Type != messageNew || bad != nil {
			continue
		}
		f, err := decode(m.Data)
		if err != nil {
			bad = err
			continue
		}
		if f.Status&statusDstNAT != 0 && f.Translated() {
			flows = append(flows, f)
		}
	}
	return flows, bad
}

func request() []byte {
	mask := binary.BigEndian.AppendUint32(nil, statusDstNAT)
	b := appendAttr(genmsg(0), attrStatus, mask)
	return appendAttr(b, attrStatusMask, mask)
}
