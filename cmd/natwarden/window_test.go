package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/remediate"
	"github.com/natwarden/natwarden/rollback"
)

func windows(t *testing.T, text string) policy.Change {
	t.Helper()
	p, err := policy.Parse([]byte("version: 1\nchange: {windows: ["+text+"]}\n"), "p")
	if err != nil {
		t.Fatal(err)
	}
	return p.Change
}

const allDay = `{from: "00:00", to: "24:00", zone: UTC}`

func TestAClockThatIsNotToBeBelievedOpensNoWindow(t *testing.T) {
	start := time.Now()
	ask := func(o RemediateOptions, c policy.Change, set time.Duration) string {
		wall, steady := start.Round(0), start
		gate := o.windowGate(c, func() (time.Time, time.Time) { return wall, steady })
		wall, steady = wall.Add(time.Hour+set), steady.Add(time.Hour)
		return strings.Join(gate(context.Background()), "; ")
	}
	for set, want := range map[time.Duration]string{0: "", 50 * time.Second: "", 2 * time.Hour: "set by 2h0m0s", -5 * time.Minute: "set by -5m0s"} {
		if got := ask(RemediateOptions{}, windows(t, allDay), set); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("set by %s: %q", set, got)
		}
	}
	early := RemediateOptions{exactly: &remediate.PlanFile{Origin: rollback.Origin{Time: start.Add(2 * time.Hour)}}}
	if got := ask(early, windows(t, allDay), 0); !strings.Contains(got, "before the plan was made") {
		t.Error(got)
	}
	if got := ask(early, policy.Change{}, 2*time.Hour); got != "" {
		t.Errorf("without windows the clock does not matter: %s", got)
	}
	wall, steady := clocks()
	if later, now := clocks(); later.Sub(wall) < 0 || now.Sub(steady) < 0 || strings.Contains(wall.String(), "m=") || !strings.Contains(steady.String(), "m=") {
		t.Errorf("%s %s", wall, steady)
	}
}

func TestAClosedWindowSaysWhenTheNextOpens(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		`{days: Mon, from: "22:00", to: "23:00", zone: Europe/Berlin}`: "no change window is open; the next opens Mon 2026-11-23T22:00:00+01:00, in 9h0m",
		`{days: Wed, from: "12:59", to: "14:00", zone: UTC}`:           "no change window is open; the next opens Wed 2026-11-25T12:59:00Z, in 2d0h",
		`{date: 2026-11-22, from: "12:59", to: "14:00", zone: UTC}`:    "no change window of the policy opens any more",
		allDay: "",
	} {
		if got := strings.Join(closedWindow(windows(t, text), now), "; "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// A clock that was set back before natwarden began is told by the action log.
func TestAClockBeforeTheLastActionOpensNoWindow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	pol := &policy.Policy{Change: windows(t, allDay)}
	refusals := func() string {
		var all []string
		for _, g := range (&RemediateOptions{}).gatesOf(&app{Options: Options{StateDir: dir}}, pol) {
			all = append(all, g.Refuses(context.Background())...)
		}
		return strings.Join(all, "; ")
	}
	if got := refusals(); got != "" {
		t.Errorf("without a log: %s", got)
	}
	store, err := rollback.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, c := range []struct {
		ahead time.Duration
		want  string
	}{{30 * time.Second, ""}, {3 * time.Hour, "before the last action in natwarden's log"}, {0, ""}} {
		ahead, want := c.ahead, c.want
		if _, err := store.Append(rollback.Origin{}, rollback.Action{Time: time.Now().Add(ahead), Event: rollback.LogEnd}); err != nil {
			t.Fatal(err)
		}
		if got := refusals(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s ahead: %q, want %q", ahead, got, want)
		}
		if pol.Change.Windows = nil; refusals() != "" {
			t.Errorf("without windows the clock does not matter: %s", refusals())
		}
		pol.Change = windows(t, allDay)
	}
}
