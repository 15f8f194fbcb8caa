package tc

import (
	"context"
	"fmt"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/host"
)

// Backend is the subsystem's name in refs, objects and steps.
const Backend = "tc"

// findings are what a namespace's filters do.
type findings struct {
	ctx     context.Context // of this one reading
	v       *view
	catalog *bpf.Catalog
	rows    []host.Redirect
	blind   []host.Blind
}

func (x *findings) unjudged(what, why string) {
	x.blind = append(x.blind, host.Blind{Source: "tc", What: what, Why: why})
}

// filter says what one filter does.
func (x *findings) filter(f filter) {
	if f.empty || f.isTable() {
		return
	}
	text := x.v.text(f)
	if _, known := actionAttr(f.kind); !known {
		x.unjudged(text, "classifier "+f.kind+" is present and not judged")
		return
	}
	if f.kind == "bpf" {
		if id, ok := f.options.u32(bpfID); ok {
			x.program(f, id)
		}
	}
	for n, a := range f.actions {
		x.action(f, n, a)
	}
}

func (x *findings) action(f filter, n int, a action) {
	what := fmt.Sprintf("%s action %d %s", x.v.text(f), n+1, a.kind)
	switch {
	case neutral(a.kind), a.kind == "ct" && !translates(a):
	case a.kind == "mirred":
		m, err := decodeMirred(a)
		if err != nil {
			x.unjudged(what, err.Error())
			return
		}
		x.rows = append(x.rows, x.mirred(f, m))
	case a.kind == "bpf":
		if id, ok := a.options.u32(actBPFID); ok {
			x.program(f, id)
		}
	default:
		x.unjudged(what, "the action is present and not judged: it may rewrite or translate packets")
	}
}

func (x *findings) mirred(f filter, m mirred) host.Redirect {
	r := host.Redirect{Mechanism: "tc", Kind: "mirred", State: host.Active, Direction: direction(f), Conditions: []string{}, To: []string{}, Info: !m.redirect}
	match := f.match()
	r.Match = &match
	r.Family, r.Proto, r.Ports = match.Family, host.ProtosString(match.Protos), host.PortsString(match.Ports)
	r.Address, r.Source = host.AddrsString(match.Address), host.AddrsString(match.Source)
	if !match.SPorts.Any() {
		r.Conditions = append(r.Conditions, "source port "+host.PortsString(match.SPorts))
	}
	r.Conditions = append(r.Conditions, match.Conditions...)
	x.target(&r, f, m)
	x.state(&r, f, m)
	r.Evidence = []string{"tc filter " + x.v.text(f), "qdisc " + f.qdisc}
	x.refer(&r, f)
	return r
}

func (x *findings) target(r *host.Redirect, f filter, m mirred) {
	word := "mirred " + way(m)
	if m.block != 0 {
		r.Content = fmt.Sprintf("%s %s to block %d", x.v.place(f), word, m.block)
		return
	}
	name := x.v.ifname(m.ifindex)
	r.Targets = []host.Target{{Dev: name}}
	r.To = []string{"dev:" + name}
	r.Content = x.v.place(f) + " " + word
}

func way(m mirred) string {
	side, what := "egress", "mirror"
	if m.ingress {
		side = "ingress"
	}
	if m.redirect {
		what = "redirect"
	}
	return side + " " + what
}

// state says whether the filter acts now.
func (x *findings) state(r *host.Redirect, f filter, m mirred) {
	r.Why = []string{"mirred " + way(m) + " hands whole frames on"}
	to, exists := x.v.links[m.ifindex]
	switch {
	case r.Match.Dead != "":
		r.State, r.Why = host.Inactive, []string{r.Match.Dead}
	case m.block != 0:
		r.State, r.Why = host.Unknown, []string{fmt.Sprintf("it hands frames to the ports of block %d, which are not listed", m.block)}
	case !exists:
		r.State, r.Why = host.Inactive, []string{"the device that it hands frames to is gone"}
	case !to.up:
		r.State, r.Why = host.Latent, []string{"interface " + to.name + " is down"}
	case !x.v.links[f.dev].up:
		r.State, r.Why = host.Latent, []string{"interface " + x.v.ifname(f.dev) + " is down"}
	}
}

// program makes the row of an eBPF program that runs as classifier or action.
func (x *findings) program(f filter, id uint32) {
	at := bpf.Place{Mechanism: "tc", Kind: "tc-bpf", Direction: direction(f), Words: "tc " + x.v.text(f), Program: id}
	if !x.v.links[f.dev].up {
		at.Latent = "interface " + x.v.ifname(f.dev) + " is down"
	}
	r, err := x.catalog.Row(x.ctx, at)
	if err != nil {
		x.unjudged(at.Words, err.Error())
		return
	}
	x.refer(&r, f)
	x.rows = append(x.rows, r)
}

func (x *findings) refer(r *host.Redirect, f filter) {
	o, err := x.v.object(f)
	if err != nil {
		return // without a Ref it stays, and the report's advice says how to end it
	}
	r.Ref = &host.Ref{Backend: Backend, Table: KindFilter, Chain: o.Place, Fingerprint: o.Fingerprint, Key: o.Raw, Text: o.Text, Handle: uint64(o.Program)}
	r.Advice = fmt.Sprintf("tc filter del dev %s %s pref %d %s", host.ShellWord(x.v.ifname(f.dev)), f.hook(), f.prio, host.ShellWord(f.kind))
}

func direction(f filter) string {
	if f.ingress() {
		return "inbound"
	}
	return "outbound"
}
