package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/remediate"
	"github.com/natwarden/natwarden/rollback"
)

func newVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [CHANGE]",
		Short: "see whether what a change ended is still ended",
		Long: "Reads the host again and says whether each redirect that a change ended is still\n" +
			"gone: managers such as Docker or a boot may bring one back. Without CHANGE it\n" +
			"takes the newest one. It changes nothing." +
			exitStatus(map[int]string{
				exitOK:         "still ended, or there is no change to verify",
				exitViolations: "something is back",
				exitBlind:      "nothing is seen to be back, but something could not be read",
				exitError:      "an error",
			}, exitOK, exitError, exitViolations, exitBlind, exitUsage, exitPrivilege, exitPolicy),
		Args: atMostOne("change"),
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd.Context(), a, args) },
	}
}

// verification is what verify says.
type verification struct {
	SchemaVersion int              `json:"schema_version"`
	Status        string           `json:"status"` // compliant, violations, incomplete, nothing
	ExitCode      int              `json:"exit_code"`
	Change        string           `json:"change"`
	Ended         []string         `json:"ended"` // ids of the redirects that the change ended
	Back          []remediate.Left `json:"back"`
	Blind         []host.Blind     `json:"blind"`
}

func runVerify(ctx context.Context, a *app, args []string) error {
	if err := needRight("verify", unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	a.tellUnfinished()
	v := &verification{SchemaVersion: audit.SchemaVersion, Status: remediate.Nothing,
		Ended: []string{}, Back: []remediate.Left{}, Blind: []host.Blind{}}
	change, err := a.loadChange(args)
	if err != nil {
		return err
	}
	if change != nil {
		v.Change = change.ID
	}
	if change != nil && !change.IsRolledBack() && change.Plan.Restores == "" { // that ended nothing
		v.Ended = endedBy(change)
		if err := v.read(ctx, a, change); err != nil {
			return err
		}
	}
	if err := a.showVerification(v); err != nil {
		return err
	}
	return conclude(v.ExitCode)
}

// loadChange gives the named change, or the newest; nil where none was made.
func (a *app) loadChange(args []string) (*rollback.Change, error) {
	store, err := rollback.Open(a.StateDir)
	if errors.Is(err, rollback.ErrNoState) && len(args) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if len(args) == 1 {
		return store.Load(args[0])
	}
	c, err := store.Newest()
	if errors.Is(err, rollback.ErrUnknownID) {
		return nil, nil
	}
	return c, err
}

// endedBy gives the ids of the redirects that a change ended, in order.
func endedBy(c *rollback.Change) []string {
	ids := []string{}
	groups, _ := c.Begun()
	for _, g := range groups {
		for _, s := range g.Steps {
			ids = append(ids, s.IDs...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// read looks at the host for what should be gone. An id is the same as long as
// a redirect does the same at the same place, whatever its handle.
func (v *verification) read(ctx context.Context, a *app, c *rollback.Change) error {
	pol, err := a.policyOrBuiltin()
	if err != nil {
		return err
	}
	s, err := a.openSpaces(ctx, netns.AllSpaces())
	if err != nil {
		return err
	}
	defer s.close()
	report, err := look(ctx, s, nil, pol)
	if err != nil {
		return err
	}
	for i := range report.Redirects {
		r := &report.Redirects[i]
		if _, ended := slices.BinarySearch(v.Ended, r.ID); ended {
			v.Back = append(v.Back, remediate.Left{ID: r.ID, Why: "it is back: " + headline(r)})
		}
	}
	here, err := rollback.Here(version, time.Now(), nil)
	if err != nil {
		return err
	}
	v.Blind = append(unseenSpaces(c.Plan.Origin, here, s.found, !slices.Contains(s.scope.Values(), "all")), report.Blind...)
	v.judge()
	return nil
}

// unseenSpaces names the network namespaces that the change changed and that were
// not looked at: --netns leaves them out, or what bears their name is another one, as
// where natwarden was started elsewhere. One that is gone took its rules with it.
func unseenSpaces(then, here rollback.Origin, found []netns.Space, narrowed bool) []host.Blind {
	out := []host.Blind{}
	for _, changed := range then.Netns {
		what, why := "network namespace "+changed.Label, ""
		if changed.Label == "" {
			what = "the network namespace in which the change was made"
		}
		i := slices.IndexFunc(found, func(s netns.Space) bool { return s.Label == changed.Label })
		switch {
		case i < 0 && narrowed:
			why = "--netns leaves it out"
		case i >= 0 && then.SameBoot(here) && found[i].ID != (netns.ID{Dev: changed.Dev, Ino: changed.Ino}):
			why = "natwarden looks at another one: run verify where remediate ran"
		}
		if why != "" {
			out = append(out, host.Blind{Source: "scope", What: what, Why: why})
		}
	}
	return out
}

func (v *verification) judge() {
	switch {
	case len(v.Back) > 0:
		v.Status, v.ExitCode = audit.Violations, exitViolations
	case len(v.Blind) > 0:
		v.Status, v.ExitCode = audit.Incomplete, exitBlind
	default:
		v.Status, v.ExitCode = audit.Compliant, exitOK
	}
}

func (a *app) showVerification(v *verification) error {
	if a.json() {
		return writeJSON(a.out, v)
	}
	p := a.page()
	switch v.Status {
	case audit.Compliant:
		p.paragraph(green, "STILL ENDED: all of "+count(len(v.Ended), "redirect")+" that change "+v.Change+" ended.")
	case audit.Violations:
		p.paragraph(red, "BACK: "+count(len(v.Back), "redirect")+" that change "+v.Change+" ended. natwarden audit shows more.")
	case audit.Incomplete:
		p.paragraph(yellow, "INCOMPLETE: nothing that change "+v.Change+" ended is seen, but not everything could be read.")
	default:
		p.paragraph("", "NOTHING TO VERIFY: there is no change, or it is rolled back.")
	}
	if a.Quiet {
		return nil
	}
	for _, b := range v.Back[:p.cut(len(v.Back))] {
		p.item(b.ID + " " + b.Why)
	}
	p.more(len(v.Back))
	p.blind(v.Blind)
	return nil
}
