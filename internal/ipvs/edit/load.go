package edit

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/ipvs"
)

// RawFile is the file of World from which Load makes the services again.
const RawFile = "ipvs.raw"

// Load makes the services that a snapshot holds in the network namespace of the
// calling thread, which must be one made for a rehearsal. It says in words what the
// kernel did not take.
func Load(ctx context.Context, file []byte) (lacking []string, err error) {
	services, err := parseFile(file)
	if err != nil {
		return nil, err
	}
	for _, o := range services {
		text := fmt.Sprintf("%s %x", ipvs.KindService, o.Raw[:min(len(o.Raw), 48)])
		if again, err := ipvs.Pack(o.Raw, rawDests(o)); err == nil {
			text = ipvs.KindService + " " + again.Text
		}
		if err := send(ctx, o, true, o.Parts); err != nil {
			lacking = append(lacking, fmt.Sprintf("%s: %v", text, err))
		}
	}
	return lacking, ctx.Err()
}

// parseFile reads what frames wrote: "KIND LENGTH", a line's end, the bytes, a
// line's end; the destinations of a service follow it.
func parseFile(file []byte) (out []*change.Object, err error) {
	for len(file) > 0 {
		head, rest, ok := bytes.Cut(file, []byte("\n"))
		var kind string
		var n int
		if _, err := fmt.Sscanf(string(head), "%s %d", &kind, &n); !ok || err != nil || n < 0 || n >= len(rest) || rest[n] != '\n' {
			return nil, errors.New("reading " + RawFile + ": it is torn")
		}
		raw := rest[:n:n]
		switch {
		case kind == "service":
			out = append(out, &change.Object{Kind: ipvs.KindService, Raw: raw})
		case kind == "destination" && len(out) > 0:
			last := out[len(out)-1]
			last.Parts = append(last.Parts, change.Part{Kind: kind, Raw: raw})
		default:
			return nil, fmt.Errorf("reading %s: %q is no part of it", RawFile, kind)
		}
		file = rest[n+1:]
	}
	return out, nil
}
