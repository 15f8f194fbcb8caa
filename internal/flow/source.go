package flow

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// Source finds translated flows that no rule explains: left over from a rule
// that was deleted, or put into conntrack by hand.
type Source struct {
	// Rules gives the redirects that the rules of a space make.
	Rules func(*host.Space) []host.Redirect
}

// Name is the source's name in the report.
func (Source) Name() string { return "conntrack" }

// Group is the source's name for --sources.
func (Source) Group() string { return "flows" }

// Follows says that the rules are read first.
func (Source) Follows() {}

// Read lists the translated flows of the namespace of the calling thread.
func (s Source) Read(ctx context.Context, into *host.Space) (host.Reading, error) {
	if !Loaded() {
		return host.Reading{State: host.Absent, Why: "the kernel does not track connections"}, nil
	}
	if none() {
		return host.Reading{State: host.Read}, nil
	}
	flows, err := Translated(ctx)
	if err != nil {
		return host.Reading{}, err
	}
	if len(flows) > 0 {
		into.AddRedirects(unexplained(flows, s.Rules(into), idle(into))...)
	}
	return host.Reading{State: host.Read, Objects: len(flows)}, nil
}

// idle says why the kernel translates nothing here whatever conntrack lists:
// without a nat base chain, or without a rule that uses conntrack, its hooks are
// not registered (measured on 6.18). "" where it does translate.
func idle(space *host.Space) string {
	nat := false
	for _, t := range space.Tables {
		for _, c := range t.Chains {
			nat = nat || c.Base != nil && c.Base.Type == "nat"
		}
	}
	switch {
	case !nat:
		return "there is no nat chain in this namespace: the kernel translates nothing"
	case !space.Tracked():
		return "no rule in this namespace uses conntrack: the kernel translates nothing"
	}
	return ""
}

// unexplained makes one row for all flows that ask the same and are answered
// by the same.
func unexplained(flows []Flow, rules []host.Redirect, idle string) []host.Redirect {
	var explains []func(Flow) bool
	for i := range rules {
		if r := &rules[i]; r.Match != nil && r.State == host.Active {
			explains = append(explains, Riding(r.Match, r.Targets, r.Kind))
		}
	}
	var order []string
	groups := map[string][]Flow{}
	for _, f := range flows {
		if slices.ContainsFunc(explains, func(rides func(Flow) bool) bool { return rides(f) }) {
			continue
		}
		key := fmt.Sprintf("%s %s:%d %s:%d", f.Orig.Proto, f.Orig.Dst, f.Orig.DstPort, f.Reply.Src, f.Reply.SrcPort)
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], f)
	}
	out := make([]host.Redirect, 0, len(order))
	for _, key := range order {
		out = append(out, row(groups[key], idle))
	}
	return out
}

// shown is how many flows of a row are named in its evidence.
const shown = 3

func row(flows []Flow, idle string) host.Redirect {
	f := &flows[0]
	family := host.IP
	if f.Orig.Dst.Is6() {
		family = host.IP6
	}
	m := &host.Match{Family: family, Protos: host.ProtosOf(f.Orig.Proto), Address: host.AddrRange(f.Orig.Dst, f.Orig.Dst)}
	to := host.AddrTarget(f.Reply.Src, 0)
	if f.Orig.Proto.HasPorts() {
		m.Ports = host.PortsOf(f.Orig.DstPort, f.Orig.DstPort)
		to = host.AddrTarget(f.Reply.Src, f.Reply.SrcPort)
	}
	r := host.Redirect{Mechanism: "flow", Kind: "nat-flow", State: host.Active, Direction: "inbound", Family: family,
		Proto: host.ProtosString(m.Protos), Ports: host.PortsString(m.Ports), Address: f.Orig.Dst.String(),
		Why: []string{"no rule explains it: it outlived its rule, or was put into conntrack by hand"}, Conditions: []string{},
		To: []string{to.String()}, Targets: []host.Target{to}, Match: m, Evidence: []string{fmt.Sprintf("%d flows", len(flows))},
		Advice: fmt.Sprintf("conntrack -D -p %s --orig-dst %s --dst-nat", f.Orig.Proto, f.Orig.Dst)}
	if idle != "" {
		r.State, r.Why = host.Inactive, []string{idle}
	}
	for i := range flows[:min(len(flows), shown)] {
		r.Evidence = append(r.Evidence, flows[i].String())
	}
	r.Ref = &host.Ref{Backend: "conntrack", Text: f.String(), Key: pack(flows), Fingerprint: fmt.Sprintf("%s %s:%d", f.Orig.Proto, f.Orig.Dst, f.Orig.DstPort) + to.String()}
	return r
}

// pack writes the keys of flows one after another, each with its length (two
// bytes, big endian).
func pack(flows []Flow) []byte {
	var out []byte
	for _, f := range flows {
		out = binary.BigEndian.AppendUint16(out, uint16(len(f.Key)))
		out = append(out, f.Key...)
	}
	return out
}

// Unpack reads what a Ref of backend conntrack names: the keys of its flows.
func Unpack(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("the list of flows is torn after %d of them", len(out))
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		out = append(out, b[2:n])
		b = b[n:]
	}
	return out, nil
}
