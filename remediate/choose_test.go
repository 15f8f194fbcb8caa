package remediate

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// element makes a row one of an element of a set or map.
func element(r host.Redirect, set, key string, anonymous bool) host.Redirect {
	r.Ref.Set, r.Ref.Key, r.Ref.Anonymous = set, []byte(key), anonymous
	return r
}

func judged(r host.Redirect, verdict string) host.Redirect {
	r.Verdict = verdict
	return r
}

func in(r host.Redirect, state string) host.Redirect {
	r.State = state
	return r
}

func rule(id, print string) host.Redirect { return row(id, "nf_tables", nat, print, 1) }

func TestChoose(t *testing.T) {
	elsewhere := rule("x", "x")
	elsewhere.Netns = "blue"
	route := host.Redirect{ID: "r", Mechanism: "route", Verdict: host.Violation, State: host.Active, Advice: "ip route del", Ref: &host.Ref{Backend: "nf_tables", Fingerprint: "r"}}
	service := host.Redirect{ID: "s", Mechanism: "ipvs", Verdict: host.Violation, State: host.Active, Ref: &host.Ref{Backend: "nf_tables", Fingerprint: "s"}}
	relay := host.Redirect{ID: "p", Mechanism: "relay", Verdict: host.Violation, State: host.Active, Advice: "stop socat"}
	boxed := relay
	boxed.ID, boxed.Process, boxed.Ref = "b", &host.Process{Container: "0123456789ab"}, &host.Ref{Backend: "process", Fingerprint: "b"}
	masquerade := in(judged(rule("m", "m"), host.Info), host.Inactive)
	masquerade.Info = true
	for _, c := range []struct {
		name string
		rows []host.Redirect
		o    Options
		want string // id=rule or id=set:key
		left string // id: part of why
	}{
		{"a container's process is no process", []host.Redirect{boxed}, Options{Include: []string{"processes"}}, "", "b: --include containers"},
		{"a container included", []host.Redirect{boxed}, Options{Include: []string{"containers"}}, "b=rule", ""},
		{"a rule", []host.Redirect{rule("a", "a")}, Options{}, "a=rule", ""},
		{"allowed, unreviewed and info stay", []host.Redirect{judged(rule("a", "a"), host.Allowed), judged(rule("b", "b"), host.Unreviewed), judged(rule("c", "c"), host.Info)}, Options{}, "", "b: waits for a person's review"},
		{"all elements: the rule", []host.Redirect{element(rule("a", "a"), "m", "1", false), element(rule("b", "a"), "m", "2", false)}, Options{}, "a=rule b=rule", ""},
		{"some elements: the element", []host.Redirect{element(rule("a", "a"), "m", "1", false), judged(element(rule("b", "a"), "m", "2", false), host.Allowed)}, Options{}, "a=m:1", ""},
		{"an element that does both", []host.Redirect{element(rule("a", "a"), "m", "1", true), judged(element(rule("b", "a"), "m", "1", true), host.Allowed)}, Options{}, "", "a: which is allowed"},
		{"a named map that two rules use", []host.Redirect{
			element(rule("a", "a"), "m", "1", false), judged(element(rule("b", "a"), "m", "2", false), host.Allowed),
			judged(element(row("c", "nf_tables", nat, "z", 2), "m", "1", false), host.Unreviewed)}, Options{}, "", "c: waits for a person's review; a: waits for review"},
		{"two rules with anonymous maps of one name", []host.Redirect{
			element(rule("a", "a"), "m", "1", true), judged(element(rule("b", "a"), "m", "2", true), host.Allowed),
			judged(element(row("c", "nf_tables", nat, "z", 2), "m", "1", true), host.Allowed)}, Options{}, "a=m:1", ""},
		{"no element, and something allowed", []host.Redirect{rule("a", "a"), judged(rule("b", "a"), host.Allowed)}, Options{}, "", "a: cannot be parted"},
		{"no element, and something that is info", []host.Redirect{rule("a", "a"), judged(rule("b", "a"), host.Info)}, Options{}, "a=rule", ""},
		{"only one of two", []host.Redirect{rule("a", "a"), rule("b", "b")}, Options{Only: []string{"b"}}, "b=rule", "a: not named by --only"},
		{"only one row of a rule", []host.Redirect{rule("a", "a"), rule("b", "a")}, Options{Only: []string{"b"}}, "", "a: not named; b: not to be ended"},
		{"only what is allowed", []host.Redirect{judged(rule("a", "a"), host.Allowed)}, Options{Only: []string{"a"}}, "", "a: no violation but allowed"},
		{"inactive stays", []host.Redirect{in(judged(rule("a", "a"), host.Info), host.Inactive)}, Options{}, "", ""},
		{"inactive included", []host.Redirect{in(judged(rule("a", "a"), host.Info), host.Inactive), masquerade}, Options{Include: []string{"inactive"}}, "a=rule", ""},
		{"inactive by all", []host.Redirect{in(judged(rule("a", "a"), host.Info), host.Latent)}, Options{Include: []string{"all"}}, "a=rule", ""},
		{"inactive and allowed", []host.Redirect{in(judged(rule("a", "a"), host.Allowed), host.Inactive)}, Options{Include: []string{"inactive"}}, "", ""},
		{"latent violation", []host.Redirect{in(rule("a", "a"), host.Latent)}, Options{}, "", "a: --include inactive"},
		{"unknown violation", []host.Redirect{in(rule("a", "a"), host.Unknown)}, Options{}, "a=rule", ""},
		{"elsewhere", []host.Redirect{elsewhere}, Options{}, "", "x: blue"},
		{"a route", []host.Redirect{route}, Options{}, "", "r: --include routes"},
		{"an IPVS service", []host.Redirect{service}, Options{}, "", "s: --include routes"},
		{"an IPVS service included", []host.Redirect{service}, Options{Include: []string{"routes"}}, "s=rule", ""},
		{"a route, included", []host.Redirect{route}, Options{Include: []string{"routes"}}, "r=rule", ""},
		{"a relay", []host.Redirect{relay}, Options{Include: []string{"all"}}, "", "p: stop socat"},
		{"no editor", []host.Redirect{row("a", "x_tables", nat, "a", 1)}, Options{}, "", "a: x_tables"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := chooser{o: c.o, scope: map[string]bool{"": true}, backends: map[string]bool{"nf_tables": true, "process": true}}
			got, err := ch.choose(c.rows)
			if err != nil {
				t.Fatal(err)
			}
			if words := choicesInWords(got); words != c.want {
				t.Errorf("chose %q, want %q", words, c.want)
			}
			checkLeft(t, ch.left, c.left)
		})
	}
}

