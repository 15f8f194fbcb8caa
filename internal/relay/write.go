package relay

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// redirect writes a row for the report.
func (f *finder) redirect(w *row) host.Redirect {
	l, p := w.listener, *w.process
	r := host.Redirect{Mechanism: "relay", Kind: cmp.Or(w.kind, "forwarder"), State: host.Active, Direction: "inbound", Proto: l.Proto,
		Ports: strconv.Itoa(int(l.Port)), Conditions: []string{}, To: []string{}, Process: &p, Family: family(l),
		Why:      []string{fmt.Sprintf("%s (pid %d) accepts and passes on", p.Name, p.PID)},
		Evidence: append([]string{}, w.behind...), Content: p.Exe + "\x00" + p.Unit + "\x00" + p.Container,
		Match: &host.Match{Family: family(l), Protos: protos(l.Proto), Ports: host.PortsOf(l.Port, l.Port)}}
	if w.how != "" {
		r.Evidence = append([]string{w.how}, r.Evidence...)
	}
	if w.file != "" {
		r.File = &host.FileRef{Path: w.file}
	}
	f.destinations(&r, w)
	if a, err := netip.ParseAddr(l.Address); err == nil && !a.IsUnspecified() {
		r.Address, r.Match.Address = a.Unmap().String(), host.AddrRange(a.Unmap(), a.Unmap())
	}
	if onLoopback(l) { // it answers nobody outside, wherever it leads
		r.Info, r.State = true, host.Active
	}
	r.Ref = ref(w)
	r.Advice = advice(w)
	return r
}

func onLoopback(l *host.Listener) bool {
	a, err := netip.ParseAddr(l.Address)
	return err == nil && a.Unmap().IsLoopback()
}

// ref finds the process again, by who it is; a socket that systemd holds, by
// its unit.
func ref(w *row) *host.Ref {
	life, err := proc.LifeOf(w.process.PID)
	if err != nil {
		return nil
	}
	return &host.Ref{Backend: "process", Chain: w.unit, Handle: uint64(life.PID), Fingerprint: life.Fingerprint(),
		Text: cmp.Or(w.unit, fmt.Sprintf("%s (pid %d)", w.process.Name, life.PID))}
}

// destinations fills where it leads. A relay to this host itself answers for
// nobody else: information.
func (f *finder) destinations(r *host.Redirect, w *row) {
	outside := w.open || len(w.to) == 0
	for _, d := range w.to {
		r.To = append(r.To, d.String())
		if d.name == "" {
			r.Targets = append(r.Targets, d.target)
		}
		outside = outside || d.outside(f.own)
	}
	slices.Sort(r.To)
	r.To = slices.Compact(r.To)
	if len(r.Targets) != len(w.to) || w.open {
		r.Targets = nil // a name is in no set of addresses, and "anywhere" is more than what is named
	}
	if len(w.to) == 0 && !w.open {
		r.State, r.Why = host.Unknown, append([]string{"where to could not be found out"}, r.Why...)
	}
	if w.unsure {
		r.State, r.Why = host.Unknown, append(r.Why[:0], "it opens a connection for each one that it accepts; what it passes on is not visible")
	}
	if w.open {
		r.Evidence = append(r.Evidence, "it leads wherever its client asks")
	}
	if w.fed {
		r.Evidence = append(r.Evidence, "it answers only what a REDIRECT hands to it: see the rule that does")
	}
	r.Info = !outside || w.fed
}

func advice(w *row) string {
	p := w.process
	switch {
	case w.unit != "":
		return "systemctl stop " + host.ShellWord(w.unit) + ", and disable it"
	case p.Container != "":
		return "stop its container: " + p.Container
	case p.Unit != "":
		return "systemctl stop " + host.ShellWord(p.Unit) + ", and disable it"
	}
	return fmt.Sprintf("end process %d (%s), and what starts it", p.PID, cmp.Or(p.Exe, p.Name))
}

func family(l *host.Listener) host.Family {
	a, err := netip.ParseAddr(l.Address)
	switch {
	case err != nil:
		return host.Both
	case a.Unmap().Is4():
		return host.IP
	case l.DualStack:
		return host.Both
	}
	return host.IP6
}

func protos(name string) host.Protos {
	if name == "mptcp" {
		name = "tcp"
	}
	p, err := host.ParseProtos(name)
	if err != nil {
		return host.Nothing[host.Proto]()
	}
	return p
}
