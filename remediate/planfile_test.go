package remediate

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/rollback"
)

// planned makes a plan file of the host of web, and the host.
func planned(t testing.TB, o Options) (f *PlanFile, nft *kernel, editors []change.Editor, rows []host.Redirect) {
	t.Helper()
	nft, legacy, rows := web()
	editors = []change.Editor{nft, legacy}
	o.DryRun = true
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	if err != nil {
		t.Fatal(err)
	}
	made, err := r.PlanFile(o, o.PolicySHA256, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := made.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if f, err = ParsePlanFile(data); err != nil {
		t.Fatal(err)
	}
	return f, nft, editors, rows
}

func TestAPlanIsCarriedOutAsItStands(t *testing.T) {
	o := options(t)
	var nft *kernel
	var editors []change.Editor
	var rows []host.Redirect
	o.Exactly, nft, editors, rows = planned(t, o)
	nft.places["ip nat OTHER"] = []string{"x"} // elsewhere: it does not matter
	rows = append(rows, row("id-x", "nf_tables", "ip nat OTHER", "x", 1))
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	if err != nil || r.Status != Done || r.ExitCode != exitViolations || len(r.Left) != 1 || r.Left[0].Why != "it is not in the plan" {
		t.Fatalf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, "a", "d")
	wantPlaces(t, nft, "ip nat OTHER", "x")
}

// meddled is a kernel in which somebody writes right before the first transaction.
type meddled struct {
	*kernel
	write func(*kernel)
}

func (m *meddled) Edit(ctx context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	if m.write != nil {
		m.write(m.kernel)
		m.generation++
		m.write = nil
	}
	return m.kernel.Edit(ctx, generation, steps)
}

// Between the last look and the transaction others may write as well: beside the
// steps of a plan that was reviewed they must not, elsewhere they may.
func TestAPlanThatIsOvertakenIsCarriedOutExactlyOrNotAtAll(t *testing.T) {
	for name, c := range map[string]struct {
		write func(*kernel)
		code  int
		want  []string
	}{
		"beside":    {func(k *kernel) { k.places[nat] = append([]string{"z"}, k.places[nat]...) }, exitRefused, []string{"z", "a", "b", "c", "d"}},
		"elsewhere": {func(k *kernel) { k.places["ip nat OTHER"] = []string{"x"} }, exitOK, []string{"a", "d"}},
	} {
		o := options(t)
		f, nft, editors, rows := planned(t, o)
		nft.generation, o.Exactly = 7, f
		editors[0] = &meddled{nft, c.write}
		r, err := Run(context.Background(), rows, nil, here(), editors, o)
		if r.ExitCode != c.code {
			t.Errorf("%s: %+v %v", name, r, err)
		}
		wantPlaces(t, nft, nat, c.want...)
	}
}

func TestAStalePlanIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		alter func(k *kernel, rows *[]host.Redirect, o *Options)
		want  string
	}{
		"a rule came beside":   {func(k *kernel, _ *[]host.Redirect, _ *Options) { k.places[nat] = append(k.places[nat], "z") }, "ip nat PREROUTING: 0 gone, 1 new"},
		"the order changed":    {func(k *kernel, _ *[]host.Redirect, _ *Options) { k.places[nat] = []string{"d", "b", "c", "a"} }, "the order changed"},
		"a redirect is gone":   {func(_ *kernel, rows *[]host.Redirect, _ *Options) { *rows = (*rows)[1:] }, "is no longer there"},
		"the policy allows it": {func(_ *kernel, rows *[]host.Redirect, _ *Options) { (*rows)[0].Verdict = host.Allowed }, "not possible any more"},
		"it was reworded": {func(_ *kernel, _ *[]host.Redirect, o *Options) {
			o.Exactly.Groups[0].Steps[0].Before.Text = "rule harmless"
		}, `not "rule harmless"`},
		"another policy": {func(_ *kernel, _ *[]host.Redirect, o *Options) { o.PolicySHA256 = "beef" }, "another policy"},
		"another host": {func(_ *kernel, _ *[]host.Redirect, o *Options) {
			o.Exactly.Origin.BootID, o.Exactly.Origin.Host = "x", "other"
		}, "on host other"},
		"another machine with this boot id": {func(_ *kernel, _ *[]host.Redirect, o *Options) { o.Exactly.Origin.Machine = "0123456789abcdef" }, "another /etc/machine-id"},
		"another namespace":                 {func(_ *kernel, _ *[]host.Redirect, o *Options) { o.Exactly.Origin.Netns[0].Ino++ }, "not the one that the plan was made for"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			f, nft, editors, rows := planned(t, o)
			o.Exactly = f
			c.alter(nft, &rows, &o)
			r, err := Run(context.Background(), rows, nil, here(), editors, o)
			if err == nil || r.ExitCode != exitRefused || !strings.Contains(err.Error(), c.want) || nft.edits > 0 {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
}

// The host changes between the look at it and the lock.
func TestAPlanThatGoesStaleUnderTheLockIsRefused(t *testing.T) {
	o := options(t)
	f, nft, editors, rows := planned(t, o)
	o.Exactly = f
	start := nft.worlds
	nft.onWorld = func(n int) {
		if n == start+2 {
			nft.places[nat] = append([]string{"new"}, nft.places[nat]...)
		}
	}
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	if err == nil || r.ExitCode != exitRefused || nft.edits > 0 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestPlanFilesThatAreNotAsWritten(t *testing.T) {
	f, _, _, _ := planned(t, options(t))
	good, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, alter := range map[string]func(string) string{
		"an unknown key":    func(s string) string { return strings.Replace(s, `"kind"`, `"more": 1, "kind"`, 1) },
		"behind it":         func(s string) string { return s + "{}" },
		"a blank behind it": func(s string) string { return s + " " },
		"a key twice": func(s string) string {
			return strings.Replace(s, `"irreversible": false`, `"irreversible": true, "irreversible": false`, 1)
		},
		"a key that only we take": func(s string) string {
			return strings.Replace(s, `"irreversible": false`, `"irreversible": false, "IRREVERSIBLE": true`, 1)
		},
		"other groups for others": func(s string) string { return strings.Replace(s, `"groups": [`, `"groups": [], "Groups": [`, 1) },
		"torn":                    func(s string) string { return s[:len(s)/2] },
		"another kind":            func(s string) string { return strings.Replace(s, planFileKind, "x", 1) },
		"a later form":            func(s string) string { return strings.Replace(s, `"schema_version": 1`, `"schema_version": 2`, 1) },
		"it shows a lie":          func(s string) string { return strings.Replace(s, `"before": "rule b"`, `"before": "rule harmless"`, 1) },
		"it shows less": func(s string) string {
			var f PlanFile
			if err := json.Unmarshal([]byte(s), &f); err != nil {
				t.Fatal(err)
			}
			f.Steps = f.Steps[1:]
			out, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		},
		"an unknown action": func(s string) string { return strings.ReplaceAll(s, `"action": "delete"`, `"action": "exec"`) },
	} {
		bad := alter(string(good))
		if bad == string(good) {
			t.Fatalf("%s: nothing was altered", name)
		}
		if _, err := ParsePlanFile([]byte(bad)); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func FuzzPlanFile(f *testing.F) {
	plan, _, _, _ := planned(f, Options{})
	data, err := plan.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePlanFile(data)
		if err != nil {
			return
		}
		for _, g := range p.Groups {
			for _, s := range g.Steps {
				if s.Object() == nil {
					t.Error("a step without an object went through")
				}
			}
		}
		if again, err := p.Marshal(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("what was read is written otherwise: %v", err)
		}
	})
}

// A comment may hold bytes that JSON cannot.
func TestAPlanWithBytesThatAreNoUTF8(t *testing.T) {
	f, _, _, _ := planned(t, options(t))
	f.Groups[0].Steps[0].Before.Text = "rule \xff\xfe <&>\u2028"
	f.Steps = f.shown()
	data, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePlanFile(data); err != nil {
		t.Error(err)
	}
}

func TestWithoutAMachineIDARestartEndsThePlan(t *testing.T) {
	here := rollback.Origin{Host: "web1", BootID: "a"}
	for _, c := range []struct {
		made rollback.Origin
		want string
	}{
		{here, ""},
		{rollback.Origin{Host: "web1", BootID: "b"}, "no /etc/machine-id"},
		{rollback.Origin{Host: "web2", BootID: "a"}, "on host web2"},
		{rollback.Origin{Host: "web1", BootID: "a", Machine: "x"}, "another /etc/machine-id"},
	} {
		if got := (&PlanFile{Origin: c.made}).foreign(here); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.made, got, c.want)
		}
	}
	here.Machine = "x"
	if got := (&PlanFile{Origin: rollback.Origin{Host: "web1", BootID: "b", Machine: "x"}}).foreign(here); got != "" {
		t.Errorf("a restart alone: %q", got)
	}
}
