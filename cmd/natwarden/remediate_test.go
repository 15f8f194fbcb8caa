package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/remediate"
)

// A guard that refuses the plan when it is to be asked about, and not a moment
// later (a window opens, a signature comes), does not have it carried out unasked.
func TestNothingIsDoneUnasked(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { type nat hook prerouting priority -100; tcp dport 80 dnat to 10.77.2.2:8080; }; }", "nft", "-f", "-")
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	asked := 0
	o := &RemediateOptions{NoConfirm: true, gates: []remediate.Gate{{Name: remediate.GuardWindow, Refuses: func(context.Context) []string {
		if asked++; asked > 1 {
			return nil
		}
		return []string{"no window is open"}
	}}}}
	var out, notes bytes.Buffer
	a := &app{streams: &streams{in: in, out: bufio.NewWriter(&out), notes: &notes}, Options: Options{Netns: []string{"current"}, Output: "text", StateDir: filepath.Join(t.TempDir(), "state")}}
	s.MustDo(t, func(ctx context.Context) error {
		spaces, err := a.openSpaces(ctx, netns.Scope{})
		if err != nil {
			return err
		}
		defer spaces.close()
		pol := policy.Builtin()
		report, err := look(ctx, spaces, nil, pol)
		if err != nil {
			return err
		}
		if code := exitCode(o.carryOut(ctx, a, spaces, report, pol)); code != exitRefused {
			t.Errorf("exit code %d", code)
		}
		return nil
	})
	if rules := s.MustRun(t, "", "nft", "list", "ruleset"); !strings.Contains(rules, "10.77.2.2:8080") {
		t.Errorf("it was carried out, and nobody was asked:\n%s%s", out.String(), notes.String())
	}
	if asked != 1 {
		t.Errorf("the guard was asked %d times", asked)
	}
}

// A host that cannot be read again after a change is no reason to end with 0
// and not to wait: what was not seen stays not seen, and the change is to be confirmed.
func TestUnreadAfterTheChange(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	r := &remediate.Result{Status: remediate.Done, ExitCode: exitBlind, Blind: []host.Blind{{Source: "sockets"}}}
	lookAgain(ctx, &spaces{}, policy.Builtin(), r)
	if len(r.Blind) != 1 || r.ExitCode != exitBlind || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "could not be read again") {
		t.Errorf("%+v", r)
	}
}
