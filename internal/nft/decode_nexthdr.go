package nft

import (
	"github.com/natwarden/natwarden/internal/host"
)

// extensionHeaders are the IPv6 headers that stand between the first one and
// that of the protocol (RFC 8200 section 4, RFC 4302, 6275, 7401, 5533).
var extensionHeaders = host.ProtosOf(0, 43, 44, 51, 60, 135, 139, 140)

// applyNextHeader narrows to what the first header of IPv6 names as the next. It
// is the protocol only where no extension header may stand there: a packet with
// a hop-by-hop header is TCP none the less.
func (m *machine) applyNextHeader(s *state, next host.Protos) {
	if between := next.Intersect(extensionHeaders); !between.Empty() {
		s.require("ip6 nexthdr " + host.ProtosString(next))
		return
	}
	s.branch.Match.Protos = s.branch.Match.Protos.Intersect(next)
}
