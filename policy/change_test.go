package policy

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestApprovals(t *testing.T) {
	c := parsedPolicy(t, "version: 1\nchange: {approvals: 2, allowed_signers: /etc/natwarden/allowed_signers}").Change
	if c.Approvals != 2 || c.AllowedSigners != "/etc/natwarden/allowed_signers" || c.Line != 2 || len(c.Windows) != 0 {
		t.Errorf("%+v", c)
	}
	for text, want := range map[string]string{
		"approvals: 0, allowed_signers: /x":        "from 1 to 20, not 0",
		"approvals: 21, allowed_signers: /x":       "from 1 to 20, not 21",
		"approvals: -1, allowed_signers: /x":       "whole number",
		"approvals: '2', allowed_signers: /x":      "whole number",
		"approvals: 2":                             "approvals without allowed_signers",
		"approvals: 2, allowed_signers: ":          "must be text",
		"approvals: 2, allowed_signers: x":         `"x" is relative`,
		"approvals: 2, allowed_signers: [/x, /y]":  "must be text",
		"approvers: 2":                             `did you mean "approvals"`,
		"allowed_signers: /x, allowed_signers: /x": "duplicate key",
	} {
		_, err := Parse([]byte("version: 1\nchange: {"+text+"}\n"), "p")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "p:2:") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestLintLooksAtWhoMaySign(t *testing.T) {
	file := filepath.Join(t.TempDir(), "signers")
	for name, c := range map[string]struct {
		text, change string
		mode         os.FileMode
		want         string
	}{
		"enough":               {"# two\na@x ssh-ed25519 AAAA\n\nb@x ssh-ed25519 AAAB\n", "approvals: 2", 0o644, ""},
		"too few":              {"a@x ssh-ed25519 AAAA\na@x ssh-ed25519 AAAB\n", "approvals: 2", 0o644, "asks for 2 approvals, and FILE names 1 signers"},
		"a group":              {"*@x ssh-ed25519 AAAA\n", "approvals: 2", 0o644, ""},
		"an authority":         {"a,b cert-authority ssh-ed25519 AAAA\n", "approvals: 2", 0o644, ""},
		"others can write it":  {"a@x ssh-ed25519 AAAA\n", "approvals: 1", 0o622, "nobody can approve: reading FILE: FILE can be written by others"},
		"nobody is asked":      {"a@x ssh-ed25519 AAAA\n", "", 0o644, "approvals is missing"},
		"it is not there":      {"", "approvals: 1", 0, "nobody can approve: reading FILE: open FILE: no such file"},
		"without approvals ok": {"", "none", 0, ""},
	} {
		_ = os.Remove(file)
		if c.mode != 0 {
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
		}
		text := "change: {allowed_signers: " + file + ", " + c.change + "}"
		if c.change == "none" {
			text = "change: {}"
		}
		got := LintFiles(parsedPolicy(t, "version: 1\n"+text))
		want := strings.ReplaceAll(c.want, "FILE", file)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0].Line != 2 || !strings.Contains(got[0].Text, want)) {
			t.Errorf("%s: %+v, want %q", name, got, want)
		}
	}
}

func TestTrustedProgram(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		mode os.FileMode
		want string
	}{"good": {0o755, ""}, "open": {0o775, "written by others"}, "data": {0o644, "no program"}, "gone": {0, "no such file"}} {
		path := filepath.Join(dir, name)
		if c.mode != 0 {
			if err := os.WriteFile(path, nil, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := TrustedProgram(path); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := TrustedProgram(dir); err == nil {
		t.Error("a folder is no program")
	}
}

// Whoever is not root may check a policy; that he may not see a file says nothing about it.
func TestAFileThatOnlyRootMaySeeIsNoFault(t *testing.T) {
	l := linter{}
	l.unusable("a", 3, "it cannot pass", &fs.PathError{Op: "open", Path: "/x", Err: unix.EACCES})
	l.unusable("b", 4, "it cannot pass", &fs.PathError{Op: "open", Path: "/x", Err: unix.ENOENT})
	want := []Finding{{Note, "a", 3, "not looked at: open /x: permission denied"}, {Warning, "b", 4, "it cannot pass: open /x: no such file or directory"}}
	if !slices.Equal(l.findings, want) {
		t.Errorf("%+v", l.findings)
	}
}
