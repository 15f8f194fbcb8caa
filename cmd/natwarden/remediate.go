package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/nft"
	"github.com/natwarden/natwarden/internal/proc"
	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/remediate"
)

// RemediateOptions are the flags of remediate.
type RemediateOptions struct {
	DryRun       bool
	PlanOut      string
	Plan         string
	Signature    []string
	Only         []string
	Include      []string
	Force        []string
	Irreversible bool
	Rehearse     bool
	NoConfirm    bool
	NoWait       bool
	Yes          bool

	ConfirmWithin time.Duration

	exactly   *remediate.PlanFile // read from Plan
	planBytes []byte              // of Plan, as they were read: what is signed
	gates     []remediate.Gate    // of the policy, as it was when the verb began

	lastAction time.Time // by the action log, as the verb began; zero for none
}

// AddFlags defines the flags.
func (o *RemediateOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.DryRun, "dry-run", false, "plan and prove, change nothing")
	f.StringVar(&o.PlanOut, "plan-out", "", "with --dry-run: keep the plan in this new `FILE`, for review")
	f.StringVar(&o.Plan, "plan", "", "carry out exactly the plan in `FILE`, or nothing")
	f.StringArrayVar(&o.Signature, "signature", nil, "a signature of the plan in `FILE`, beside those in PLAN.sig and PLAN.*.sig; may be repeated")
	f.StringArrayVar(&o.Only, "only", nil, "end only the redirect with this `ID`; may be repeated")
	f.StringSliceVar(&o.Include, "include", nil, "what else may be touched, `KINDS` of: "+strings.Join(remediate.IncludeKinds(), ", ")+"; routes takes in IPVS services")
	f.StringSliceVar(&o.Force, "force", nil, "go on although this guard refuses, `GUARD` of: "+strings.Join(remediate.Guards(), ", "))
	f.BoolVar(&o.Irreversible, "irreversible", false, "go on where the way back cannot be proven")
	f.BoolVar(&o.Rehearse, "rehearse", false, "run the steps and their inverse in a private network namespace first")
	f.DurationVar(&o.ConfirmWithin, "confirm-within", 0, "roll the change back unless natwarden confirm comes within this `TIME` (at a terminal: 2m)")
	f.BoolVar(&o.NoConfirm, "no-confirm", false, "keep the change without a confirmation afterwards")
	f.BoolVar(&o.NoWait, "no-wait", false, "do not wait for the confirmation: end with status pending")
	f.BoolVar(&o.Yes, "yes", false, "do not ask")
}

