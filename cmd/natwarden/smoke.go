package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/path"
	"github.com/natwarden/natwarden/internal/smoke"
	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/remediate"
)

// smokeOf are the smoke tests of the policy, and how they are asked.
func smokeOf(pol *policy.Policy) remediate.Smoke {
	files := smoke.Files{Program: policy.TrustedProgram, Read: func(path string) ([]byte, error) {
		return policy.ReadTrusted(path, policy.CertificatesLimit)
	}}
	return remediate.Smoke{
		Tests: pol.Smoke, Closed: pol.Closed, Answered: answered,
		Ask: func(ctx context.Context, tests []host.Probe) []string { return smoke.Ask(ctx, tests, files) },
	}
}

// connectTime is how long a connection to a port that is to be closed may take:
// one that is dropped answers never.
const connectTime = 2 * time.Second

// answered reads the namespace in which natwarden was started anew and says of
// each port who answers it still, or may; "" for nobody.
func answered(ctx context.Context, closed []host.Closed) ([]string, error) {
	s := &spaces{}
	s.found, s.blind = netns.List(ctx, s.scope)
	defer s.close()
	if len(s.found) != 1 {
		return nil, fmt.Errorf("the network namespace in which natwarden runs was not found: %v", s.blind)
	}
	l, err := lookAt(ctx, s, 0)
	if err != nil {
		return nil, err
	}
	defer l.close()
	out := make([]string, len(closed))
	engine := path.NewEngine(l.world(ctx, 0))
	for i := range closed {
		c := &closed[i]
		if out[i], err = l.opened(engine, c); err != nil {
			return nil, err
		}
	}
	connectToo(ctx, closed, out)
	return out, nil
}

// connectToo tries, side by side, the ports that nobody answers by the rules.
func connectToo(ctx context.Context, closed []host.Closed, out []string) {
	var wait sync.WaitGroup
	for i := range closed {
		if out[i] != "" {
			continue
		}
		wait.Go(func() {
			if takesConnection(ctx, &closed[i]) {
				out[i] = "this host itself can still connect to it"
			}
		})
	}
	wait.Wait()
}

// takesConnection tries the port for real. Packets of the host itself do not pass
// the rules for packets from outside: so it only adds to what the walk says.
func takesConnection(ctx context.Context, c *host.Closed) bool {
	if c.Proto != host.TCP || !c.Address.IsValid() || c.From.IsValid() {
		return false
	}
	return smoke.Connects(ctx, netip.AddrPortFrom(c.Address, c.Port).String(), connectTime)
}

// opened follows the packet that asks for the port, to each address and by each
// interface by which it may come. What is not certain is not closed.
func (l *looked) opened(engine *path.Engine, c *host.Closed) (string, error) {
	for _, to := range l.addressesOf(c) {
		for _, i := range l.space.Ifaces {
			if i.Loopback {
				continue
			}
			p := path.Packet{Proto: c.Proto, Port: c.Port, From: c.From, To: to, In: i.Name}
			if err := l.complete(&p, &explanation{}); err != nil {
				return "", err
			}
			for _, o := range engine.Follow(p).Outcomes {
				if o.Kind != path.Nobody {
					return stillWords(&p, &o), nil
				}
			}
		}
	}
	return "", nil
}

// addressesOf are those that packets for a port may bear: those of the host that
// can be reached from outside, unless the policy names one.
func (l *looked) addressesOf(c *host.Closed) (out []netip.Addr) {
	if c.Address.IsValid() {
		return []netip.Addr{c.Address}
	}
	for _, text := range l.space.Addrs {
		a, err := netip.ParseAddr(text)
		if err == nil && !a.IsLoopback() && (!c.From.IsValid() || c.From.Is4() == a.Is4()) {
			out = append(out, a)
		}
	}
	return out
}

func stillWords(p *path.Packet, o *path.Outcome) string {
	text := ""
	switch o.Kind {
	case path.Unknown:
		text = "whether somebody answers packets " + packetWords(p) + " is not known: " + o.Reason
	default:
		text = o.AnsweredBy + " still answers packets " + packetWords(p)
	}
	if o.Condition != "" {
		text += " where " + o.Condition
	}
	return strings.TrimSpace(text)
}
