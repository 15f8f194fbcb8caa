package present

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// Flowtables of nf_tables (include/uapi/linux/netfilter/nf_tables.h).
const (
	getFlowtable   = unix.NFNL_SUBSYS_NFTABLES<<8 | 23 // NFT_MSG_GETFLOWTABLE
	flowtableTable = 1                                 // NFTA_FLOWTABLE_TABLE
	flowtableName  = 2
	sizeofNfgenmsg = 4
)

// flowtables looks for tables by which packets of established flows go past
// all later hooks. The kernel is asked only where it has tables at all.
func flowtables(ctx context.Context, into *host.Space) ([]host.Blind, error) {
	if !slices.ContainsFunc(into.Tables, func(t *host.Table) bool { return t.Backend == "nf_tables" }) {
		return nil, nil
	}
	c, err := dialRoute(ctx, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var out []host.Blind
	err = each(c, getFlowtable, make([]byte, sizeofNfgenmsg), func(b []byte) {
		if name, ok := flowtable(b); ok {
			out = append(out, spot("flowtable "+name, "packets of its flows go past all later hooks: a redirect of an established flow goes on when its rule is gone"))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listing flowtables: %w", err)
	}
	return out, nil
}

func flowtable(b []byte) (string, bool) {
	if len(b) < sizeofNfgenmsg {
		return "", false
	}
	name, ok := attribute(b[sizeofNfgenmsg:], flowtableName)
	table, _ := attribute(b[sizeofNfgenmsg:], flowtableTable)
	return fmt.Sprintf("%q of table %q", cString(name), cString(table)), ok
}

// cString is the text before the first zero.
func cString(b []byte) string {
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
