package xtables_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipset"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
)

// ruleset is an entry of the index of shared rule sets.
type ruleset struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	File  string `json:"file"`
	Loads struct {
		Legacy bool `json:"legacy"`
	} `json:"loads_as_is"`
}

// corpus gives the shared rule sets of iptables, or skips.
func corpus(t *testing.T) (dir string, sets []ruleset) {
	t.Helper()
	dir = labtest.Shared(t, "corpora")
	index, err := os.Open(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	sets = []ruleset{ // every NAT target and many matches
		{ID: "xt-matrix v4", Kind: "ipt4", File: "../captures/xt-matrix/matrix.iptables-save"},
		{ID: "xt-matrix v6", Kind: "ipt6", File: "../captures/xt-matrix/matrix.ip6tables-save"},
	}
	in := bufio.NewScanner(index)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r ruleset
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(r.Kind, "ipt") && r.Loads.Legacy {
			sets = append(sets, r)
		}
	}
	return dir, sets
}

// names lets package xt write ipsets by their names.
type names map[uint16]string

func (n names) ByIndex(index uint16) (ipset.Set, bool) {
	name, ok := n[index]
	return ipset.Set{Name: name, Index: index}, ok
}

// Rule sets of other projects: every file is parsed, and what natwarden reads
// from the kernel is what iptables-legacy-save prints.
func TestRealRulesets(t *testing.T) {
	dir, sets := corpus(t)
	if len(sets) < 100 {
		t.Fatalf("the index has only %d rule sets of iptables", len(sets))
	}
	for _, r := range sets {
		text, err := os.ReadFile(filepath.Join(dir, r.File))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := xtables.ParseSave(strings.NewReader(string(text)), r.ID); err != nil {
			t.Error(err)
		}
		family, program := host.IP, "iptables-legacy"
		if r.Kind == "ipt6" {
			family, program = host.IP6, "ip6tables-legacy"
		}
		s := labtest.New(t, program)
		if out, err := s.Run(context.Background(), string(text), program+"-restore"); err != nil {
			t.Logf("%s: %v %s", r.ID, err, out)
			continue
		}
		d := read(t, s)
		want := uncommented(s.MustRun(t, "", program+"-save", "-c"))
		if got := uncommented(xtables.FamilyText(d, family, xt.Env{Sets: names(d.SetNames)})); got != want {
			t.Errorf("%s:\n%s", r.ID, differing(got, want))
		}
		if len(d.Blind) > 0 {
			t.Errorf("%s: blind %v", r.ID, d.Blind)
		}
		s.Close()
	}
}

// differing gives the lines in which two texts differ.
func differing(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	var b strings.Builder
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			b.WriteString("lacks " + w[i] + "\n")
		case i >= len(w):
			b.WriteString("has   " + g[i] + "\n")
		case g[i] != w[i]:
			b.WriteString("has   " + g[i] + "\nwant  " + w[i] + "\n")
		}
	}
	return b.String()
}
