package binaries

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// fake makes a folder with a program of the given text under a name, and a
// link to it.
func fake(t *testing.T, program, link, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if program != link {
		if err := os.Symlink(program, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBackends(t *testing.T) {
	cases := []struct {
		name, program, link, text string
		version, backend          string
		fails                     bool
	}{
		{"legacy", "xtables-legacy-multi", "iptables", "echo 'iptables v1.8.9 (legacy)'", "1.8.9", "x_tables", false},
		{"nft", "xtables-nft-multi", "ip6tables", "echo 'ip6tables v1.8.9 (nf_tables)'", "1.8.9", "nf_tables", false},
		{"old", "iptables", "iptables", "echo 'iptables v1.4.21'", "1.4.21", "x_tables", false},
		{"crashing", "xtables-nft-multi", "iptables", "kill -SEGV $$", "", "nf_tables", true},
		{"no iptables", "iptables", "iptables", "echo hello", "", "", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := installed(context.Background(), []string{fake(t, c.program, c.link, c.text)})
			if len(got) != 1 || got[0].Version != c.version || got[0].Backend != c.backend || (got[0].Why != "") != c.fails {
				t.Errorf("installed: %+v", got)
			}
		})
	}
}

func TestABrokenLinkIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/nonexistent", filepath.Join(dir, "iptables")); err != nil {
		t.Fatal(err)
	}
	if got := installed(context.Background(), []string{dir, dir, "/nonexistent"}); len(got) != 1 || got[0].Why == "" {
		t.Errorf("installed: %+v", got)
	}
}
