package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/policy"
)

func newPolicy(a *app) *cobra.Command {
	return group("policy", "Write, check and show the allowlist.", newPolicyInit(a), newPolicyLint(a), newPolicyShow(a), newPolicySchema(a))
}

func newPolicySchema(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print the JSON Schema of the policy file, for editors",
		Long: "Prints the JSON Schema (draft 2020-12) of the policy file, for editors." +
			exitStatus(nil, exitOK, exitError, exitUsage),
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(policy.Schema())
			return err
		},
	}
}

func newPolicyLint(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "lint",
		Short: "check the policy file and tell entries that want a hand",
		Long: "Checks the policy file and shows every mistake at once with its place. Of a good\n" +
			"one it tells entries that are expired, expire within 14 days, wait or are due for\n" +
			"review, or overlap; as root it also looks at the host and tells those that allow\n" +
			"nothing there." +
			exitStatus(map[int]string{exitOK: "nothing wants a hand now", exitViolations: "some entry wants a hand", exitError: "an error"},
				exitOK, exitError, exitViolations, exitUsage, exitPolicy),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPolicyLint(cmd.Context(), a) },
	}
}

func runPolicyLint(ctx context.Context, a *app) error {
	pol, err := a.namedPolicy()
	if err != nil {
		return err
	}
	used, err := a.usedEntries(ctx, pol)
	if err != nil {
		return err
	}
	findings := append(policy.Lint(pol, used, time.Now()), policy.LintFiles(pol)...)
	slices.SortStableFunc(findings, func(a, b policy.Finding) int { return cmp.Compare(a.Line, b.Line) })
	code := exitOK
	for _, f := range findings {
		if f.Level == policy.Warning {
			code = exitViolations
		}
	}
	if err := a.showFindings(pol, findings, code); err != nil {
		return err
	}
	return conclude(code)
}

// namedPolicy is policyFile for verbs that need one: the mistakes of the file
// are what lint is for, so they come without a hint to lint.
func (a *app) namedPolicy() (*policy.Policy, error) {
	pol, err := a.policyFile()
	if err != nil {
		var mistakes policy.Errors
		if errors.As(err, &mistakes) {
			return nil, hinted(mistakes, "docs/policy.md and natwarden policy schema describe the file")
		}
		return nil, err
	}
	if pol == nil {
		return nil, kindError{errPolicy, errors.New("there is no " + defaultPolicy),
			"natwarden policy init --policy " + defaultPolicy + " writes one; --policy FILE names another"}
	}
	return pol, nil
}

// usedEntries looks at the host for entries that allow something; nil where
// that may not be seen.
func (a *app) usedEntries(ctx context.Context, pol *policy.Policy) (map[string]bool, error) {
	if pol.Path == builtinPolicy {
		return nil, nil
	}
	if err := needRight("audit", unix.CAP_NET_ADMIN); err != nil {
		if !a.Quiet {
			a.note("not root: entries that allow nothing on this host are not told")
		}
		return nil, nil
	}
	s, err := a.openSpaces(ctx, netns.AllSpaces())
	if err != nil {
		return nil, err
	}
	defer s.close()
	report, err := look(ctx, s, nil, pol)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, x := range report.ExceptionsUsed {
		used[x.ID] = true
	}
	return used, nil
}

func (a *app) showFindings(pol *policy.Policy, findings []policy.Finding, code int) error {
	if a.json() {
		return writeJSON(a.out, lintJSON(pol, findings, code))
	}
	p := a.page()
	p.policyLine(pol)
	for _, f := range findings {
		p.finding(pol, f)
	}
	if len(findings) == 0 {
		p.paragraph(green, "Nothing wants a hand.")
	}
	return nil
}

// finding is one thing that lint tells, for programs.
type finding struct {
	Level string `json:"level"`
	ID    string `json:"id"`
	Line  int    `json:"line"`
	Text  string `json:"text"`
}

func lintJSON(pol *policy.Policy, findings []policy.Finding, code int) any {
	out := []finding{}
	for _, f := range findings {
		out = append(out, finding(f))
	}
	return struct {
		SchemaVersion int             `json:"schema_version"`
		ExitCode      int             `json:"exit_code"`
		Policy        audit.PolicyRef `json:"policy"`
		Findings      []finding       `json:"findings"`
	}{audit.SchemaVersion, code, audit.PolicyRef{Path: pol.Path, SHA256: pol.SHA256}, out}
}
