package remediate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// The guards that refuse a plan before any change, as --force names them.
const (
	GuardLimit = "limit" // more redirects than the policy's limits allow
	GuardSSH   = "ssh"   // the caller's own ssh session may come through what goes
)

// Guards are the names that --force takes.
func Guards() []string { return []string{GuardLimit, GuardSSH, GuardWindow} }

// Session is the ssh session from which natwarden was called, as sshd says it
// in SSH_CONNECTION (ssh(1)): the server's end is the one after translation.
type Session struct{ Client, Server netip.AddrPort }

// errGuarded is refused before any change; its text names the guards.
var errGuarded = errors.New("refused")

// guarded says why a plan is refused, and which --force goes on all the same.
func (o Options) guarded(ctx context.Context, p *plan) (reasons []string) {
	ended := p.endedRows()
	if len(ended) > 0 {
		reasons = o.gated(ctx)
	}
	if o.RemoveAtMost != nil && len(ended) > *o.RemoveAtMost && !o.forces(GuardLimit) {
		reasons = append(reasons, fmt.Sprintf("%d redirects would be ended, the policy's limits allow %d (--force %s)", len(ended), *o.RemoveAtMost, GuardLimit))
	}
	if o.Session == nil || o.forces(GuardSSH) {
		return reasons
	}
	for _, r := range ended {
		if o.Session.comesThrough(r) {
			reasons = append(reasons, fmt.Sprintf("your ssh session from %s to %s may come through redirect %s, which would be ended (--force %s)",
				o.Session.Client.Addr(), o.Session.Server, r.ID, GuardSSH))
		}
	}
	return reasons
}

func (o Options) forces(name string) bool { return slices.Contains(o.Force, name) }

// refuseGuarded is guarded as an error.
func (o Options) refuseGuarded(ctx context.Context, p *plan) error {
	if reasons := o.guarded(ctx, p); len(reasons) > 0 {
		return fmt.Errorf("%w: %s", errGuarded, strings.Join(reasons, "; "))
	}
	return nil
}

// endedRows are the redirects that a plan ends, once each.
func (p *plan) endedRows() (out []*host.Redirect) {
	for _, g := range p.groups {
		ended := g.ended()
		for _, r := range g.rows {
			if ended[r.ID] && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// comesThrough says whether the session may come in through a redirect: one of
// its destinations is where sshd answers the session, or it takes what is for that address and port.
// What cannot be read counts: a session is soon cut, and hard to get back.
func (s *Session) comesThrough(r *host.Redirect) bool {
	if r.Proto != "tcp" && r.Proto != "any" || r.Direction == "outbound" {
		return false
	}
	return s.isTaken(r) || slices.ContainsFunc(r.To, s.isServer)
}

func (s *Session) isTaken(r *host.Redirect) bool {
	ports, err := host.ParsePorts(r.Ports)
	if err != nil {
		return true
	}
	if !ports.Has(host.Port(s.Server.Port())) {
		return false
	}
	return r.Address == "" || mayHold(r.Address, s.Server.Addr())
}

// mayHold says whether an address, prefix or range in words may hold addr.
func mayHold(words string, addr netip.Addr) bool {
	if p, err := netip.ParsePrefix(words); err == nil {
		return p.Contains(addr)
	}
	if a, err := netip.ParseAddr(words); err == nil {
		return a == addr
	}
	return true
}

// isServer says whether a destination is the server's end of the session.
func (s *Session) isServer(to string) bool {
	if strings.HasPrefix(to, "dev:") || strings.HasPrefix(to, "unix:") {
		return false
	}
	if to == ":*" {
		return false // the port is kept: isTaken has looked at it
	}
	if a, err := netip.ParseAddrPort(to); err == nil {
		return a == s.Server
	}
	if rest, here := strings.CutPrefix(to, ":"); here {
		ports, err := host.ParsePorts(strings.SplitN(rest, "/", 2)[0])
		return err != nil || ports.Has(host.Port(s.Server.Port()))
	}
	return strings.Contains(to, s.Server.Addr().String())
}
