package remediate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// choice is a redirect that is to be ended, and what to take away for it.
type choice struct {
	row *host.Redirect
	ref host.Ref // Set is empty where the whole rule goes
	why string
}

// chooser picks the smallest remedy for each row. The goals, in tension:
//
//  1. Every violation in scope is ended.
//  2. Nothing that the policy allows, or that waits for review, is touched:
//     where one rule or element does both, it stays and the person decides.
//  3. As little as possible goes: an element before the rule.
//
// The second wins over the first, and the first over the third.
type chooser struct {
	o        Options
	scope    map[string]bool // labels of namespaces
	backends map[string]bool // for which there is an editor
	left     []Left
}

// choose splits rows into what is to be ended and what is left.
func (c *chooser) choose(rows []host.Redirect) ([]choice, error) {
	if err := c.checkOnly(rows); err != nil {
		return nil, err
	}
	wanted := map[*host.Redirect]bool{}
	for i := range rows {
		if c.wants(&rows[i]) && c.reachable(&rows[i]) {
			wanted[&rows[i]] = true
		}
	}
	var out []choice
	elements := rowsBy(rows, elementOf)
	for _, siblings := range inOrder(rows, ruleOf) {
		out = append(out, c.ofRule(siblings, wanted, elements)...)
	}
	return out, nil
}

// checkOnly refuses ids that name nothing: a mistyped id must not look as if it
// had been dealt with.
func (c *chooser) checkOnly(rows []host.Redirect) error {
	for _, id := range c.o.Only {
		if !slices.ContainsFunc(rows, func(r host.Redirect) bool { return r.ID == id }) {
			return fmt.Errorf("--only %s: no redirect has this id; `natwarden audit` lists them", id)
		}
	}
	return nil
}

// wants says whether a row is to be ended by what the user asked for. What is
// a violation and is not wanted, and what was named and is not wanted, is left.
func (c *chooser) wants(r *host.Redirect) bool {
	named := slices.Contains(c.o.Only, r.ID)
	asleep := r.State == host.Inactive || r.State == host.Latent
	violation := r.Verdict == host.Violation
	switch {
	case len(c.o.Only) > 0 && !named:
		return violation && c.leave(r, c.unnamed())
	case violation && asleep && !c.includes(IncludeInactive):
		return c.leave(r, "it is "+r.State+": --include inactive ends it as well")
	case violation:
		return true
	case r.Verdict == host.Unreviewed && !r.Info:
		return c.leave(r, "it waits for a person's review in the policy")
	case r.Verdict == host.Info && asleep && !r.Info:
		return c.includes(IncludeInactive) || named && c.leave(r, "it is "+r.State+": --include inactive ends it as well")
	case named:
		return c.leave(r, "it is no violation but "+r.Verdict+allowedBy(r))
	}
	return false
}

// unnamed is why a row stays that was not chosen.
func (c *chooser) unnamed() string {
	if c.o.Exactly != nil {
		return "it is not in the plan"
	}
	return "it is not named by --only"
}

func allowedBy(r *host.Redirect) string {
	if r.AllowedBy == "" {
		return ""
	}
	return " (policy entry " + r.AllowedBy + ")"
}

func (c *chooser) includes(kind string) bool {
	return slices.Contains(c.o.Include, kind) || slices.Contains(c.o.Include, IncludeAll)
}

// leave notes why a row stays, and is false.
func (c *chooser) leave(r *host.Redirect, why string) bool {
	c.left = append(c.left, Left{r.ID, why})
	return false
}

// reachable says whether there is an object, in a namespace in scope, that an
// editor can take away.
func (c *chooser) reachable(r *host.Redirect) bool {
	switch {
	case !c.scope[r.Netns]:
		return c.leave(r, fmt.Sprintf("it is in network namespace %s, which is not in the scope: --netns names it", name(r.Netns)))
	case r.Ref == nil:
		return c.leave(r, noObject(r))
	case !c.permitted(r):
		return c.leave(r, fmt.Sprintf("--include %s ends it as well", includeFor(r)))
	case !c.mayTouch(r):
		return c.leave(r, "it is no rule: --include "+kindOf(r)+" ends it as well")
	case !c.backends[r.Ref.Backend]:
		return c.leave(r, "nothing here can change "+r.Ref.Backend)
	}
	return true
}

// includeFor is the kind of --include that a row's mechanism needs; "" for
// rules and flows, which need none.
func includeFor(r *host.Redirect) string {
	switch r.Mechanism {
	case "route", "neighbour", "ipvs":
		return "routes"
	case "tc", "bpf":
		return "bpf"
	case "saved":
		return "saved"
	case "relay", "socket":
		return ofProcess(r)
	}
	return ""
}

// ofProcess tells a process that is stopped with its container from others.
func ofProcess(r *host.Redirect) string {
	if r.Process != nil && r.Process.Container != "" {
		return "containers"
	}
	return "processes"
}

