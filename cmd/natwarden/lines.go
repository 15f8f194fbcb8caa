package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/flow"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
	"github.com/natwarden/natwarden/internal/tether"
	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/remediate"
)

// lines are the connections that a change must not cut.
func (a *app) lines(ctx context.Context, s *spaces, pol *policy.Policy) []host.Line {
	asked := tether.Asked{Session: os.Getenv("SSH_CONNECTION"), Labels: s.labels(), Caller: remediate.GuardSSH, Remote: remediate.GuardRemote, Files: []string{a.StateDir}}
	if pol.Path != "" && pol.Path != policy.BuiltinPath {
		asked.Files = append(asked.Files, pol.Path)
	}
	return tether.Find(ctx, asked)
}

// follower says what becomes of a line's packets without the objects of a plan,
// by the walk of package path: each namespace is read once for one plan.
func follower(s *spaces) func(context.Context, string, *host.Line, []host.Ref) (host.Way, error) {
	return func(ctx context.Context, label string, line *host.Line, gone []host.Ref) (host.Way, error) {
		f, found, err := flowOf(ctx, line)
		if err != nil {
			return host.Way{}, err
		}
		own := !line.Placed || line.Netns == label
		way := host.Way{Seen: found || own, Asked: line.Here}
		if line.Dialed {
			way.Asked = line.There
		}
		if found {
			way.Asked = netip.AddrPortFrom(f.Orig.Dst, f.Orig.DstPort)
		}
		if !way.Seen || !line.There.IsValid() || !line.Here.IsValid() || !slices.ContainsFunc(gone, isRule) {
			return way, nil
		}
		l, err := lookAt(ctx, s.only(label), 0)
		if err != nil {
			return way, nil // then the extent of what goes decides
		}
		defer l.close()
		return l.twice(ctx, way, packetOf(line, f, found, own), reality(line, f, found, own), gone), nil
	}
}

func isRule(r host.Ref) bool { return r.Backend == "nf_tables" || r.Backend == "x_tables" }

// only is the scope of one namespace.
func (s *spaces) only(label string) *spaces {
	out := &spaces{scope: s.scope, blind: s.blind}
	for _, f := range s.found {
		if f.Label == label {
			out.found = append(out.found, f)
		}
	}
	return out
}

// flowOf finds the line among the tracked connections of the thread's namespace.
func flowOf(ctx context.Context, line *host.Line) (flow.Flow, bool, error) {
	if !line.There.IsValid() || !line.Here.IsValid() {
		return flow.Flow{}, false, nil
	}
	from, to := line.Here, line.There // of a connection that came in the tuple of its answers
	t := flow.Tuple{Proto: host.TCP, Src: from.Addr(), SrcPort: from.Port(), Dst: to.Addr(), DstPort: to.Port()}
	if line.Proto == "udp" {
		t.Proto = host.UDP
	}
	return flow.Find(ctx, t)
}

// packetOf is the first packet of a line, as if it were opened again.
func packetOf(line *host.Line, f flow.Flow, tracked, own bool) path.Packet {
	p := path.Packet{Proto: host.TCP, From: line.There.Addr(), SPort: line.There.Port(), To: line.Here.Addr(), Port: line.Here.Port()}
	if line.Proto == "udp" {
		p.Proto = host.UDP
	}
	if line.Dialed {
		p.From, p.SPort, p.To, p.Port = p.To, p.Port, p.From, p.SPort
	}
	if tracked {
		p.From, p.SPort, p.To, p.Port = f.Orig.Src, f.Orig.SrcPort, f.Orig.Dst, f.Orig.DstPort
	}
	p.Own = own && line.Dialed
	return p
}

// reality says whether an outcome is how the line does run: what the walk
// says of a change counts only where it is right about now.
func reality(line *host.Line, f flow.Flow, tracked, own bool) func(path.Outcome) bool {
	answerer := line.Here
	if line.Dialed {
		answerer = line.There
	}
	if tracked {
		answerer = netip.AddrPortFrom(f.Reply.Src, f.Reply.SrcPort)
	}
	return func(o path.Outcome) bool {
		switch {
		case o.Kind == path.Forwarded:
			return (!own || line.Dialed) && o.AnsweredBy == answerer.String()
		case o.Kind == path.Local && o.Listener != nil:
			return o.Listener.Port == answerer.Port() || o.Listener.Transparent
		}
		return false
	}
}

// twice follows a packet before and after a change.
func (l *looked) twice(ctx context.Context, way host.Way, p path.Packet, real func(path.Outcome) bool, gone []host.Ref) host.Way {
	before, err := l.explain(ctx, p)
	if err != nil {
		return way
	}
	way.Unmarked = !slices.ContainsFunc(before.answer.Steps, func(s path.Step) bool { return strings.Contains(s.Effect, "mark") })
	less, all := without(l.space, gone)
	if !all {
		return way // others changed the rules since the audit: then the extent of what goes decides
	}
	l.space = less
	l.spaces[l.entry] = l.space
	after, err := l.explain(ctx, p)
	if err != nil || !sure(before.answer) || !sure(after.answer) || !real(before.answer.Outcomes[0]) {
		return way
	}
	way.Certain, way.Before, way.After = true, answerWords(before.answer.Outcomes[0]), answerWords(after.answer.Outcomes[0])
	return way
}

func sure(a path.Answer) bool { return len(a.Outcomes) == 1 && a.Outcomes[0].Certain }

// answerWords says who answers.
func answerWords(o path.Outcome) string {
	switch {
	case o.Kind == path.Nobody:
		return "nobody (" + o.Reason + ")"
	case o.Listener == nil || len(o.Listener.Processes) == 0:
		return o.AnsweredBy
	}
	p := o.Listener.Processes[0]
	return fmt.Sprintf("%s (pid %d) on %s", p.Name, p.PID, o.AnsweredBy)
}
