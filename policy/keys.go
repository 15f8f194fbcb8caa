package policy

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/natwarden/natwarden/internal/host"
)

// file is the whole mapping of a policy file.
type file struct {
	defaults Defaults
	limits   Limits
	change   Change
	smoke    []host.Probe
	closed   []host.Closed
	allow    allow
}

type allow struct {
	redirects []RedirectEntry
	listeners []ListenerEntry
}

func fileObject() object[file] {
	version := key[file]{name: "version", required: true, doc: "1, the version of this format", schema: schema{"const": 1},
		read: func(r *reader, n *yaml.Node, into *file) {
			if n.Kind != yaml.AliasNode && (n.Tag != "!!int" || n.Value != "1") {
				r.add(n, "version must be 1, not "+kindOf(n), "this natwarden reads version: 1")
			}
		}}
	return object[file]{what: "the policy", keys: []key[file]{
		version,
		nested("defaults", "what becomes of what no entry names", defaultsObject(), func(f *file) *Defaults { return &f.defaults }),
		nested("limits", "what one change may do at most", limitsObject(), func(f *file) *Limits { return &f.limits }),
		nested("change", "when a change may be made, and who must agree to it", changeObject(), func(f *file) *Change { return &f.change }),
		filled(listOf("smoke", "what must answer after a change as it did before", probeObject(), func(f *file) *[]host.Probe { return &f.smoke })),
		filled(listOf("closed", "ports that nobody may answer any more after a change", closedObject(), func(f *file) *[]host.Closed { return &f.closed })),
		nested("allow", "what is authorized", allowObject(), func(f *file) *allow { return &f.allow }),
	}}
}

func defaultsObject() object[Defaults] {
	either := []string{Deny, Report}
	return object[Defaults]{what: "defaults", keys: []key[Defaults]{
		word("redirects", "redirects that act: deny (they are violations; the default) or report", either, func(d *Defaults) *string { return &d.Redirects }),
		word("listeners", "listeners: deny or report (they are only listed; the default)", either, func(d *Defaults) *string { return &d.Listeners }),
		word("latent", "redirects that an event would make act: deny or report (the default)", either, func(d *Defaults) *string { return &d.Latent }),
	}}
}

func allowObject() object[allow] {
	return object[allow]{what: "allow", keys: []key[allow]{
		listOf("redirects", "redirects that are authorized", redirectObject(), func(a *allow) *[]RedirectEntry { return &a.redirects }),
		listOf("listeners", "listeners that are authorized", listenerObject(), func(a *allow) *[]ListenerEntry { return &a.listeners }),
	}}
}

func redirectObject() object[RedirectEntry] {
	match := nested("match", "the redirects that are meant; every key narrows", redirectMatchObject(), func(e *RedirectEntry) *RedirectMatch { return &e.Match })
	return entryObject("an entry of redirects", match, func(e *RedirectEntry) *Entry { return &e.Entry })
}

func listenerObject() object[ListenerEntry] {
	match := nested("match", "the listeners that are meant; every key narrows", listenerMatchObject(), func(e *ListenerEntry) *ListenerMatch { return &e.Match })
	return entryObject("an entry of listeners", match, func(e *ListenerEntry) *Entry { return &e.Entry })
}

// entryObject is an entry with its match: the keys that both kinds of entries
// have are the same.
func entryObject[T any](what string, match key[T], entry func(*T) *Entry) object[T] {
	read := match.read
	match.read = func(r *reader, n *yaml.Node, into *T) {
		read(r, n, into)
		entry(into).Words = inWords(n)
	}
	keys := append(whyKeys(entry), whenKeys(entry)...)
	return object[T]{what: what, keys: append(keys, match.must()), check: checkEntry, extra: schema{
		"oneOf":             []any{schema{"required": []string{"expires"}}, schema{"required": []string{"permanent"}}},
		"dependentRequired": schema{"review_every": []string{"reviewed"}},
	}}
}

func whyKeys[T any](entry func(*T) *Entry) []key[T] {
	return []key[T]{
		idKey(func(t *T) *string { return &entry(t).ID }),
		text1("reason", "why this is wanted: a sentence, a change number", func(t *T) *string { return &entry(t).Reason }).must(),
		text1("owner", "who answers for it: a person or a team", func(t *T) *string { return &entry(t).Owner }).must(),
		texts("controls", "the controls that the entry belongs to: [CIS 3.5]", func(t *T) *[]string { return &entry(t).Controls }),
	}
}

func whenKeys[T any](entry func(*T) *Entry) []key[T] {
	only, pending := true, []string{Pending}
	permanent := truth("permanent", "true, in place of expires", &only, func(*T) **bool { return new(*bool) })
	read := permanent.read
	permanent.read = func(r *reader, n *yaml.Node, into *T) {
		before := len(r.errs)
		read(r, n, into)
		entry(into).Permanent = len(r.errs) == before
	}
	return []key[T]{
		date("expires", "the last day of the entry, in UTC: 2027-03-31", func(t *T) *time.Time { return &entry(t).Expires }),
		permanent,
		date("reviewed", "the day of the last review", func(t *T) *time.Time { return &entry(t).Reviewed }),
		period("review_every", "how often it is to be reviewed: 31d, 6w, 3m, 1y", func(t *T) *Period { return &entry(t).ReviewEvery }),
		word("review", "pending: written by policy init; the entry allows nothing until a person removes this line", pending, func(t *T) *string { return &entry(t).Review }),
	}
}

// checkEntry looks at what the keys of an entry say together.
func checkEntry(r *reader, at *yaml.Node, seen map[string]*yaml.Node) {
	switch {
	case seen["expires"] == nil && seen["permanent"] == nil:
		r.add(at, "an entry without an end: it needs expires or permanent", "expires: 2027-03-31, or permanent: true")
	case seen["expires"] != nil && seen["permanent"] != nil:
		r.add(seen["permanent"], "an entry cannot both expire and be permanent", "remove one of the two")
	}
	if seen["review_every"] != nil && seen["reviewed"] == nil {
		r.add(seen["review_every"], "review_every without reviewed", "say from which day on: reviewed: 2026-11-01")
	}
}

// notEmpty refuses a mapping that restricts nothing.
func notEmpty(what string) func(*reader, *yaml.Node, map[string]*yaml.Node) {
	return func(r *reader, at *yaml.Node, seen map[string]*yaml.Node) {
		if len(seen) == 0 {
			r.add(at, what+" is empty and would take everything", "name at least one key")
		}
	}
}

// remember places what is known of entries after they were read: their lines,
// and that no two have the same id.
func (r *reader) remember(ids map[string]int, e *Entry, n *yaml.Node) {
	e.Line = n.Line
	if e.ID == "" {
		return
	}
	if first, taken := ids[e.ID]; taken {
		r.add(n, fmt.Sprintf("duplicate id %q", e.ID), fmt.Sprintf("the entry in line %d has it already", first))
		return
	}
	ids[e.ID] = n.Line
}
