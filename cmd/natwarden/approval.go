package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/owner"
	"github.com/natwarden/natwarden/internal/sshsig"
	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/remediate"
)

// checkSigners refuses a policy that asks for approvals and names nobody who can
// give them, before the host is read.
func (o *RemediateOptions) checkSigners(a *app, pol *policy.Policy) error {
	if pol.Change.Approvals == 0 || o.forces(remediate.GuardApproval) {
		if len(o.Signature) > 0 {
			a.note("the signatures are not looked at: no approval is asked for")
		}
		return nil
	}
	err := policy.TrustedProgram(sshsig.Program)
	if err == nil {
		_, err = policy.ReadTrusted(pol.Change.AllowedSigners, policy.SignersLimit)
	}
	if err != nil {
		return kindError{errPolicy, fmt.Errorf("the policy asks for approvals, and none can be verified: %w", err), "natwarden policy lint shows what is wrong; --force approval goes on without"}
	}
	return nil
}

// approvalGate refuses a plan that too few people have signed. It looks at the
// signatures and at who may sign anew each time: somebody may have been taken off the list.
func (o *RemediateOptions) approvalGate(a *app, c policy.Change, clocks func() (wall, steady time.Time)) func(context.Context) []string {
	doubt := o.clockDoubt(clocks)
	return func(ctx context.Context) []string {
		if c.Approvals == 0 {
			return nil
		}
		if o.exactly == nil {
			return []string{fmt.Sprintf("the policy asks for %s, which only a plan file can have: natwarden remediate --dry-run --plan-out FILE makes one, %s signs it, natwarden remediate --plan FILE carries it out",
				count(c.Approvals, "approval"), signCommand("FILE"))}
		}
		if why := doubt(clocks()); why != "" {
			return []string{"who may sign today cannot be said: " + why}
		}
		if why := o.usedUp(a); why != "" {
			return []string{why}
		}
		return o.countSigners(ctx, a, c)
	}
}

// countSigners says what signatures are missing, and keeps for the log who signed.
func (o *RemediateOptions) countSigners(ctx context.Context, a *app, c policy.Change) []string {
	signers, bad, err := o.signers(ctx, c)
	if err != nil {
		return []string{err.Error()}
	}
	a.approved = nil
	for _, s := range signers {
		a.approved = append(a.approved, shortened(s.String()+" "+s.Key))
	}
	return tooFew(c.Approvals, signers, bad)
}

// usedUp says why the signatures of a plan that was carried out once are of no
// more use: a change that somebody took back must not come again by itself.
func (o *RemediateOptions) usedUp(a *app) string {
	change, err := remediate.Tried(a.StateDir, o.planSum())
	if err != nil {
		return "it cannot be said whether the plan was carried out before: " + err.Error()
	}
	if change != "" {
		return fmt.Sprintf("the plan was carried out, or begun, as change %s: an approval is for one try, so make the plan anew and have that signed", change)
	}
	return ""
}

// planSum is the SHA-256 of the plan file that is carried out; "" for none.
func (o *RemediateOptions) planSum() string {
	if o.exactly == nil {
		return ""
	}
	sum := sha256.Sum256(o.planBytes)
	return fmt.Sprintf("%x", sum)
}

// signers verifies every signature that there is over the very bytes that were
// read as the plan. bad says of each other one why it counts for nothing.
func (o *RemediateOptions) signers(ctx context.Context, c policy.Change) (good []sshsig.Signer, bad []string, err error) {
	allowed, err := policy.ReadTrusted(c.AllowedSigners, policy.SignersLimit)
	if err != nil {
		return nil, nil, err
	}
	files, err := signatureFiles(o.Plan, o.Signature)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		data, err := readSignature(f)
		var s sshsig.Signer
		if err == nil {
			s, err = sshsig.Verify(ctx, o.planBytes, data, allowed)
		}
		if err != nil {
			bad = append(bad, filepath.Base(f)+": "+err.Error())
			continue
		}
		good = append(good, s)
	}
	return good, bad, nil
}

// tooFew says what is missing.
func tooFew(need int, signers []sshsig.Signer, bad []string) []string {
	have := sshsig.Distinct(signers)
	if have >= need {
		return nil
	}
	names := make([]string, len(signers))
	for i, s := range signers {
		names[i] = s.String()
	}
	text := fmt.Sprintf("%d of %s", have, count(need, "approval"))
	if len(signers) > 0 {
		text += " (signed by " + strings.Join(names, "; ") + ")"
	}
	if len(bad) > 0 {
		text += "; not counted: " + strings.Join(bad, "; ")
	}
	return []string{text}
}

// signCommand writes the signature beside the plan, under a name of the signer's.
func signCommand(plan string) string {
	return "ssh-keygen -Y sign -n " + sshsig.Namespace + " -f KEY <" + plan + " >" + plan + ".NAME.sig"
}

// sayHowToSign tells how a plan that was just written gets its approvals.
func (o *RemediateOptions) sayHowToSign(a *app, c policy.Change) {
	if c.Approvals > 0 && o.PlanOut != "" {
		a.note("it needs %s; each signer runs: %s", count(c.Approvals, "approval"), clean(signCommand(owner.Line(o.PlanOut))))
	}
}
