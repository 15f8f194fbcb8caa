package tc

import (
	"context"
	"fmt"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/host"
)

// Source reads traffic control for the audit.
type Source struct{}

// Name is the source's name in the report.
func (Source) Name() string { return "tc" }

// Group is the source's name for --sources.
func (Source) Group() string { return "bpf" }

// Read finds the filters that hand packets on in the namespace of the calling
// thread.
func (Source) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	v, err := load(ctx)
	if err != nil {
		return host.Reading{}, fmt.Errorf("reading tc: %w", err)
	}
	x := &findings{v: v, catalog: bpf.NewCatalog(ctx)}
	for _, h := range v.filters {
		f, err := decodeFilter(h)
		if err != nil {
			x.unjudged("a filter of "+v.ifname(h.dev), err.Error())
			continue
		}
		x.filter(f)
	}
	into.AddRedirects(x.rows...)
	return host.Reading{State: host.Read, Objects: v.spots + len(v.filters), Blind: x.blind}, nil
}
