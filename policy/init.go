package policy

import (
	"slices"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// Init writes a policy of what was found: entries that wait for review and
// allow nothing until a person removes that line, grouped by owner. With the
// line removed an entry allows what it was made from and nothing wider. What is
// only ever information (source NAT, loopback listeners) is left out.
func Init(redirects []host.Redirect, listeners []host.Listener, now time.Time) []byte {
	text := initText(redirects, listeners, now, ruleKey, maxPerRule)
	if len(text) > MaxSize { // one entry for each chain, by id
		text = initText(redirects, listeners, now, chainKey, 0)
	}
	return text
}

// maxPerRule is how many entries the rows of one rule may have before they are
// one entry that names their ids.
const maxPerRule = 4

func initText(redirects []host.Redirect, listeners []host.Listener, now time.Time, key func(*host.Redirect) string, most int) []byte {
	w := newWriter(now)
	w.head()
	w.section("redirects", draftRedirects(redirects, key, most))
	w.section("listeners", draftListeners(listeners))
	return []byte(w.text.String())
}

func draftRedirects(redirects []host.Redirect, key func(*host.Redirect) string, most int) []*draft {
	object := redirectMatchObject()
	groups, order := map[string][]*draft{}, []string{}
	for i := range redirects {
		r := &redirects[i]
		if r.Info {
			continue
		}
		d := draftRedirect(r)
		d.rule = key(r)
		d.prove(object, r)
		group := d.heading + "\x00" + d.rule
		if groups[group] == nil {
			order = append(order, group)
		}
		groups[group] = append(groups[group], d)
	}
	var out []*draft
	for _, group := range order {
		out = append(out, collapse(groups[group], most)...)
	}
	return once(out)
}

// prove reads the draft as the parser will. Of what it would refuse, or what
// would not contain the row, only the id is left.
func (d *draft) prove(object object[RedirectMatch], r *host.Redirect) {
	named := *r
	if r.State == host.Unknown {
		named.State = host.Saved // of the fields alone: the id comes later
	}
	if m, ok := d.parsed(object); ok {
		if e := extentOf(&named); m.contains(&named, &e) {
			return
		}
	}
	d.exact, d.fields = false, nil
}

func (d *draft) parsed(object object[RedirectMatch]) (m RedirectMatch, ok bool) {
	var errs reader
	object.read(&errs, d.node(), &m)
	return m, len(errs.errs) == 0
}

// collapse makes as few entries of a rule's rows as say the same.
func collapse(drafts []*draft, most int) []*draft {
	exact, loose := parted(mergeOn(drafts, "ports"))
	if len(exact) > most {
		exact, loose = nil, drafts
	}
	named := slices.DeleteFunc(slices.Clone(loose), func(d *draft) bool { return slices.Contains(d.rowIDs, "") })
	if len(named) > 0 {
		exact = append(exact, pin(named))
	}
	for _, d := range loose {
		if slices.Contains(d.rowIDs, "") {
			exact = append(exact, &draft{heading: d.heading, found: d.found})
		}
	}
	return exact
}

// parted tells the drafts that say all from those that an id must pin.
func parted(drafts []*draft) (exact, loose []*draft) {
	for _, d := range drafts {
		if d.exact {
			exact = append(exact, d)
		} else {
			loose = append(loose, d)
		}
	}
	return exact, loose
}

func draftListeners(listeners []host.Listener) []*draft {
	object := listenerMatchObject()
	var out []*draft
	for i := range listeners {
		l := &listeners[i]
		if boundTo(l).IsLoopback() {
			continue
		}
		d := draftListener(l)
		var m ListenerMatch
		var errs reader
		if object.read(&errs, d.node(), &m); len(errs.errs) > 0 || !m.contains(l, boundTo(l)) {
			d.exact, d.fields = false, nil
		}
		out = append(out, d)
	}
	return mergeOn(mergeOn(out, "ports"), "address")
}

// once leaves out drafts that say the same as an earlier one.
func once(drafts []*draft) []*draft {
	seen := map[string]bool{}
	return slices.DeleteFunc(drafts, func(d *draft) bool {
		c := *d
		c.rule = ""
		key := c.keyWithout("")
		again := seen[key]
		seen[key] = len(d.fields) > 0
		return again
	})
}
