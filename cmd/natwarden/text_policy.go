package main

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/policy"
)

// policyLine says which policy it is and what becomes of what it does not name.
func (p *page) policyLine(pol *policy.Policy) {
	name := "Policy " + pol.Path
	if pol.Path == builtinPolicy {
		name = "The built-in policy"
	}
	p.paragraph("", fmt.Sprintf("%s: %s. What no entry names: redirects %s, listeners %s, latent redirects %s.",
		name, count(len(pol.Redirects)+len(pol.Listeners), "entry"), pol.Defaults.Redirects, pol.Defaults.Listeners, pol.Defaults.Latent))
	if most := pol.Limits.RemoveAtMost; most != nil {
		p.paragraph("", fmt.Sprintf("One remediate may end %s at most.", count(*most, "redirect")))
	}
	p.changeLines(&pol.Change)
}

func (p *page) tests(title string, all []testJSON) {
	if len(all) == 0 {
		return
	}
	p.heading(title)
	for _, t := range all {
		p.item(t.ID + " " + t.Test)
	}
}

// changeLines say when a change may be made, and who must agree to it.
func (p *page) changeLines(c *policy.Change) {
	if len(c.Windows) > 0 {
		p.paragraph("", "Changes are made only in these windows: "+strings.Join(windowWords(c), "; ")+".")
	}
	if c.Approvals > 0 {
		p.paragraph("", fmt.Sprintf("A plan must be signed by %s of %s.", count(c.Approvals, "signer"), c.AllowedSigners))
	}
}

func windowWords(c *policy.Change) []string {
	out := []string{}
	for i := range c.Windows {
		out = append(out, c.Windows[i].String())
	}
	return out
}

func (p *page) finding(pol *policy.Policy, f policy.Finding) {
	text := fmt.Sprintf("line %d: %s %s", f.Line, f.ID, f.Text)
	if f.Level == policy.Warning {
		text = "! " + text
	}
	p.item(text)
}

// writePolicy shows a policy as natwarden understood it.
func (p *page) writePolicy(pol *policy.Policy) {
	p.policyLine(pol)
	for i := range pol.Redirects {
		p.entry("redirect", &pol.Redirects[i].Entry)
	}
	for i := range pol.Listeners {
		p.entry("listener", &pol.Listeners[i].Entry)
	}
	p.tests("After a change these must answer as before", testsJSON(pol.Smoke))
	p.tests("After a change nobody may answer", closedJSON(pol.Closed))
}

func (p *page) entry(what string, e *policy.Entry) {
	p.blank()
	p.item(what + " " + e.ID)
	p.field("match", e.Words)
	p.field("reason", e.Reason)
	p.field("owner", e.Owner)
	p.field("until", e.Until())
	p.field("review", e.Review)
}
