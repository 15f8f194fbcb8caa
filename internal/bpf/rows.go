package bpf

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// Place is where a program stands, for a row.
type Place struct {
	Mechanism, Kind string
	Direction       string // inbound or outbound
	Words           string // stays the same over restarts: "clsact h0 ingress pref 10"
	Program, Link   uint32
	Latent          string // why nothing reaches it now; "" where something does
	// Innocent says why no program can redirect from this place; "" where one may.
	Innocent string
}

// Row makes the row of a program at a place: information where its code shows
// that it cannot redirect, else a redirect of which nobody knows where to.
func (c *Catalog) Row(ctx context.Context, at Place) (host.Redirect, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.program(at.Program)
	if err != nil {
		return host.Redirect{}, err
	}
	r := host.Redirect{Mechanism: at.Mechanism, Kind: at.Kind, State: host.Unknown, Direction: at.Direction, Family: host.Both,
		Proto: "any", Ports: "any", Conditions: []string{}, To: []string{}, Match: &host.Match{}, Tag: p.Tag}
	r.Evidence = append([]string{at.Words}, p.facts()...)
	if at.Link != 0 {
		r.Evidence = append(r.Evidence, fmt.Sprintf("attached through link %d", at.Link))
	}
	r.Evidence = append(r.Evidence, c.kept(ctx).words(ctx, at.Program, at.Link)...)
	r.Pin = c.pinOf(ctx, at)
	c.decide(ctx, &r, p, at)
	r.Content = p.Tag + " " + at.Words
	return r, nil
}

func (c *Catalog) decide(ctx context.Context, r *host.Redirect, p *Program, at Place) {
	j := Judgement{Harmless: true, Why: at.Innocent}
	if at.Innocent == "" {
		j = c.judgement(ctx, p)
	}
	switch {
	case j.Harmless:
		r.Info, r.State = true, host.Active
		r.Why = []string{j.Why}
	case at.Latent != "":
		r.State = host.Latent
		r.Why = []string{at.Latent, "what the program does cannot be seen: " + j.Why}
	default:
		r.Why = []string{"what the program does cannot be seen: " + j.Why}
	}
	if r.Info && at.Latent != "" {
		r.State = host.Latent
		r.Why = append(r.Why, at.Latent)
	}
}

// pinOf is the first path that the link, or else the program, is pinned to.
func (c *Catalog) pinOf(ctx context.Context, at Place) string {
	k := c.kept(ctx)
	if at.Link != 0 && len(k.linkPins[at.Link]) > 0 {
		return k.linkPins[at.Link][0]
	}
	if pins := k.programPins[at.Program]; len(pins) > 0 {
		return pins[0]
	}
	return ""
}

// row makes the row of an attachment.
func (c *Catalog) row(ctx context.Context, a Attachment) (host.Redirect, error) {
	at := Place{Mechanism: Backend, Kind: a.Kind, Direction: direction(a), Words: a.Place(), Program: a.Program, Link: a.Link, Innocent: innocent(a)}
	if a.Kind == Netkit {
		at.Kind = TCX // the contract knows both as one kind
	}
	if a.down {
		at.Latent = "interface " + a.Dev + " is down"
	}
	r, err := c.Row(ctx, at)
	if err != nil {
		return r, err
	}
	a.LinkPins = c.linkPins(ctx, a.Link)
	key, err := json.Marshal(a)
	if err != nil {
		return r, fmt.Errorf("writing %s down: %w", a.Place(), err)
	}
	r.Ref = &host.Ref{Backend: Backend, Table: a.Kind, Chain: a.Place(), Fingerprint: a.Fingerprint(), Key: key, Text: a.text()}
	r.Advice = a.advice()
	return r, nil
}

func (c *Catalog) linkPins(ctx context.Context, link uint32) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if link == 0 {
		return nil
	}
	return c.kept(ctx).linkPins[link]
}

func (a Attachment) text() string {
	name := a.Name
	if name == "" {
		name = "(no name)"
	}
	return fmt.Sprintf("%s program %s tag %s", a.Place(), name, a.Tag)
}

func (a Attachment) advice() string {
	switch {
	case a.Kind == Netfilter:
		return ""
	case len(a.LinkPins) > 0:
		return fmt.Sprintf("end what loaded it, then rm %s; or bpftool link detach id %d", host.ShellWord(a.LinkPins[0]), a.Link)
	case a.Link != 0:
		return fmt.Sprintf("end what loaded it, or bpftool link detach id %d", a.Link)
	case a.Kind == XDP:
		return "ip link set dev " + host.ShellWord(a.Dev) + " xdp off"
	case a.Kind == TCX:
		return fmt.Sprintf("bpftool net detach tcx_%s dev %s", a.Hook, host.ShellWord(a.Dev))
	case a.Kind == Cgroup:
		return fmt.Sprintf("bpftool cgroup detach %s %s id %d", host.ShellWord(a.Cgroup), a.Hook, a.Program)
	}
	return "end what loaded it"
}

func direction(a Attachment) string {
	if a.Kind == Cgroup || a.Hook == "egress" {
		return "outbound"
	}
	return "inbound"
}

// innocent says why programs of some hooks cannot redirect, whatever their code.
func innocent(a Attachment) string {
	switch {
	case a.Kind == Netfilter:
		return "a netfilter program can only accept or drop: it may not write packets, and the kernel lets it choose no destination"
	case a.Kind != Cgroup:
		return ""
	}
	switch a.Hook {
	case "getpeername4", "getpeername6", "getsockname4", "getsockname6", "recvmsg4", "recvmsg6":
		return "this hook changes only which address a process is told, never where packets go"
	case "post_bind4", "post_bind6":
		return "this hook can only refuse a bind"
	case "sock_ops":
		return "this hook watches and tunes connections; what it puts into a sockmap is another program's"
	}
	return ""
}
