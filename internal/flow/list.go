package flow

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
)

// mostListed is how many flows all namespaces may have together where one wants
// to list those of a protocol: to list some costs as much as to list all.
const mostListed = 100_000

// List gives the flows of the calling thread's namespace that keep wants; false
// where none are tracked, or too many to look at each.
func List(ctx context.Context, keep func(*Flow) bool) (flows []Flow, listed bool, err error) {
	text, err := os.ReadFile(countFile)
	n, errCount := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || errCount != nil || n > mostListed || !Loaded() {
		return nil, false, ctx.Err()
	}
	c, err := Dial(ctx)
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	if _, err := c.c.Send(netlink.Message{Header: netlink.Header{Type: messageGet, Flags: netlink.Request | netlink.Dump}, Data: genmsg(0)}); err != nil {
		return nil, false, fmt.Errorf("listing flows: %w", err)
	}
	for m, err := range c.c.ReceiveIter() {
		if err != nil {
			return nil, false, fmt.Errorf("listing flows: %w", err)
		}
		if m.Header.Type != messageNew {
			continue
		}
		if f, err := decode(m.Data); err == nil && keep(&f) {
			flows = append(flows, f)
		}
	}
	return flows, true, ctx.Err()
}
