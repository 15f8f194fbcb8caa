package edit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nlsock"
	"github.com/natwarden/natwarden/internal/route"
)

// rawFile is the file of World in which the objects stand.
const rawFile = "rtnetlink.raw"

// Load makes the policy rules, local routes and proxy neighbours that a
// snapshot holds in the network namespace of the calling thread, which must be one made
// for a rehearsal: the rules that are there are taken away. Their interfaces are there
// already, by the same numbers. It says in words what the kernel did not take.
func Load(ctx context.Context, file []byte) (lacking []string, err error) {
	objects, err := parseFile(file)
	if err != nil {
		return nil, err
	}
	c, err := nlsock.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("opening rtnetlink: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := clearRules(ctx, c); err != nil {
		return nil, err
	}
	for _, o := range objects {
		if err := ignore(send(c, o, true), unix.EEXIST); err != nil {
			lacking = append(lacking, fmt.Sprintf("%s %x: %v", o.Kind, o.Raw[:min(len(o.Raw), 12)], err))
		}
	}
	return lacking, ctx.Err()
}

// clearRules takes the three rules away that every namespace begins with.
func clearRules(ctx context.Context, c *netlink.Conn) error {
	is, err := route.Objects(ctx)
	if err != nil {
		return err
	}
	for _, o := range is {
		if o.Kind != route.KindRule {
			continue
		}
		if err := ignore(send(c, &change.Object{Kind: o.Kind, Raw: o.Raw}, false), unix.ENOENT); err != nil {
			return fmt.Errorf("clearing the policy rules of a namespace for a rehearsal: %w", err)
		}
	}
	return nil
}

// parseFile reads what frame wrote: "KIND LENGTH", a line's end, the bytes, a
// line's end.
func parseFile(file []byte) (out []*change.Object, err error) {
	for len(file) > 0 {
		head, rest, ok := bytes.Cut(file, []byte("\n"))
		var kind string
		var n int
		if _, err := fmt.Sscanf(string(head), "%s %d", &kind, &n); !ok || err != nil || n < 0 || n >= len(rest) || rest[n] != '\n' || strings.Contains(kind, " ") {
			return nil, errors.New("reading " + rawFile + ": it is torn")
		}
		out = append(out, &change.Object{Kind: kind, Raw: rest[:n:n]})
		file = rest[n+1:]
	}
	return out, nil
}
