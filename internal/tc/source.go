package tc

import (
	"context"
	"fmt"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/host"
)

// Source reads traffic control for the audit. Programs, where set, is shared
// with other namespaces and sources.
type Source struct{ Programs *bpf.Catalog }

// Name is the source's name in the report.
func (Source) Name() string { return "tc" }

// Group is the source's name for --sources.
func (Source) Group() string { return "bpf" }

// Read finds the filters that hand packets on in the namespace of the calling
// thread.
func (s Source) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	v, err := load(ctx)
	if err != nil {
		return host.Reading{}, fmt.Errorf("reading tc: %w", err)
	}
	x := &findings{ctx: ctx, v: v, catalog: s.Programs}
	if x.catalog == nil {
		x.catalog = bpf.NewCatalog()
	}
	for _, h := range v.filters {
		f, err := decodeFilter(h)
		if err != nil {
			x.unjudged("a filter of "+v.ifname(h.dev), err.Error())
			continue
		}
		x.filter(f)
		for _, a := range f.actions {
			if sets(a) {
				into.NoteMarker("tc action " + a.kind + " on " + v.ifname(h.dev))
			}
		}
	}
	into.AddRedirects(x.rows...)
	return host.Reading{State: host.Read, Objects: v.spots + len(v.filters), Blind: x.blind}, nil
}
