package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// writer writes the text of a first policy.
type writer struct {
	text  strings.Builder
	now   time.Time
	last  map[string]int // of each base of an id the last number
	taken map[string]bool
}

func newWriter(now time.Time) *writer {
	return &writer{now: now.UTC(), last: map[string]int{}, taken: map[string]bool{}}
}

// reviewFor is how long an entry of policy init lasts, in days.
const reviewFor = 90

func (w *writer) head() {
	fmt.Fprintf(&w.text, `# What natwarden found on this host on %s.
#
# Every entry waits for review and allows nothing. For each: is it wanted? Then
# write why and who answers for it, and remove its line "review: pending". If it
# is not wanted, remove the entry.
# What is only information (source NAT, listeners on loopback) is not listed.
version: 1
defaults: {redirects: deny, listeners: report, latent: report}
allow:
`, w.now.Format(day))
}

func (w *writer) section(name string, drafts []*draft) {
	if !slices.ContainsFunc(drafts, func(d *draft) bool { return len(d.fields) > 0 }) {
		fmt.Fprintf(&w.text, "  %s: []\n", name)
	} else {
		fmt.Fprintf(&w.text, "  %s:\n", name)
	}
	slices.SortStableFunc(drafts, func(a, b *draft) int { return cmp.Compare(a.heading, b.heading) })
	last := "\x00"
	for _, d := range drafts {
		if len(d.fields) == 0 {
			fmt.Fprintf(&w.text, "    # cannot be named by any key, so left out: %s\n", quoted(d.found))
			continue
		}
		if d.heading != last {
			last = d.heading
			w.heading(last)
		}
		w.entry(d)
	}
}

func (w *writer) heading(owner string) {
	if owner == "" {
		owner = "nobody known"
	}
	fmt.Fprintf(&w.text, "    # owner: %s\n", plain(short(strings.ToValidUTF8(owner, "\ufffd"))))
}

func (w *writer) entry(d *draft) {
	fmt.Fprintf(&w.text, "    - id: %s\n", plain(w.id(d.name)))
	fmt.Fprintf(&w.text, "      review: %s\n", Pending)
	fmt.Fprintf(&w.text, "      reason: %s\n", plain("found on "+w.now.Format(day)+": "+d.found))
	fmt.Fprintf(&w.text, "      owner: %s\n", plain("unknown, fill in"))
	fmt.Fprintf(&w.text, "      expires: %s\n", w.now.AddDate(0, 0, reviewFor).Format(day))
	fmt.Fprintf(&w.text, "      match:\n")
	w.match(d.fields)
}

func (w *writer) match(fields []field) {
	outer := ""
	for _, f := range fields {
		indent, name := "        ", f.name
		if group, inner, nested := strings.Cut(f.name, "."); nested {
			if group != outer {
				fmt.Fprintf(&w.text, "%s%s:\n", indent, group)
			}
			outer, name, indent = group, inner, indent+"  "
		}
		fmt.Fprintf(&w.text, "%s%s: %s\n", indent, name, f.text())
	}
}

// text writes the values: one as it is, ports as one list in words.
func (f field) text() string {
	special := func(v string) bool { return strings.HasPrefix(v, "!") || v == "any" }
	if f.name == "ports" && !slices.ContainsFunc(f.values, special) {
		return plain(strings.Join(f.values, ","))
	}
	if f.name == "transparent" {
		return f.values[0]
	}
	if len(f.values) == 1 {
		return plain(f.values[0])
	}
	quotedAll := make([]string, len(f.values))
	for i, v := range f.values {
		quotedAll[i] = plain(v)
	}
	return "[" + strings.Join(quotedAll, ", ") + "]"
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9._]+`)

// id makes an unused id from a name of the kernel's.
func (w *writer) id(name string) string {
	base := strings.Trim(notInID.ReplaceAllString(name, "-"), "-._")
	base = strings.TrimRight(base[:min(len(base), 40)], "-._")
	if base == "" {
		base = "entry"
	}
	for n := w.last[base] + 1; ; n++ {
		id := base
		if n > 1 {
			id = fmt.Sprintf("%s-%d", base, n)
		}
		if !w.taken[id] {
			w.last[base], w.taken[id] = n, true
			return id
		}
	}
}
