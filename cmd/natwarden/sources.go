package main

import (
	"context"
	"time"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/flow"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipset"
	"github.com/natwarden/natwarden/internal/ipvs"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/nft"
	"github.com/natwarden/natwarden/internal/present"
	"github.com/natwarden/natwarden/internal/relay"
	"github.com/natwarden/natwarden/internal/route"
	"github.com/natwarden/natwarden/internal/sock"
	"github.com/natwarden/natwarden/internal/tc"
	"github.com/natwarden/natwarden/internal/walk"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
)

// sources are all that can be looked at, in the order of the report.
func sources() []audit.Source {
	programs := bpf.NewCatalog()
	return []audit.Source{interfaces{}, nfTables{}, xTables{}, sockets{}, route.Source{}, relay.Source{}, flow.Source{Rules: rulesOf}, tc.Source{Programs: programs}, bpf.Source{Programs: programs},
		ipvs.Source{}, present.Source{}}
}

// rulesOf are the redirects that the rules of a space make.
func rulesOf(space *host.Space) []host.Redirect { return walk.Redirects(space, walk.Options{}) }

// always is the group of what every other source needs.
const always = ""

// The groups of sources, as --sources names them.
const (
	groupRules   = "rules"
	groupSockets = "sockets"
	groupRoutes  = "routes"
	groupRelays  = "relays"
	groupFlows   = "flows"
	groupBPF     = "bpf"
	groupIPVS    = "ipvs"
	groupPresent = "present"
)

// sourceGroups are the names that --sources takes.
func sourceGroups() []string {
	return []string{groupRules, groupSockets, groupRoutes, groupRelays, groupFlows, groupBPF, groupIPVS, groupPresent}
}

// interfaces reads the namespace's interfaces and addresses, by which it is
// known where rules act and which addresses are this host's.
type interfaces struct{}

// Name is the source's name in the report.
func (interfaces) Name() string { return "interfaces" }

// Group is the source's name for --sources.
func (interfaces) Group() string { return always }

// Read adds interfaces and addresses of the thread's namespace.
func (interfaces) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	var err error
	into.Ifaces, into.Addrs, err = netns.Ifaces(ctx)
	return host.Reading{State: host.Read, Objects: len(into.Ifaces)}, err
}

// nfTables reads nf_tables: native rules, iptables-nft, ebtables-nft.
// texts asks for the text of every rule.
type nfTables struct{ texts bool }

// Name is the source's name in the report.
func (nfTables) Name() string { return "nf_tables" }

// Group is the source's name for --sources.
func (nfTables) Group() string { return groupRules }

// Read adds the tables, chains, rules and sets of the thread's namespace.
func (n nfTables) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	dump, err := nft.Read(ctx, nft.Options{})
	if err != nil {
		return host.Reading{}, err
	}
	if len(dump.Tables) == 0 {
		return nothingOf(nft.Loaded(), "nf_tables is not in the kernel"), nil
	}
	env, blind := ruleWorld(ctx)
	names, err := interfaceNames(ctx)
	if err != nil {
		blind = append(blind, host.Blind{Source: "nf_tables", What: "names of interfaces", Why: err.Error()})
	}
	decoded := nft.Decode(dump, nft.Env{Sets: env.Sets, Ifname: names, Now: env.Now, Listing: n.texts})
	into.Generation = dump.Generation
	if families := dump.TrackedFamilies(); len(families) > 0 {
		into.NoteTracking(families...)
	}
	into.AddTables(decoded.Tables...)
	return host.Reading{State: host.Read, Objects: rulesIn(decoded.Tables), Blind: append(blind, decoded.Blind...)}, nil
}

// nothingOf is the reading of a subsystem without a table: looked at and
// empty, or not there at all.
func nothingOf(there bool, why string) host.Reading {
	if there {
		return host.Reading{State: host.Read}
	}
	return host.Reading{State: host.Absent, Why: why}
}

func rulesIn(tables []*host.Table) int {
	n := 0
	for _, t := range tables {
		for _, c := range t.Chains {
			n += len(c.Rules)
		}
	}
	return n
}

// ruleWorld is what rules refer to: ipsets, and today's date. An ipset that
// cannot be read makes the rules that use it uncertain, and is blind.
func ruleWorld(ctx context.Context) (xt.Env, []host.Blind) {
	env := xt.Env{Now: time.Now()}
	sets, err := ipset.Read(ctx)
	if err != nil {
		return env, []host.Blind{{Source: "ipset", What: "all sets", Why: err.Error()}}
	}
	env.Sets = sets
	return env, nil
}

func interfaceNames(ctx context.Context) (func(uint32) string, error) {
	list, _, err := netns.Ifaces(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[uint32]string, len(list))
	for _, i := range list {
		names[uint32(i.Index)] = i.Name
	}
	return func(index uint32) string { return names[index] }, nil
}

// xTables reads the tables of iptables-legacy and ip6tables-legacy.
// texts asks for the text of every rule.
type xTables struct{ texts bool }

// Name is the source's name in the report.
func (xTables) Name() string { return xtables.Source }

// Group is the source's name for --sources.
func (xTables) Group() string { return groupRules }

// Read adds the tables, chains and rules of the thread's namespace.
func (x xTables) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	dump, err := xtables.Read(ctx)
	if err != nil {
		return host.Reading{}, err
	}
	state := dump.Source()
	reading := host.Reading{State: state.State, Objects: state.Objects, Why: state.Why, Blind: dump.Blind}
	if len(dump.Tables) == 0 {
		return reading, nil
	}
	env, blind := ruleWorld(ctx)
	env.Texts = x.texts
	tables, undecoded := xtables.Decode(dump, env) // names the dump's own blind spots as well
	into.AddTables(tables...)
	if families := dump.TrackedFamilies(); len(families) > 0 {
		into.NoteTracking(families...)
	}
	reading.Blind = append(blind, undecoded...)
	return reading, nil
}

// sockets reads who listens. Who holds the sockets is found for all namespaces
// at once: see socketHolders.
type sockets struct{}

// Name is the source's name in the report.
func (sockets) Name() string { return "sockets" }

// Group is the source's name for --sources.
func (sockets) Group() string { return groupSockets }

// Read adds listeners, packet sockets and readers of queues of the thread's namespace.
func (sockets) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	found, blind, err := sock.Read(ctx)
	if err != nil {
		return host.Reading{}, err
	}
	into.Listeners = found
	if into.Packets, err = sock.Packets(ctx); err != nil {
		blind = append(blind, host.Blind{Source: "sockets", What: "packet sockets", Why: err.Error()})
	}
	if into.Queues, err = sock.Queues(); err != nil {
		blind = append(blind, host.Blind{Source: "sockets", What: "readers of netfilter queues", Why: err.Error()})
	}
	return host.Reading{State: host.Read, Objects: len(found) + len(into.Packets), Blind: blind}, nil
}