func (c *chooser) permitted(r *host.Redirect) bool {
	kind := includeFor(r)
	return kind == "" || c.includes(kind)
}

// mayTouch says whether the user let remediation go beyond rules for it.
func (c *chooser) mayTouch(r *host.Redirect) bool {
	kind := kindOf(r)
	return kind == "" || c.includes(kind)
}

// kindOf is the --include kind of the backend that ends a row; "" for those
// that need none.
func kindOf(r *host.Redirect) string {
	switch r.Ref.Backend {
	case rtnetlink, loadBalancer:
		return "routes"
	case "tc", "bpf":
		return "bpf"
	case "process":
		return ofProcess(r)
	}
	return ""
}

func noObject(r *host.Redirect) string {
	why := "a redirect of mechanism " + r.Mechanism + " is not ended by this version"
	if r.Advice != "" {
		why += ": " + r.Advice
	}
	return why
}

func name(netns string) string {
	if netns == "" {
		return "the starting one"
	}
	return netns
}

// ofRule chooses for the rows of one rule.
func (c *chooser) ofRule(siblings []*host.Redirect, wanted map[*host.Redirect]bool, elements map[string][]*host.Redirect) []choice {
	var end, others []*host.Redirect
	for _, r := range siblings {
		if wanted[r] {
			end = append(end, r)
		} else {
			others = append(others, r)
		}
	}
	stays := slices.IndexFunc(others, protected)
	plain := slices.ContainsFunc(end, func(r *host.Redirect) bool { return r.Ref.Set == "" })
	if len(others) == 0 || plain && stays < 0 {
		return wholeRule(end)
	}
	var out []choice
	for _, r := range end {
		if r.Ref.Set == "" {
			c.leave(r, "its rule also makes "+said(others[stays])+", and cannot be parted")
			continue
		}
		out = append(out, c.ofElement(r, elements[elementOf(r)], wanted)...)
	}
	return out
}

// wholeRule ends rows by deleting their rule.
func wholeRule(rows []*host.Redirect) []choice {
	var out []choice
	for _, r := range rows {
		ref := *r.Ref
		if ref.Set != "" {
			ref.Set, ref.Key, ref.Anonymous = "", nil, false
		}
		out = append(out, choice{r, ref, "nothing in the rule is allowed"})
	}
	return out
}

// ofElement ends a row by taking its element out, unless the element also
// makes something that stays: a named map may serve several rules.
func (c *chooser) ofElement(r *host.Redirect, users []*host.Redirect, wanted map[*host.Redirect]bool) []choice {
	for _, u := range users {
		if !wanted[u] && protected(u) {
			c.leave(r, "its element also makes "+said(u)+", and cannot be parted")
			return nil
		}
	}
	return []choice{{r, *r.Ref, "its rule also makes what stays: only the element goes"}}
}

// protected says whether a row that is not to be ended keeps its rule in place.
// Information (source NAT, dup) does not.
func protected(r *host.Redirect) bool { return r.Verdict != host.Info }

func said(r *host.Redirect) string {
	switch r.Verdict {
	case host.Allowed:
		return r.ID + ", which is allowed" + allowedBy(r)
	case host.Unreviewed:
		return r.ID + ", which waits for review"
	}
	return r.ID + ", which is not to be ended"
}

// ruleOf is the identity of a row's rule; "" where it has none.
func ruleOf(r *host.Redirect) string {
	if r.Ref == nil {
		return ""
	}
	f := r.Ref
	return key(r.Netns, f.Backend, string(f.Family), f.Table, f.Chain, fmt.Sprint(f.Handle), fmt.Sprint(f.Index), f.Fingerprint)
}

// elementOf is the identity of a row's set or map element; "" where it has
// none. An anonymous set is its rule's own.
func elementOf(r *host.Redirect) string {
	if r.Ref == nil || r.Ref.Set == "" {
		return ""
	}
	f := r.Ref
	rule := ""
	if f.Anonymous {
		rule = ruleOf(r)
	}
	return key(r.Netns, f.Backend, string(f.Family), f.Table, f.Set, string(f.Key), rule)
}

// key joins parts that may hold any byte so that different ones never collide.
func key(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%d:%s", len(p), p)
	}
	return b.String()
}

func rowsBy(rows []host.Redirect, of func(*host.Redirect) string) map[string][]*host.Redirect {
	out := map[string][]*host.Redirect{}
	for i := range rows {
		if k := of(&rows[i]); k != "" {
			out[k] = append(out[k], &rows[i])
		}
	}
	return out
}

// inOrder groups rows and keeps the order in which the groups first appear.
func inOrder(rows []host.Redirect, of func(*host.Redirect) string) [][]*host.Redirect {
	by := rowsBy(rows, of)
	var out [][]*host.Redirect
	for i := range rows {
		k := of(&rows[i])
		if group := by[k]; k != "" && group[0] == &rows[i] {
			out = append(out, group)
		}
	}
	return out
}
