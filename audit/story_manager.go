package audit

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// prove makes a redirect to loopback inside a container's own namespace
// information, where its manager is proven to have made it: Docker's embedded
// DNS, whose socket in there the host's own dockerd holds; a service mesh's
// sidecar, whose proxy runs in the same container as its own user.
func (s *story) prove(r *host.Redirect) {
	if r.Netns == "" || r.Match == nil || len(r.Targets) == 0 || r.Kind != "dnat" && r.Kind != "redirect" {
		return
	}
	proof := ""
	for _, t := range r.Targets {
		l := s.answers(r, t)
		if l == nil {
			return
		}
		if proof = embeddedDNS(r, t, l); proof == "" {
			proof = sidecar(r, t, l)
		}
		if proof == "" {
			return
		}
	}
	r.Info = true
	r.Evidence = appendOnce(r.Evidence, proof)
}

// answers is the listener in the namespace at a target on loopback, or at a
// port of the namespace itself.
func (s *story) answers(r *host.Redirect, t host.Target) *host.Listener {
	if t.Lo.IsValid() && !t.Lo.IsLoopback() {
		return nil
	}
	l := listenerAt(s.space, r.Match, t)
	if l == nil || len(l.Processes) == 0 {
		return nil
	}
	return l
}

// embeddedDNS tells Docker's resolver: packets for a loopback address go to
// another port of loopback, and dockerd, outside, holds that socket.
func embeddedDNS(r *host.Redirect, t host.Target, l *host.Listener) string {
	if !t.Lo.IsLoopback() || !onlyLoopback(r.Match.Address) {
		return ""
	}
	for i := range l.Processes {
		p := &l.Processes[i]
		if path.Base(p.Exe) != "dockerd" || !p.HostExe || p.User != "root" || p.Netns == r.Netns || p.Container != "" {
			return ""
		}
	}
	return fmt.Sprintf("Docker's embedded DNS of this container: %s (pid %d), outside, holds %s", l.Processes[0].Exe, l.Processes[0].PID, socketAddress(l))
}

func onlyLoopback(a host.Addrs) bool {
	return !a.Any() && !a.Empty() && !slices.ContainsFunc(a, func(x host.Range[netip.Addr]) bool { return !x.Lo.IsLoopback() || !x.Hi.IsLoopback() })
}

// envoyPorts are those on which Istio's sidecar takes what leaves and what
// enters the pod, plain and by tunnel (istio.io, "Ports used by Istio").
func envoyPorts() []uint16 { return []uint16{15001, 15006, 15008, 15053} }

// sidecarUser is the user as which Istio runs its proxy (istio.io, "Application requirements").
const sidecarUser = 1337

func sidecar(r *host.Redirect, t host.Target, l *host.Listener) string {
	if l.UID != sidecarUser || !slices.Contains(envoyPorts(), l.Port) || !inChain(r.Rule, "ISTIO_") {
		return ""
	}
	for i := range l.Processes {
		p := &l.Processes[i]
		if p.Container == "" || p.Netns != r.Netns {
			return ""
		}
	}
	return fmt.Sprintf("Istio's sidecar of this pod: %s (pid %d) of container %s holds %s as user %d",
		l.Processes[0].Name, l.Processes[0].PID, l.Processes[0].Container, socketAddress(l), sidecarUser)
}

func inChain(rule *host.RuleRef, prefix string) bool {
	if strings.HasPrefix(rule.Chain, prefix) {
		return true
	}
	return slices.ContainsFunc(rule.Paths, func(way []string) bool {
		return slices.ContainsFunc(way, func(c string) bool { return strings.HasPrefix(c, prefix) })
	})
}