func newRemediate(a *app) *cobra.Command {
	var o RemediateOptions
	cmd := &cobra.Command{
		Use:   "remediate",
		Short: "end what the policy does not allow, in a way that can be taken back",
		Long: "Ends every redirect that the policy does not allow: proves the way back, takes a\n" +
			"snapshot, removes in one transaction, reads again and compares. Where something\n" +
			"else changed as well, it puts everything back by itself.\n\n" +
			"It changes only the network namespace in which it was started unless --netns\n" +
			"names more. Without a policy file it needs --policy builtin, or --only.\n" +
			"Then it waits: unless natwarden confirm comes in time, from a new session, a\n" +
			"watchdog rolls the change back, also when this terminal or natwarden itself is\n" +
			"killed. --no-confirm keeps the change at once; without a terminal one of\n" +
			"--confirm-within and --no-confirm must be said.\n\n" +
			"The policy may ask for change windows, signed plans, and smoke tests that must\n" +
			"pass after the change as before; else it is refused, or rolled back by itself." +
			exitStatus(map[int]string{
				exitOK:         "done and verified, or nothing to do; nothing unauthorized remains in scope",
				exitViolations: "done what it may, violations remain (with --dry-run: there is something to do)",
				exitBlind:      "done, but something could not be read",
			}, exitOK, exitError, exitViolations, exitBlind, exitRolledBack, exitBroken, exitExpired, exitRefused, exitUsage, exitBusy, exitPrivilege, exitPolicy),
		Example: "  natwarden remediate --dry-run --policy builtin\n  natwarden remediate --confirm-within 5m\n  natwarden remediate --only 9f2c41d07a3b --no-confirm",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRemediate(cmd.Context(), a, &o) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runRemediate(ctx context.Context, a *app, o *RemediateOptions) error {
	if err := o.check(a); err != nil {
		return err
	}
	if err := needRight("remediate", unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	if err := o.readPlan(a); err != nil {
		return err
	}
	pol, err := a.policyToChange(o.named())
	if err != nil {
		return err
	}
	if err := o.checkSigners(a, pol); err != nil {
		return err
	}
	o.gates = o.gatesOf(a, pol)
	if err := o.mindUnfinished(ctx, a); err != nil {
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
	return o.carryOut(ctx, a, s, report, pol)
}

// named are the redirects that the user named, one by one or by a plan.
func (o *RemediateOptions) named() []string {
	if o.exactly != nil {
		return o.exactly.IDs()
	}
	return o.Only
}

// mindUnfinished ends what an earlier run left unfinished; a dry run only says so.
func (o *RemediateOptions) mindUnfinished(ctx context.Context, a *app) error {
	if !o.DryRun {
		return a.recoverFirst(ctx)
	}
	a.tellUnfinished()
	return nil
}

func (o *RemediateOptions) check(a *app) error {
	for _, kind := range o.Include {
		if !slices.Contains(remediate.IncludeKinds(), kind) {
			return usage("--include takes "+strings.Join(remediate.IncludeKinds(), ", "), "%q is nothing to include", kind)
		}
	}
	for _, guard := range o.Force {
		if !slices.Contains(remediate.Guards(), guard) {
			return usage("--force takes "+strings.Join(remediate.Guards(), ", "), "%q is no guard", guard)
		}
	}
	if err := o.checkPlan(); err != nil {
		return err
	}
	if o.DryRun {
		return nil
	}
	if err := o.checkConfirm(a); err != nil {
		return err
	}
	return a.mustSayYes(o.Yes, "natwarden remediate")
}

func (o *RemediateOptions) forces(guard string) bool { return slices.Contains(o.Force, guard) }

// carryOut shows the plan to a person, asks where that is wanted, and changes.
func (o *RemediateOptions) carryOut(ctx context.Context, a *app, s *spaces, report *audit.Report, pol *policy.Policy) error {
	lines := a.lines(ctx, s, pol)
	run := func(dry bool) (*remediate.Result, error) {
		options := o.options(a, pol)
		options.Lines, options.Follow = lines, follower(s)
		options.Cuts = cutter(report.Redirects)
		options.DryRun = dry
		return remediate.Run(ctx, report.Redirects, report.Blind, s.toChange(len(a.Netns) > 0), editors(), options)
	}
	if !o.DryRun && !o.Yes {
		plan, err := run(true)
		if err == nil && len(plan.Guards) > 0 {
			plan, err = plan.Refuse() // nobody is asked, so nothing is done, though a window may open any moment
		}
		if err != nil || len(plan.Steps) == 0 {
			return a.finish(plan, err, remediated)
		}
		if err := a.askToCarryOut(plan); err != nil {
			return err
		}
	}
	result, err := run(o.DryRun)
	words := remediated
	if o.DryRun {
		words = planned
	}
	if err == nil && o.PlanOut != "" {
		if err = o.writePlan(a, result, o.options(a, pol)); err != nil {
			result.Status, result.ExitCode = remediate.Failed, exitError
		} else if len(result.Steps) > 0 {
			o.sayHowToSign(a, pol.Change)
		}
	}
	if err == nil && result.Change != "" && len(result.Blind) > 0 {
		lookAgain(ctx, s, pol, result)
	}
	if err == nil && result.Change != "" {
		a.pruneAfter()
	}
	if err == nil && result.Until != nil {
		result, err = o.await(ctx, a, result)
	}
	return a.finish(result, err, words)
}

// askToCarryOut shows a plan and asks; whoever does not want it ends the verb.
func (a *app) askToCarryOut(plan *remediate.Result) error {
	a.showPlan(plan, planned)
	yes, err := a.confirmed(fmt.Sprintf("Carry out %s?", count(len(plan.Steps), "step")))
	if err != nil || yes {
		return err
	}
	a.note("nothing was changed")
	return conclude(exitViolations)
}

// lookAgain says what cannot be read or understood after the change: a rule
// that nobody understood and that is gone is no blind spot any more, and what
// could not be read before may hold violations that nobody ended. Where nothing can be read now
// the blind spots of before stay, and the change stands and waits for its confirmation all the same.
func lookAgain(ctx context.Context, s *spaces, pol *policy.Policy, r *remediate.Result) {
	report, err := look(ctx, s, nil, pol)
	if err != nil {
		r.Notes = append(r.Notes, "the host could not be read again after the change, which is done and verified: "+err.Error())
		return
	}
	r.SeenAgain(report.Redirects, report.Blind)
}

// settleTime is how long a change is watched for somebody who puts it back:
// what runs every second, or is woken by the change itself, shows in it.
const settleTime = 2500 * time.Millisecond

func witness() (remediate.Witness, error) { return nft.NewWatch() }

func (o *RemediateOptions) options(a *app, pol *policy.Policy) remediate.Options {
	return remediate.Options{
		Only:         o.Only,
		Include:      o.Include,
		Irreversible: o.Irreversible,
		StateDir:     a.StateDir,
		Version:      version,
		Policy:       pol.Source,
		PolicySHA256: pol.SHA256,
		Exactly:      o.exactly,

		PlanFileSHA256: o.planSum(),

		RemoveAtMost: pol.Limits.RemoveAtMost,
		Force:        o.Force,
		Rehearse:     o.Rehearse,
		Stage:        newStage,
		Gates:        o.gates,
		Smoke:        smokeOf(pol),
		Now:          time.Now,
		Log:          a.logAction,
		Listeners:    listeners(),
		Settle:       settleTime,

		ConfirmWithin: o.ConfirmWithin,
		Watchdog:      a.watchdog,
		Alone:         proc.AloneInNetns,
		Witness:       witness,
	}
}
