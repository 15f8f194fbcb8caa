package route

import (
	"context"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/nlsock"
)

// raw is one rtnetlink object as the kernel gave it: its fixed header and
// attributes, so that it can be deleted and put back as it was.
type raw = []byte

// dumpTime bounds one dump where the context has no deadline of its own.
const dumpTime = 20 * time.Second

// attempts bounds how often a dump that a change tore is read again.
const attempts = 5

// conn is a NETLINK_ROUTE socket of the calling thread's namespace.
type conn struct{ *netlink.Conn }

func dial(ctx context.Context) (conn, error) {
	c, err := nlsock.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return conn{}, fmt.Errorf("opening rtnetlink: %w", err)
	}
	if err := (conn{c}).limit(ctx); err != nil {
		c.Close()
		return conn{}, err
	}
	// Filters in dump requests are honoured only in strict mode (5.0 and later).
	// Where it is refused, the dump is longer and is filtered here.
	_ = c.SetOption(netlink.GetStrictCheck, true)
	return conn{c}, nil
}

// limit bounds the waits from now on: by the end of the context, or else dumpTime.
func (c conn) limit(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dumpTime)
	}
	if err := c.SetDeadline(deadline); err != nil {
		return fmt.Errorf("limiting the wait for rtnetlink: %w", err)
	}
	return nil
}

// dump reads all objects of a kind. A torn dump is read again.
func (c conn) dump(kind netlink.HeaderType, header []byte) ([]raw, error) {
	req := netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump}, Data: header}
	for range attempts {
		msgs, err := c.Execute(req)
		if err != nil {
			return nil, fmt.Errorf("dumping rtnetlink type %d: %w", kind, err)
		}
		if torn(msgs) {
			continue
		}
		out := make([]raw, 0, len(msgs))
		for _, m := range msgs {
			out = append(out, m.Data)
		}
		return out, nil
	}
	return nil, fmt.Errorf("dumping rtnetlink type %d: it kept changing; try again when routes are quiet", kind)
}

func torn(msgs []netlink.Message) bool {
	for _, m := range msgs {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return true
		}
	}
	return false
}
