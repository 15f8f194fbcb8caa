package main

import (
	"github.com/spf13/cobra"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/policy"
)

func newPolicyShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "show the policy as natwarden understood it",
		Long:  "Shows the policy that would be used, as natwarden understood it." + exitStatus(nil, exitOK, exitError, exitUsage, exitPolicy),
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return runPolicyShow(a) },
	}
}

func runPolicyShow(a *app) error {
	pol, err := a.policyOrBuiltin()
	if err != nil {
		return err
	}
	if a.json() {
		return writeJSON(a.out, policyJSON(pol))
	}
	a.page().writePolicy(pol)
	return nil
}

// entryJSON is an entry for programs.
type entryJSON struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"` // redirect, listener
	Match  string `json:"match"`
	Reason string `json:"reason"`
	Owner  string `json:"owner"`
	Until  string `json:"until"` // YYYY-MM-DD or permanent
	Review string `json:"review"`
	Line   int    `json:"line"`
}

// changeJSON is the key change of the policy for programs.
type changeJSON struct {
	Windows        []string `json:"windows"` // in words: "Mon-Fri 22:00-04:00 Europe/Berlin"
	Approvals      int      `json:"approvals"`
	AllowedSigners string   `json:"allowed_signers"`
}

// testJSON is a smoke test, or a port that is to be closed, for programs.
type testJSON struct {
	ID   string `json:"id"`
	Test string `json:"test"`
	Line int    `json:"line"`
}

func testsJSON(tests []host.Probe) []testJSON {
	out := []testJSON{}
	for i := range tests {
		out = append(out, testJSON{tests[i].ID, tests[i].String(), tests[i].Line})
	}
	return out
}

func closedJSON(closed []host.Closed) []testJSON {
	out := []testJSON{}
	for i := range closed {
		out = append(out, testJSON{closed[i].ID, closed[i].String(), closed[i].Line})
	}
	return out
}

func policyJSON(pol *policy.Policy) any {
	entries := []entryJSON{}
	add := func(kind string, e *policy.Entry) {
		entries = append(entries, entryJSON{e.ID, kind, e.Words, e.Reason, e.Owner, e.Until(), e.Review, e.Line})
	}
	for i := range pol.Redirects {
		add("redirect", &pol.Redirects[i].Entry)
	}
	for i := range pol.Listeners {
		add("listener", &pol.Listeners[i].Entry)
	}
	limits := map[string]int{}
	if most := pol.Limits.RemoveAtMost; most != nil {
		limits["remove_at_most"] = *most
	}
	return struct {
		SchemaVersion int               `json:"schema_version"`
		Policy        audit.PolicyRef   `json:"policy"`
		Defaults      map[string]string `json:"defaults"`
		Limits        map[string]int    `json:"limits"`
		Change        changeJSON        `json:"change"`
		Smoke         []testJSON        `json:"smoke"`
		Closed        []testJSON        `json:"closed"`
		Entries       []entryJSON       `json:"entries"`
	}{audit.SchemaVersion, audit.PolicyRef{Path: pol.Path, SHA256: pol.SHA256},
		map[string]string{"redirects": pol.Defaults.Redirects, "listeners": pol.Defaults.Listeners, "latent": pol.Defaults.Latent}, limits,
		changeJSON{windowWords(&pol.Change), pol.Change.Approvals, pol.Change.AllowedSigners},
		testsJSON(pol.Smoke), closedJSON(pol.Closed), entries}
}
