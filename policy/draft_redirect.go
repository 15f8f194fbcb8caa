package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// draftRedirect states a redirect by what a person recognizes: kind, ports,
// destination, table and chain.
func draftRedirect(r *host.Redirect) *draft {
	e := extentOf(r)
	d := &draft{heading: ownerHeading(r.Owner), rowIDs: []string{r.ID}, rule: ruleKey(r), exact: stated(r, &e),
		name: r.Kind + "-" + r.Proto + "-" + r.Ports, found: foundRedirect(r)}
	d.set("mechanism", r.Mechanism)
	d.set("kind", r.Kind)
	d.set("direction", r.Direction)
	d.setNetns(r.Netns)
	d.setExtent(r, &e)
	d.setRule(r)
	d.setProcess(r.Process)
	return d
}

// stated says whether the keys of a policy can say all that restricts the
// redirect. Conditions in words they cannot.
func stated(r *host.Redirect, e *extent) bool {
	if r.State == host.Unknown || len(e.targets) == 0 || len(r.Conditions) > 0 {
		return false
	}
	m := r.Match
	return m == nil || len(m.Conditions) == 0 && m.SPorts.Any() && m.Out.Any() && !m.In.Not
}

// setNetns: names made of a pid or descriptor are others tomorrow; the id of
// the row is not.
func (d *draft) setNetns(name string) {
	switch {
	case name == "":
		d.fields = append(d.fields, field{"netns", []string{"current"}})
	case name == "current", strings.HasPrefix(name, "pid:"), strings.HasPrefix(name, "fd:"):
		d.exact = false
	default:
		d.set("netns", name)
	}
}

func (d *draft) setExtent(r *host.Redirect, e *extent) {
	d.set("family", map[families]string{v4: "ip", v6: "ip6"}[e.family])
	if !e.protos.Any() {
		d.set("proto", host.ProtosString(e.protos))
	}
	if !e.ports.Any() {
		d.set("ports", host.PortsString(e.ports))
	}
	d.set("address", host.AddrsString(e.address))
	d.set("source", host.AddrsString(e.source))
	d.set("in", e.in...)
	d.exact = d.exact && !slices.Contains(e.in, "")
	d.set("to", d.destinations(r, e)...)
}

// destinations writes the targets. One that keeps the port would be written as
// any port of the address: a single port is put in, else the row must be pinned.
func (d *draft) destinations(r *host.Redirect, e *extent) []string {
	var out []string
	for _, t := range e.targets {
		kept := t.Lo.IsValid() && keepsPort(&t)
		if kept && len(e.ports) == 1 && e.ports[0].Lo == e.ports[0].Hi && e.ports[0].Lo != 0 {
			t.PortLo, t.PortHi = uint16(e.ports[0].Lo), uint16(e.ports[0].Lo)
		} else if kept {
			d.exact = false
		}
		out = append(out, t.String())
	}
	return unique(out)
}

func (d *draft) setRule(r *host.Redirect) {
	if r.Rule != nil {
		d.exact = d.exact && r.Rule.Table != "" && r.Rule.Chain != ""
		d.set("writer", r.Rule.Writer)
		d.set("table", r.Rule.Table)
		d.set("chain", r.Rule.Chain)
		d.set("dev", r.Rule.Devices...)
	}
	if r.File != nil {
		d.set("file", r.File.Path)
	}
	d.set("tag", r.Tag)
	d.set("pin", r.Pin)
}

func (d *draft) setProcess(p *host.Process) {
	if p == nil {
		return
	}
	if p.HostExe && !p.Deleted {
		d.set("process.exe", p.Exe)
	}
	if p.SystemUnit {
		d.set("process.unit", p.Unit)
	}
	d.set("process.user", p.User)
	d.set("process.container", p.Container)
}

// ruleKey is equal for the rows of one rule.
func ruleKey(r *host.Redirect) string {
	if r.Rule == nil {
		return "row " + r.ID
	}
	return fmt.Sprintf("%s %d %d", chainKey(r), r.Rule.Handle, r.Rule.Index)
}

func chainKey(r *host.Redirect) string {
	if r.Rule == nil {
		return strings.Join([]string{r.Netns, r.Mechanism, r.Kind}, "\x00")
	}
	return strings.Join([]string{r.Netns, r.Rule.Backend, string(r.Rule.Family), r.Rule.Table, r.Rule.Chain}, "\x00")
}

func ownerHeading(o *host.Owner) string {
	if o == nil || o.Kind == "" {
		return ""
	}
	return strings.TrimSpace(o.Kind + " " + o.Name)
}

// foundRedirect describes the row in one line.
func foundRedirect(r *host.Redirect) string {
	words := []string{r.State, r.Kind, r.Proto, "ports " + r.Ports}
	if len(r.To) > 0 {
		words = append(words, "to "+strings.Join(r.To[:min(len(r.To), 4)], ", "))
	}
	if r.Rule != nil {
		words = append(words, "in", string(r.Rule.Family), r.Rule.Table, r.Rule.Chain)
		if r.Rule.Comment != "" {
			words = append(words, "comment "+quoted(short(r.Rule.Comment)))
		}
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	return short(strings.ToValidUTF8(strings.Join(words, " "), "\ufffd"))
}

// short keeps a line readable: 200 characters.
func short(text string) string {
	if runes := []rune(text); len(runes) > 200 {
		return string(runes[:200]) + "…"
	}
	return text
}