func choicesInWords(choices []choice) string {
	var out []string
	for _, c := range choices {
		what := "rule"
		if c.ref.Set != "" {
			what = c.ref.Set + ":" + string(c.ref.Key)
		}
		out = append(out, c.row.ID+"="+what)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func checkLeft(t *testing.T, left []Left, want string) {
	t.Helper()
	var wants []string
	if want != "" {
		wants = strings.Split(want, "; ")
	}
	if len(left) != len(wants) {
		t.Fatalf("left %+v, want %q", left, want)
	}
	for i, w := range wants {
		id, why, _ := strings.Cut(w, ": ")
		if left[i].ID != id || !strings.Contains(left[i].Why, why) {
			t.Errorf("left %+v, want %q", left[i], w)
		}
	}
}

func TestAnUnknownIDIsAnError(t *testing.T) {
	ch := chooser{o: Options{Only: []string{"a", "typo"}}}
	if _, err := ch.choose([]host.Redirect{rule("a", "a")}); err == nil || !strings.Contains(err.Error(), "typo") {
		t.Error(err)
	}
}

func TestThePlanSaysWhoMayMakeItAgain(t *testing.T) {
	nft, legacy, rows := web()
	rows[0].Owner, rows[0].Advice = &host.Owner{Kind: "docker"}, "end it in Docker"
	o := options(t)
	o.DryRun = true
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, s := range r.Steps {
		if slices.Contains(s.IDs, rows[0].ID) && s.Manager == "docker made it and may make it again; end it in Docker" {
			told++
		} else if s.Manager != "" {
			t.Errorf("%+v: nobody is known to have made it", s)
		}
	}
	if told != 1 || len(r.Guards) > 0 {
		t.Errorf("%+v", r)
	}
}
