package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

func lint(t *testing.T, used map[string]bool, entries ...string) []string {
	t.Helper()
	p := parsedPolicy(t, "version: 1\nallow:\n  redirects:\n    - "+strings.Join(entries, "\n    - ")+"\n")
	out := []string{}
	for _, f := range Lint(p, used, today) {
		out = append(out, fmt.Sprintf("%s %s %d: %s", f.Level, f.ID, f.Line, f.Text))
	}
	return out
}

func TestLint(t *testing.T) {
	entry := func(id, rest string) string { return fmt.Sprintf("{id: %s, reason: r, owner: o, %s}", id, rest) }
	cases := []struct {
		name    string
		used    map[string]bool
		entries []string
		want    []string
	}{
		{"nothing", nil, []string{entry("a", "permanent: true, match: {ports: 80}")}, []string{}},
		{"expired", map[string]bool{}, []string{entry("a", "expires: 2026-11-22, match: {ports: 80}")},
			[]string{"warning a 4: expired on 2026-11-22: it allows nothing"}},
		{"its last day", nil, []string{entry("a", "expires: 2026-11-23, match: {ports: 80}")}, []string{"note a 4: expires on 2026-11-23"}},
		{"expiring", nil, []string{entry("a", "expires: 2026-12-06, match: {ports: 80}")}, []string{"note a 4: expires on 2026-12-06"}},
		{"not yet expiring", nil, []string{entry("a", "expires: 2026-12-07, match: {ports: 80}")}, []string{}},
		{"pending", map[string]bool{}, []string{entry("a", "permanent: true, review: pending, match: {ports: 80}")},
			[]string{"warning a 4: waits for review: it allows nothing until the line review: pending is removed"}},
		{"due", nil, []string{entry("a", "permanent: true, reviewed: 2026-10-23, review_every: 31d, match: {ports: 80}")},
			[]string{"warning a 4: was due for review on 2026-11-23 (reviewed 2026-10-23, every 31d)"}},
		{"due in months", nil, []string{entry("a", "permanent: true, reviewed: 2026-08-23, review_every: 3m, match: {ports: 80}")},
			[]string{"warning a 4: was due for review on 2026-11-23 (reviewed 2026-08-23, every 3m)"}},
		{"not due", nil, []string{entry("a", "permanent: true, reviewed: 2026-11-17, review_every: 1w, match: {ports: 80}")}, []string{}},
		{"reviewed tomorrow", nil, []string{entry("a", "permanent: true, reviewed: 2026-11-24, review_every: 1y, match: {ports: 80}")},
			[]string{"warning a 4: was reviewed on 2026-11-24, which is to come"}},
		{"unused", map[string]bool{"b": true}, []string{entry("a", "permanent: true, match: {ports: 80}"), entry("b", "permanent: true, match: {ports: 81}")},
			[]string{"note a 4: allowed nothing in the last audit"}},
		{"inside", nil, []string{entry("a", "permanent: true, match: {ports: 80, to: 10.0.0.1}"), entry("b", "permanent: true, match: {ports: 80-90, to: 10.0.0.0/8}")},
			[]string{"note a 4: lies inside entry b (line 5)"}},
		{"equal", nil, []string{entry("a", "permanent: true, match: {ports: 80}"), entry("b", "permanent: true, match: {ports: 80}")},
			[]string{"note b 5: lies inside entry a (line 4)"}},
		{"touching", nil, []string{entry("a", "permanent: true, match: {ports: 80-90}"), entry("b", "permanent: true, match: {ports: 85-95}")}, []string{}},
		{"pinned is not covered", nil, []string{entry("a", "permanent: true, match: {kind: dnat}"), entry("b", "permanent: true, match: {kind: dnat, id: x}")}, []string{}},
	}
	for _, c := range cases {
		if got := lint(t, c.used, c.entries...); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// A match that covers another must allow each row that the other allows.
func TestCoversAgreesWithContains(t *testing.T) {
	matches := []string{"ports: 80", "ports: 80-90", `ports: "!22"`, "ports: any", "kind: dnat", "kind: [dnat, redirect]", "proto: tcp", `proto: "!udp"`,
		`to: "10.0.5.10:8080"`, `to: "10.0.5.0/24"`, `to: "10.0.5.0/24:8080"`, "family: ip", "family: both", "id: 9f2c41d07a3b", "address: 0.0.0.0/0",
		"address: 10.0.0.0/8", "chain: PREROUTING", "owner: {kind: docker}", "in: eth0", `in: "eth*"`, "ports: 80, in: eth0", "kind: dnat, ports: 80, to: 10.0.5.10", `kind: dnat, to: "10.0.5.10:80"`}
	rows := []func(r *RedirectMatch) bool{}
	for _, change := range rowsForCovers(t) {
		r := web(change)
		e := extentOf(r)
		rows = append(rows, func(m *RedirectMatch) bool { return m.contains(r, &e) })
	}
	parsed := map[string]RedirectMatch{}
	for _, match := range matches {
		parsed[match] = withMatch(t, match).Redirects[0].Match
	}
	covering := 0
	for _, a := range matches {
		for _, b := range matches {
			ma, mb := parsed[a], parsed[b]
			if !ma.covers(&mb) {
				continue
			}
			covering++
			for i, contained := range rows {
				if contained(&mb) && !contained(&ma) {
					t.Errorf("%q is said to cover %q, but row %d is only in the second", a, b, i)
				}
			}
		}
	}
	if covering < len(matches)+10 {
		t.Errorf("only %d pairs cover each other: each covers itself, and some others", covering)
	}
}

func rowsForCovers(t *testing.T) []func(*host.Redirect) {
	return []func(*host.Redirect){nil, withPorts(t, "85"), withPorts(t, "any"), withPorts(t, "!22"), withPorts(t, "22"), unknown,
		to("10.0.5.10"), to("10.0.5.77:8080"), to(":*"), to(),
		func(r *host.Redirect) { r.Kind = "redirect" },
		func(r *host.Redirect) { r.Match.In.Names = []string{"eth0"} },
		func(r *host.Redirect) { r.Match.Address = addrs(t, "10.1.0.0/16") },
		func(r *host.Redirect) { r.Match.Protos = nil },
		func(r *host.Redirect) { r.Family, r.Match.Family = host.Both, host.Both }}
}
