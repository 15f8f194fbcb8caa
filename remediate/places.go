package remediate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
)

// placeOf is the place of an object in change.World.Places.
func placeOf(o *change.Object) string {
	if o.Kind == "element" {
		return fmt.Sprintf("%s %s @%s", o.Family, o.Table, o.Set)
	}
	return fmt.Sprintf("%s %s %s", o.Family, o.Table, o.Chain)
}

// expected gives the places as they must be after the steps: what is deleted is
// gone from its own position, what is edited has its new fingerprint there.
func expected(before map[string][]string, steps []change.Step) map[string][]string {
	out := make(map[string][]string, len(before))
	for place, prints := range before {
		out[place] = prints
	}
	for place, here := range byPlace(steps) {
		if prints, known := before[place]; known {
			out[place] = carried(prints, here)
		}
	}
	return out
}

func byPlace(steps []change.Step) map[string][]change.Step {
	out := map[string][]change.Step{}
	for _, s := range steps {
		if o := s.Object(); s.Action != change.Cut {
			out[placeOf(o)] = append(out[placeOf(o)], s)
		}
	}
	return out
}

// carried carries out the steps of one place on its fingerprints.
func carried(prints []string, steps []change.Step) []string {
	gone := map[int]bool{}
	out := slices.Clone(prints)
	at := positions(prints)
	for _, s := range steps {
		if s.Before == nil {
			continue
		}
		i := at.find(s.Before.Fingerprint, s.Place.Index-1)
		if i < 0 {
			continue
		}
		if s.After == nil {
			gone[i] = true
		} else {
			out[i] = s.After.Fingerprint
		}
	}
	kept := out[:0]
	for i, p := range out {
		if !gone[i] {
			kept = append(kept, p)
		}
	}
	return kept
}

// free are the positions of each fingerprint that no step has taken yet.
type free map[string][]int

func positions(prints []string) free {
	f := free{}
	for i, p := range prints {
		f[p] = append(f[p], i)
	}
	return f
}

// find takes a position: the wanted one where the fingerprint stands there,
// else the first; -1 where there is none.
func (f free) find(print string, wanted int) int {
	at := f[print]
	if len(at) == 0 {
		return -1
	}
	n := max(slices.Index(at, wanted), 0)
	i := at[n]
	f[print] = slices.Delete(at, n, n+1)
	return i
}

// count counts a fingerprint.
func count(prints []string) map[string]int {
	out := map[string]int{}
	for _, p := range prints {
		out[p]++
	}
	return out
}

// diff says in words how places differ. The anonymous sets and chains of the
// steps come and go with their rules and are no difference.
func diff(want, got map[string][]string, steps []change.Step) []string {
	parts := partNames(steps)
	var out []string
	for _, place := range union(want, got) {
		w, inWant := want[place]
		g, inGot := got[place]
		if slices.Equal(w, g) && inWant == inGot || parts.isPart(place) {
			continue
		}
		if words := parts.differ(w, g, inWant, inGot); words != "" {
			out = append(out, place+": "+words)
		}
	}
	return out
}

func union(a, b map[string][]string) []string {
	var out []string
	for place := range a {
		out = append(out, place)
	}
	for place := range b {
		if _, both := a[place]; !both {
			out = append(out, place)
		}
	}
	slices.Sort(out)
	return out
}

// parts are the names of the anonymous sets and chains of steps.
type parts map[string]bool

func partNames(steps []change.Step) parts {
	p := parts{}
	for _, s := range steps {
		for _, o := range []*change.Object{s.Before, s.After} {
			if o == nil {
				continue
			}
			for _, part := range o.Parts {
				p[part.Name] = true
			}
		}
	}
	return p
}

// isPart says whether a place is inside such a set or chain: "ip nat @__map0".
func (p parts) isPart(place string) bool {
	words := strings.SplitN(place, " ", 3)
	return len(words) == 3 && p[strings.TrimPrefix(words[2], "@")]
}

// differ compares the fingerprints of one place.
func (p parts) differ(want, got []string, inWant, inGot bool) string {
	switch {
	case inWant && !inGot && len(want) > 0:
		return "it is gone"
	case inWant && !inGot:
		return "it was empty and is gone"
	case !inWant:
		return "it is new"
	}
	missing, extra := p.without(want, got), p.without(got, want)
	switch {
	case missing == 0 && extra == 0 && len(want) == len(got):
		return "the order changed"
	case missing == 0 && extra == 0:
		return "" // only parts came or went
	}
	return fmt.Sprintf("%d gone, %d new", missing, extra)
}

// without counts what stands in a more often than in b, parts aside.
func (p parts) without(a, b []string) int {
	have, n := count(b), 0
	for _, print := range a {
		if have[print] > 0 {
			have[print]--
			continue
		}
		if !p.mentioned(print) {
			n++
		}
	}
	return n
}

// mentioned says whether an entry of a table's list names a part.
func (p parts) mentioned(print string) bool {
	if len(p) == 0 {
		return false
	}
	return slices.ContainsFunc(strings.FieldsFunc(print, func(r rune) bool { return r == ' ' || r == ':' || r == '@' }), func(w string) bool { return p[w] })
}
