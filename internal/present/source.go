package present

import (
	"context"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// Source looks for what natwarden does not judge, for the audit.
type Source struct{}

// Name is the source's name in the report.
func (Source) Name() string { return "present" }

// Group is the source's name for --sources.
func (Source) Group() string { return "present" }

// Follows says that the interfaces and rules are read first.
func (Source) Follows() {}

// Read names what is present in the namespace of the calling thread.
func (Source) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	reading := host.Reading{State: host.Read}
	for _, look := range []func(context.Context, *host.Space) ([]host.Blind, error){
		families, wrapped, labels, expressSockets, tunnels, flowtables,
	} {
		found, err := look(ctx, into)
		if err != nil {
			return reading, fmt.Errorf("looking for what is not judged: %w", err)
		}
		reading.Blind = append(reading.Blind, found...)
	}
	reading.Objects = len(reading.Blind)
	return reading, nil
}

// spot is a blind spot of this source.
func spot(what, format string, a ...any) host.Blind {
	return host.Blind{Source: "present", What: what, Why: fmt.Sprintf(format, a...)}
}

// carries says whether packets can come into the namespace at all: it has an
// interface besides the loopback that is up.
func carries(s *host.Space) bool {
	for _, i := range s.Ifaces {
		if i.Up && !i.Loopback {
			return true
		}
	}
	return s.Ifaces == nil
}
