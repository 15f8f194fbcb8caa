package route

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// Backend is the subsystem's name in refs, objects and steps.
const Backend = "rtnetlink"

// The kinds of rtnetlink objects that a Ref of backend "rtnetlink" names in
// its Table; its Key is the object as dumped.
const (
	refRoute     = "route"
	refRule      = "rule"
	refNeighbour = "neighbour"
	refSysctl    = "sysctl" // Text is the key below /proc/sys/net
)

// row begins a row of routing.
func row(mechanism, kind string, family host.Family) host.Redirect {
	return host.Redirect{Mechanism: mechanism, Kind: kind, State: host.Active, Why: []string{}, Direction: "inbound", Family: family,
		Proto: "any", Ports: "any", Conditions: []string{}, To: []string{}, Evidence: []string{}, Match: &host.Match{Family: family}}
}

func (v *view) ref(kind, text string, b raw) *host.Ref {
	o := object(kind, b)
	return &host.Ref{Backend: Backend, Table: kind, Fingerprint: o.Fingerprint, Text: text}
}

// finish writes targets and sets in words.
func finish(r host.Redirect, content string) host.Redirect {
	for _, t := range r.Targets {
		r.To = append(r.To, t.String())
	}
	r.Address, r.Source = host.AddrsString(r.Match.Address), host.AddrsString(r.Match.Source)
	r.Proto, r.Ports = host.ProtosString(r.Match.Protos), host.PortsString(r.Match.Ports)
	r.Content = content
	return r
}

func single(a netip.Addr) host.Addrs { return host.AddrRange(a, a) }
