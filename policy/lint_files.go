package policy

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// SignersLimit is the largest allowed_signers file that is read, in bytes.
const SignersLimit = 1 << 20

// LintFiles tells what Lint cannot know from the policy alone: files that it
// names and that are missing, that others can write, or that cannot do what it asks for.
func LintFiles(p *Policy) []Finding {
	l := linter{}
	l.signers(&p.Change)
	for i := range p.Smoke {
		l.probe(&p.Smoke[i])
	}
	return l.findings
}

// CertificatesLimit is the largest file of certificates that is read, in bytes.
const CertificatesLimit = 4 << 20

// probe looks at the files that a smoke test needs.
func (l *linter) probe(p *host.Probe) {
	var err error
	switch {
	case len(p.Command) > 0:
		err = TrustedProgram(p.Command[0])
	case p.HTTP != nil && p.HTTP.CA != "":
		_, err = ReadTrusted(p.HTTP.CA, CertificatesLimit)
	}
	if err != nil {
		l.unusable(p.ID, p.Line, "smoke test cannot pass", err)
	}
}

func (l *linter) signers(c *Change) {
	if c.AllowedSigners == "" {
		return
	}
	data, err := ReadTrusted(c.AllowedSigners, SignersLimit)
	if err != nil {
		l.unusable("change", c.Line, "nobody can approve", err)
		return
	}
	if n, counted := countSigners(string(data)); counted && n < c.Approvals {
		l.about(Warning, "change", c.Line, "asks for %d approvals, and %s names %d signers", c.Approvals, c.AllowedSigners, n)
	}
	if c.Approvals == 0 {
		l.about(Note, "change", c.Line, "has allowed_signers, and nobody is asked: approvals is missing")
	}
}

// unusable tells of a file that natwarden will not use. One that only root may
// see is no fault of the policy's.
func (l *linter) unusable(id string, line int, what string, err error) {
	if errors.Is(err, fs.ErrPermission) {
		l.about(Note, id, line, "not looked at: %v", err)
		return
	}
	l.about(Warning, id, line, "%s: %v", what, err)
}

// countSigners counts lines with different principals. Not counted is a file that
// allows whole groups: by a pattern or a certificate authority.
func countSigners(text string) (n int, counted bool) {
	known := map[string]bool{}
	for line := range strings.Lines(text) {
		who, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if who == "" || strings.HasPrefix(who, "#") {
			continue
		}
		if strings.ContainsAny(who, "*?") || strings.Contains(rest, "cert-authority") {
			return 0, false
		}
		known[who] = true
	}
	return len(known), true
}
