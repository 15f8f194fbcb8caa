package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/remediate"
)

// checkPlan settles which flags go with --plan and --plan-out.
func (o *RemediateOptions) checkPlan() error {
	switch {
	case o.PlanOut != "" && !o.DryRun:
		return usage("add --dry-run", "--plan-out keeps a plan for review; it changes nothing")
	case o.PlanOut != "" && o.Plan != "":
		return usage("take one of them", "--plan carries out a plan, --plan-out makes one")
	case o.Plan == "" && len(o.Signature) > 0:
		return usage("natwarden remediate --plan FILE --signature FILE.sig", "--signature goes with the plan that was signed")
	case o.Plan != "" && (len(o.Only) > 0 || len(o.Include) > 0 || o.Irreversible):
		return usage("they are those with which the plan was made", "--only, --include and --irreversible do not go with --plan")
	}
	return nil
}

// readPlan reads the plan that is to be carried out, and takes its scope.
func (o *RemediateOptions) readPlan(a *app) error {
	if o.Plan == "" {
		return nil
	}
	data, err := policy.ReadTrusted(o.Plan, remediate.PlanFileLimit)
	if err != nil {
		return kindError{errRefusal, err, "nothing was changed: make the plan anew with natwarden remediate --dry-run --plan-out FILE"}
	}
	if o.exactly, err = remediate.ParsePlanFile(data); err != nil {
		return kindError{errRefusal, fmt.Errorf("refused: plan %s: %w", o.Plan, err), "nothing was changed: a plan is carried out as natwarden wrote it, or not at all"}
	}
	o.planBytes = data
	a.planFile = o.planSum()
	if len(a.Netns) > 0 && !slices.Equal(a.Netns, o.exactly.Scope) {
		return usage("leave --netns out", "the plan was made with --netns %q", o.exactly.Scope)
	}
	a.Netns = o.exactly.Scope
	return nil
}

// writePlan keeps the plan of a dry run; a plan without steps is not kept.
func (o *RemediateOptions) writePlan(a *app, r *remediate.Result, options remediate.Options) error {
	plan, err := r.PlanFile(options, options.PolicySHA256, a.Netns)
	if err != nil {
		return err
	}
	if plan == nil {
		a.note("no plan was written to %s: there is none to carry out", clean(o.PlanOut))
		return nil
	}
	data, err := plan.Marshal()
	if err != nil {
		return err
	}
	if err := keepPlan(o.PlanOut, data); err != nil {
		return err
	}
	a.note("the plan is in %s; after a review: natwarden remediate --plan %s", clean(o.PlanOut), clean(o.PlanOut))
	return nil
}

// keepPlan makes a file that only its owner can read and brings it to the disk.
// A file that is there is left alone; one that could not be written whole is removed.
func keepPlan(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return hinted(fmt.Errorf("%s is there already: natwarden overwrites no plan", path), "name another file")
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(path))
	}
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
