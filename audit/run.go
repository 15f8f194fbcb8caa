package audit

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/owner"
	"github.com/natwarden/natwarden/internal/path"
	"github.com/natwarden/natwarden/internal/portmap"
	"github.com/natwarden/natwarden/internal/walk"
	"github.com/natwarden/natwarden/policy"
)

// Run reads every space through every source, judges what it found and makes
// the report. What could not be read stands in Blind; only a cancelled context is an error.
func Run(ctx context.Context, in Input, pol *policy.Policy, now time.Time) (*Report, error) {
	state := read(ctx, in)
	defer closeRoutes(state.Spaces)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading the host: %w", err)
	}
	r := &Report{
		SchemaVersion: SchemaVersion, Tool: in.Tool, TakenAt: now.UTC().Truncate(time.Second), Host: in.Host,
		Policy: PolicyRef{Path: pol.Path, SHA256: pol.SHA256}, Scope: in.Scope,
		Redirects: []host.Redirect{}, Listeners: []host.Listener{}, Ports: []PortRow{}, ExceptionsUsed: []Exception{},
		Blind: append([]host.Blind{}, state.Blind...), Doubts: append(append([]string{}, in.Doubts...), state.Doubts...),
	}
	r.Scope.Sources = state.Sources
	ids := numbers{}
	for _, space := range state.Spaces {
		r.addSpace(space, socketsRead(state), unheard(state), ids)
	}
	tellHops(r.Redirects, state.Spaces)
	r.judge(pol, now)
	r.notUnderstood()
	r.conclude()
	return r, nil
}

// addSpace adds the rows of one namespace.
func (r *Report) addSpace(space *host.Space, sockets bool, unheard string, ids numbers) {
	rows := append(walk.Redirects(space, walk.Options{SocketsRead: sockets}), inOrder(space.Redirects)...)
	ids.tell(rows) // before anything names a row by its id
	answers := portmap.Of(path.World{Netns: space.Netns, Space: space, Routes: space.Routes, Sockets: sockets}, rows)
	owners := owner.NewFinder()
	joinProcesses(rows, space)
	joinQueues(rows, space)
	tellStory(rows, space, unheard)
	oddities(rows)
	shutOff(rows, space)
	sideBySide(len(rows), func(i int) {
		rows[i].Owner = owners.Of(&rows[i])
		if advice := owner.Advice(&rows[i]); advice != "" {
			rows[i].Advice = advice // who made it knows better than who found it
		} else {
			locate(&rows[i])
		}
	})
	if len(r.Redirects) == 0 && rows != nil {
		r.Redirects = rows // the usual case, one namespace: a long list is not copied
	} else {
		r.Redirects = append(r.Redirects, rows...)
	}
	r.Listeners = append(r.Listeners, space.Listeners...)
	if space.Unreached == "" { // else nobody outside is answered
		r.Ports = append(r.Ports, portRows(space.Netns, rows, space.Listeners, answers)...)
	}
}

func socketsRead(s *host.State) bool {
	for _, b := range s.Blind {
		if b.Source == "sockets" {
			return false
		}
	}
	return slices.ContainsFunc(s.Sources, func(x host.SourceState) bool { return x.Name == "sockets" && x.State == host.Read })
}

// closeRoutes ends the asking for routes.
func closeRoutes(spaces []*host.Space) {
	for _, s := range spaces {
		if c, ok := s.Routes.(io.Closer); ok {
			_ = c.Close()
		}
	}
}

// locate says in which namespace to do what a source advises: its commands are
// written for the namespace that it read.
func locate(r *host.Redirect) {
	if r.Netns != "" && r.Advice != "" && slices.Contains([]string{"route", "neighbour", "tc", "bpf", "ipvs"}, r.Mechanism) {
		r.Advice = "inside network namespace " + r.Netns + ": " + r.Advice
	}
}

// unheard names a source that could tell who marks packets and was left out or
// failed; "" where all were heard.
func unheard(s *host.State) string {
	for _, x := range s.Sources {
		if slices.Contains([]string{"nf_tables", "x_tables", "tc", "bpf"}, x.Name) && (x.State == host.Skipped || x.State == host.Failed) {
			return x.Name
		}
	}
	return ""
}

// judge asks the policy about every row.
func (r *Report) judge(pol *policy.Policy, now time.Time) {
	used := map[string]bool{}
	for i := range r.Redirects {
		row := &r.Redirects[i]
		verdict, by, note := pol.JudgeRedirect(row, now)
		row.Verdict, row.AllowedBy = verdict, by
		if note != "" {
			row.Why = append(row.Why, note)
		}
		used[by] = true
	}
	r.judgeBehind(pol, now)
	for i := range r.Listeners {
		l := &r.Listeners[i]
		verdict, by, note := pol.JudgeListener(l, now)
		if verdict == host.Violation && l.Unreached {
			verdict = host.Info
		}
		l.Verdict, l.AllowedBy, l.Advice = verdict, by, strings.Join(append(nonEmpty(note), l.Notes...), "; ")
		used[by] = true
	}
	r.ExceptionsUsed = append(r.ExceptionsUsed, exceptions(pol, used)...)
}

// notUnderstood makes redirects that nobody can judge blind spots, unless the
// policy names them. What its source said already is not said twice.
func (r *Report) notUnderstood() {
	type place struct{ source, what string }
	said := map[place]bool{}
	for _, b := range r.Blind {
		said[place{b.Source, b.What}] = true
	}
	for i := range r.Redirects {
		row := &r.Redirects[i]
		if row.State != host.Unknown || row.Verdict == host.Allowed || row.Verdict == host.Info {
			continue
		}
		b := blindSpot(row)
		if at := (place{b.Source, b.What}); !said[at] {
			said[at] = true
			r.Blind = append(r.Blind, b)
		}
	}
}

func blindSpot(row *host.Redirect) host.Blind {
	b := host.Blind{Source: row.Mechanism, What: row.ID, Why: "it may redirect and cannot be judged"}
	if row.Rule != nil {
		b.Source = row.Rule.Backend
		b.What = fmt.Sprintf("%s %s %s rule %d", row.Rule.Family, row.Rule.Table, row.Rule.Chain, row.Rule.Index)
		if row.Netns != "" {
			b.What = inSpace(row.Netns, b.What)
		}
	}
	if len(row.Why) > 0 {
		b.Why = row.Why[0]
	}
	return b
}

// conclude gives the report its verdict: a violation is one whatever could not
// be read; without one, something unread, or that waits for a person's review, keeps
// it from being compliant.
func (r *Report) conclude() {
	r.Status, r.ExitCode = Compliant, ExitCompliant
	if len(r.Blind) > 0 || r.has(host.Unreviewed) {
		r.Status, r.ExitCode = Incomplete, ExitIncomplete
	}
	if r.has(host.Violation) {
		r.Status, r.ExitCode = Violations, ExitViolations
	}
}

func (r *Report) has(verdict string) bool {
	return slices.ContainsFunc(r.Redirects, func(x host.Redirect) bool { return x.Verdict == verdict }) ||
		slices.ContainsFunc(r.Listeners, func(x host.Listener) bool { return x.Verdict == verdict })
}
