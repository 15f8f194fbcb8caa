package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/genl"
	"github.com/natwarden/natwarden/internal/host"
)

// procPath is the load balancer's own listing, of the calling thread's
// namespace. It is there while ip_vs is loaded.
const procPath = "/proc/thread-self/net/ip_vs"

const familyName = "IPVS" // IPVS_GENL_NAME

// Source reads IPVS for the audit.
type Source struct{}

// Name is the source's name in the report.
func (Source) Name() string { return "ipvs" }

// Group is the source's name for --sources.
func (Source) Group() string { return "ipvs" }

// Read finds the services of the calling thread's namespace. They are asked by
// netlink and read from /proc as well: what only one of them shows is blind.
func (Source) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	listing, err := os.ReadFile(procPath)
	if errors.Is(err, fs.ErrNotExist) {
		return host.Reading{State: host.Absent, Why: "ip_vs is not in the kernel"}, nil
	}
	if err != nil {
		return host.Reading{}, fmt.Errorf("reading IPVS: %w", err)
	}
	services, err := ask(ctx)
	if err != nil {
		return host.Reading{}, fmt.Errorf("reading IPVS: %w", err)
	}
	reading := host.Reading{State: host.Read, Objects: len(services), Blind: compare(services, parseProc(string(listing)))}
	var from []string
	if len(services) > 0 {
		from = seenMakers(into)
	}
	for i := range services {
		into.AddRedirects(row(&services[i], from))
	}
	return reading, nil
}

// ask lists the services with their destinations.
func ask(ctx context.Context) ([]service, error) {
	c, err := genl.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	families, err := c.Families()
	if err != nil {
		return nil, err
	}
	id, ok := families[familyName]
	if !ok {
		return nil, errors.New("ip_vs is loaded, and generic netlink does not know it")
	}
	answers, err := c.Dump(id, cmdGetService, 1, nil)
	if err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	services := make([]service, 0, len(answers))
	for _, m := range answers {
		s, err := decodeService(m)
		if err != nil {
			return nil, err
		}
		if s.dests, err = askDests(c, id, s); err != nil {
			return nil, err
		}
		services = append(services, s)
	}
	return services, ctx.Err()
}

func askDests(c *genl.Conn, id uint16, s service) ([]dest, error) {
	answers, err := c.Dump(id, cmdGetDest, 1, s.question())
	if err != nil {
		return nil, fmt.Errorf("listing destinations of %s: %w", s.name(), err)
	}
	var out []dest
	for _, m := range answers {
		d, err := decodeDest(m, s.family)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// compare names what only one of the two readings shows.
func compare(asked []service, listed []string) []host.Blind {
	var lines []string
	for i := range asked {
		lines = append(lines, asked[i].lines()...)
	}
	slices.Sort(lines)
	slices.Sort(listed)
	if slices.Equal(lines, listed) {
		return nil
	}
	return []host.Blind{{Source: "ipvs", What: "services", Why: "netlink and /proc/net/ip_vs disagree: only netlink shows " +
		orNothing(missing(lines, listed)) + "; only /proc shows " + orNothing(missing(listed, lines))}}
}

func missing(from, in []string) []string {
	var out []string
	for _, x := range from {
		if !slices.Contains(in, x) && len(out) < 5 {
			out = append(out, x)
		}
	}
	return out
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}
