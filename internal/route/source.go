package route

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// Source reads routing and proxy neighbours for the audit.
type Source struct{}

// Name is the source's name in the report.
func (Source) Name() string { return "routes" }

// Group is the source's name for --sources.
func (Source) Group() string { return "routes" }

// Read finds what makes the namespace of the calling thread answer for others
// by routing.
func (Source) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	v, err := load(ctx)
	if err != nil {
		return host.Reading{}, fmt.Errorf("reading routes: %w", err)
	}
	rows := slices.Concat(v.localRoutes(), v.policyRoutes(), v.proxyNeighbours(), v.proxyARP(), v.secondaries())
	into.AddRedirects(rows...)
	into.Deliveries = v.deliveries()
	if r, err := openRouter(ctx, v); err == nil { // without it what is routed where is not known
		into.Routes = r
	}
	return host.Reading{State: host.Read, Objects: len(v.rules) + len(v.routes) + len(v.neighbours)}, nil
}

// secondaries lists further IPv4 addresses of an interface, and IPv6 ones that
// somebody set by hand: information, since an address may have been another machine's.
func (v *view) secondaries() []host.Redirect {
	var out []host.Redirect
	seen := map[uint32]bool{}
	for _, a := range v.addresses {
		if a.family != unix.AF_INET || v.ifname(a.ifindex) == "lo" {
			continue
		}
		if !seen[a.ifindex] {
			seen[a.ifindex] = true
			continue
		}
		x := row("route", "address", host.IP)
		x.Info = true
		x.Match.Address = single(a.prefix.Addr())
		x.Targets = []host.Target{{}}
		x.Why = []string{"a further address of " + v.ifname(a.ifindex)}
		x.Evidence = append(x.Evidence, fmt.Sprintf("%s dev %s", a.prefix, v.ifname(a.ifindex)))
		out = append(out, finish(x, ""))
	}
	return out
}
