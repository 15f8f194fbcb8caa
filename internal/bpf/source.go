package bpf

import (
	"context"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// Source reads eBPF programs for the audit. Programs, where set, is shared with
// other namespaces and sources.
type Source struct{ Programs *Catalog }

// Name is the source's name in the report.
func (Source) Name() string { return "bpf" }

// Group is the source's name for --sources.
func (Source) Group() string { return "bpf" }

// Read finds the programs that stand in the way in the namespace of the
// calling thread.
func (s Source) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	if _, err := nextProgram(0); noKernel(err) {
		return host.Reading{State: host.Absent, Why: "the kernel has no bpf system call"}, nil
	}
	found, blind, err := Attachments(ctx, into.Netns == "")
	if err != nil {
		return host.Reading{}, fmt.Errorf("reading eBPF programs: %w", err)
	}
	c := s.Programs
	if c == nil {
		c = NewCatalog()
	}
	var rows []host.Redirect
	for _, a := range found {
		if a.Kind == FlowDissector {
			blind = append(blind, host.Blind{Source: "bpf", What: a.text(), Why: "a flow dissector program is present and not judged"})
			continue
		}
		r, err := c.row(ctx, a)
		if err != nil {
			blind = append(blind, host.Blind{Source: "bpf", What: a.Place(), Why: err.Error()})
			continue
		}
		rows = append(rows, r)
	}
	into.AddRedirects(rows...)
	return host.Reading{State: host.Read, Objects: len(found), Blind: blind}, nil
}
