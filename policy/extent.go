package policy

import "github.com/natwarden/natwarden/internal/host"

// extent is all that a redirect takes and does, as sets: made once for each
// row, compared with many entries. What is not known is as wide as it can be.
type extent struct {
	family          families
	protos          host.Protos
	ports           host.Ports
	address, source host.Addrs
	in              []string      // the interfaces, where it names some; nil: any
	targets         []host.Target // nil: not all are known
}

func extentOf(r *host.Redirect) extent {
	e := extent{family: familiesOf(r.Family), targets: targetsOf(r)}
	if r.Match == nil {
		e.readWords(r)
		return e
	}
	m := r.Match
	if narrow := familiesOf(m.Family) & e.family; narrow != 0 {
		e.family = narrow
	}
	e.protos, e.ports, e.address, e.source = known(m.Protos), known(m.Ports), known(m.Address), known(m.Source)
	if !m.In.Not {
		e.in = m.In.Names
	}
	return e
}

// known writes an empty set as any: nothing would be inside every entry, and a
// rule that takes nothing today is not thereby allowed by whichever stands first.
func known[T host.Point[T]](s host.Set[T]) host.Set[T] {
	if s.Empty() {
		return nil
	}
	return s
}

// readWords takes the extent from the words of the row. A word that is not
// understood is any, which only an unrestricted key contains.
func (e *extent) readWords(r *host.Redirect) {
	if protos, err := host.ParseProtos(r.Proto); err == nil {
		e.protos = protos
	}
	if ports, err := host.ParsePorts(r.Ports); err == nil {
		e.ports = ports
	}
	if address, err := host.ParseAddrs(r.Address); err == nil {
		e.address = address
	}
	if source, err := host.ParseAddrs(r.Source); err == nil {
		e.source = source
	}
}

// targetsOf gives every destination, or nil where one is not known.
func targetsOf(r *host.Redirect) []host.Target {
	if r.State == host.Unknown {
		return nil
	}
	if len(r.Targets) > 0 && len(r.Targets) >= len(r.To) {
		return r.Targets
	}
	var targets []host.Target
	for _, text := range r.To {
		t, err := host.ParseTarget(text)
		if err != nil {
			return nil
		}
		targets = append(targets, t)
	}
	return targets
}
