package policy

import "slices"

// covers says whether everything that o allows is allowed by m as well.
func (m *RedirectMatch) covers(o *RedirectMatch) bool {
	return m.coversNames(o) && m.coversRule(o) && m.coversSets(o) &&
		m.process.covers(&o.process) && m.owner.covers(&o.owner) && m.coversTo(o)
}

func (m *RedirectMatch) coversNames(o *RedirectMatch) bool {
	return listCovers(m.id, o.id) && listCovers(m.mechanism, o.mechanism) && listCovers(m.kind, o.kind) &&
		listCovers(m.direction, o.direction) && listCovers(m.netns, o.netns) && listCovers(m.file, o.file) &&
		listCovers(m.tag, o.tag) && listCovers(m.pin, o.pin) && namesCover(m.in, o.in) && m.coversUnknown(o)
}

// coversUnknown: only an entry that pins its object allows one that cannot be
// judged, so one that does not pin does not cover one that does.
func (m *RedirectMatch) coversUnknown(o *RedirectMatch) bool {
	pins := func(m *RedirectMatch) bool { return m.id != nil || m.tag != nil || m.pin != nil }
	return pins(m) || !pins(o)
}

func (m *RedirectMatch) coversRule(o *RedirectMatch) bool {
	return listCovers(m.writer, o.writer) && listCovers(m.table, o.table) && listCovers(m.chain, o.chain) &&
		listCovers(m.hook, o.hook) && listCovers(m.comment, o.comment) && namesCover(m.dev, o.dev)
}

func (m *RedirectMatch) coversSets(o *RedirectMatch) bool {
	return m.proto.covers(&o.proto) && m.ports.covers(&o.ports) && m.address.covers(&o.address) &&
		m.source.covers(&o.source) && (m.family == 0 || o.family != 0 && m.family.contains(o.family))
}

// coversTo: a destination of an entry that has no port is any port, not that
// which the redirect keeps.
func (m *RedirectMatch) coversTo(o *RedirectMatch) bool {
	return m.to == nil || o.to != nil && insideTo(m.to, o.to, nil)
}

func (m *processMatch) covers(o *processMatch) bool {
	return listCovers(m.exe, o.exe) && listCovers(m.user, o.user) && listCovers(m.unit, o.unit) && listCovers(m.container, o.container)
}

func (m *ownerMatch) covers(o *ownerMatch) bool {
	return listCovers(m.kind, o.kind) && listCovers(m.name, o.name)
}

func (m *ListenerMatch) covers(o *ListenerMatch) bool {
	return m.coversProtos(o) && m.ports.covers(&o.ports) && m.address.covers(&o.address) &&
		listCovers(m.netns, o.netns) && m.process.covers(&o.process) &&
		(m.transparent == nil || o.transparent != nil && *m.transparent == *o.transparent)
}

func (m *ListenerMatch) coversProtos(o *ListenerMatch) bool {
	return m.proto == nil || o.proto != nil && !slices.ContainsFunc(o.proto, func(p string) bool { return !m.takesProto(p) })
}

func listCovers(list, o []string) bool {
	return list == nil || o != nil && !slices.ContainsFunc(o, func(v string) bool { return !slices.Contains(list, v) })
}

func namesCover(list, o []string) bool { return list == nil || o != nil && allIn(list, o) }
