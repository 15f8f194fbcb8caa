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
	"github.com/natwarden/natwarden/internal/relay"
	"github.com/natwarden/natwarden/policy"
)

// AuditOptions are the flags of audit.
type AuditOptions struct {
	Sources []string
	Observe time.Duration
}

// AddFlags defines the flags.
func (o *AuditOptions) AddFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.Sources, "sources", nil, "`LIST` of what to look at: "+strings.Join(sourceGroups(), ", ")+" (default all)")
	f.DurationVar(&o.Observe, "observe", 0, "also watch connections for `DURATION` (10s): finds relays that only act when somebody comes")
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
		Example: "  natwarden audit\n  natwarden audit --sources rules -o json\n  natwarden audit --netns current --policy builtin\n  natwarden audit --observe 10s",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAudit(cmd.Context(), a, &o) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runAudit(ctx context.Context, a *app, o *AuditOptions) error {
	if err := o.check(); err != nil {
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
	report, err := look(ctx, s, o.Sources, pol, o.observing)
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

// observing lets the source of relays watch.
func (o *AuditOptions) observing(in *audit.Input) {
	for i, s := range in.Sources {
		if _, ok := s.(relay.Source); ok {
			in.Sources[i] = relay.Source{Observe: o.Observe}
		}
	}
}

// look audits the given namespaces; changes are made to what it is asked for.
func look(ctx context.Context, s *spaces, groups []string, pol *policy.Policy, changes ...func(*audit.Input)) (*audit.Report, error) {
	in, err := inputFor(s.toAudit(), s.labels(), groups)
	if err != nil {
		return nil, err
	}
	in.Join = append([]audit.Join{s.reached()}, in.Join...)
	in.Doubts = doubts(ctx)
	in.Scope.Netns = s.scope.Values()
	in.Blind = append(in.Blind, s.blind...)
	for _, change := range changes {
		change(&in)
	}
	return audit.Run(ctx, in, pol, time.Now())
}

// longestObserve keeps a typing error from holding the report back for days.
const longestObserve = time.Hour

func (o *AuditOptions) check() error {
	switch {
	case o.Observe < 0 || o.Observe > longestObserve:
		return usage("for example --observe 10s", "--observe takes a duration of up to an hour, not %s", o.Observe)
	case o.Observe > 0 && len(o.Sources) > 0 && !slices.Contains(o.Sources, groupRelays):
		return usage("add relays to --sources", "--observe watches for relays, which --sources leaves out")
	}
	return checkGroups(o.Sources)
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
