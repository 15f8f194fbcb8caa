package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/policy"
)

// AuditOptions are the flags of audit.
type AuditOptions struct {
	Sources []string
}

// AddFlags defines the flags.
func (o *AuditOptions) AddFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.Sources, "sources", nil, "`LIST` of what to look at: "+strings.Join(sourceGroups(), ", ")+" (default all)")
}

func newAudit(a *app) *cobra.Command {
	var o AuditOptions
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "show who answers on each port, and whether that is authorized",
		Long: "Shows every redirect and every listener of this host and judges them by the policy.\n" +
			"It changes nothing, and needs no state directory. It looks at all network\n" +
			"namespaces unless --netns says otherwise." +
			exitStatus(map[int]string{
				exitOK:         "compliant: nothing unauthorized, and everything was read and understood",
				exitViolations: "violations: something is not authorized",
				exitBlind:      "incomplete: no violation is proven, but something could not be read or decoded",
				exitError:      "an error",
			}, exitOK, exitError, exitViolations, exitBlind, exitUsage, exitPrivilege, exitPolicy),
		Example: "  natwarden audit\n  natwarden audit --sources rules -o json\n  natwarden audit --netns current --policy builtin",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAudit(cmd.Context(), a, &o) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runAudit(ctx context.Context, a *app, o *AuditOptions) error {
	if err := checkGroups(o.Sources); err != nil {
		return err
	}
	if err := needRight("audit", unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	pol, err := a.policyOrBuiltin()
	if err != nil {
		return err
	}
	s, err := a.openSpaces(ctx, netns.AllSpaces())
	if err != nil {
		return err
	}
	defer s.close()
	report, err := look(ctx, s, o.Sources, pol)
	if err != nil {
		return err
	}
	if err := a.show(report); err != nil {
		return err
	}
	return conclude(report.ExitCode)
}

// show writes a report in the form that was asked for.
func (a *app) show(r *audit.Report) error {
	if a.json() {
		return writeReportJSON(a.out, r)
	}
	a.page().writeReport(r, a.Quiet)
	return nil
}

// look audits the given namespaces.
func look(ctx context.Context, s *spaces, groups []string, pol *policy.Policy) (*audit.Report, error) {
	in, err := inputFor(s.toAudit(), s.labels(), groups)
	if err != nil {
		return nil, err
	}
	in.Join = append([]audit.Join{s.reached()}, in.Join...)
	in.Doubts = doubts(ctx)
	in.Scope.Netns = s.scope.Values()
	in.Blind = append(in.Blind, s.blind...)
	return audit.Run(ctx, in, pol, time.Now())
}

// checkGroups refuses names that --sources does not know.
func checkGroups(groups []string) error {
	for _, g := range groups {
		if !slices.Contains(sourceGroups(), g) {
			return usage("--sources takes "+strings.Join(sourceGroups(), ", "), "%q is no source", g)
		}
	}
	return nil
}
