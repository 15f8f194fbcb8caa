package policy

import (
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// RedirectMatch is what an entry allows: the product of its keys. A nil list
// and a zero set are not restricted; several values of a key are alternatives.
type RedirectMatch struct {
	mechanism, kind, direction, netns []string
	writer, table, chain, hook        []string
	in, dev, comment, file            []string
	tag, pin, id                      []string
	family                            families
	proto                             protoSet
	ports                             portSet
	address, source                   addrSet
	to                                []host.Target
	process                           processMatch
	owner                             ownerMatch
}

type ownerMatch struct{ kind, name []string }

func (m *ownerMatch) contains(o *host.Owner) bool {
	if m.kind == nil && m.name == nil {
		return true
	}
	return o != nil && fits(m.kind, o.Kind) && fits(m.name, o.Name)
}

// fits says whether the value is one of the list; a nil list takes all. No
// list holds "" but that of netns, so what a row does not have never fits.
func fits(list []string, value string) bool { return list == nil || slices.Contains(list, value) }

// contains says whether all that the redirect does lies inside the match.
// The cheap and telling keys stand first.
func (m *RedirectMatch) contains(r *host.Redirect, e *extent) bool {
	return m.named(r) && m.inRule(r.Rule) && m.ports.contains(e.ports) && m.inPlace(r) &&
		m.family.contains(e.family) && m.proto.contains(e.protos) &&
		m.address.contains(e.address, e.family) && m.source.contains(e.source, e.family) &&
		m.inIfaces(e.in) && m.inTo(e) && m.pinned(r)
}

func (m *RedirectMatch) named(r *host.Redirect) bool {
	return fits(m.id, r.ID) && fits(m.mechanism, r.Mechanism) && fits(m.kind, r.Kind) &&
		fits(m.direction, r.Direction) && fits(m.netns, r.Netns) && fits(m.tag, r.Tag) && fits(m.pin, r.Pin)
}

func (m *RedirectMatch) inRule(rule *host.RuleRef) bool {
	if m.writer == nil && m.table == nil && m.chain == nil && m.hook == nil && m.comment == nil && m.dev == nil {
		return true
	}
	return rule != nil && fits(m.writer, rule.Writer) && fits(m.table, rule.Table) && fits(m.chain, rule.Chain) &&
		m.onHooks(rule) && fits(m.comment, rule.Comment) && m.onDevices(rule.Devices)
}

// onHooks: a rule that is reached from several hooks acts at all of them.
func (m *RedirectMatch) onHooks(rule *host.RuleRef) bool {
	return fits(m.hook, rule.Hook) && !slices.ContainsFunc(rule.Hooks, func(h string) bool { return !fits(m.hook, h) })
}

func (m *RedirectMatch) onDevices(devices []string) bool {
	return m.dev == nil || len(devices) > 0 && allIn(m.dev, devices)
}

func (m *RedirectMatch) inPlace(r *host.Redirect) bool {
	return (m.file == nil || r.File != nil && fits(m.file, r.File.Path)) &&
		m.owner.contains(r.Owner) && m.process.containsRelay(r.Process)
}

func (m *RedirectMatch) inIfaces(in []string) bool {
	return m.in == nil || len(in) > 0 && allIn(m.in, in)
}

// inTo: destinations that are not known are inside nothing that names some.
func (m *RedirectMatch) inTo(e *extent) bool {
	return m.to == nil || e.targets != nil && insideTo(m.to, e.targets, e.ports)
}

// pinned: what cannot be judged is allowed only by an entry that means just
// that object.
func (m *RedirectMatch) pinned(r *host.Redirect) bool {
	return r.State != host.Unknown || m.id != nil || m.tag != nil || m.pin != nil
}

// allIn says whether each name lies inside one of the list. A name may end in
// "*": any continuation.
func allIn(list, names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(list, func(p string) bool { return nameInside(p, name) }) {
			return false
		}
	}
	return true
}

func nameInside(pattern, name string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return pattern == name || open && strings.HasPrefix(name, prefix)
}
