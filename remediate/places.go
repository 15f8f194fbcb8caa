package remediate

import (
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
)

// The backends of which this package knows how they name places.
const (
	xTables        = "x_tables"
	rtnetlink      = "rtnetlink"
	trafficControl = "tc"
	programs       = "bpf"
	loadBalancer   = "ipvs"
)

// placeOf is the place of an object in change.World.Places.
func placeOf(o *change.Object) string {
	switch {
	case o.Backend == rtnetlink, o.Backend == trafficControl, o.Backend == programs, o.Backend == loadBalancer:
		return o.Backend + " " + o.Kind
	case o.Kind == "element":
		return fmt.Sprintf("%s %s @%s", o.Family, o.Table, o.Set)
	case o.Backend == xTables:
		return fmt.Sprintf("legacy %s %s %s", o.Family, o.Table, o.Chain)
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
		wanted := s.Place.Index - 1
		if s.Before.Backend == xTables {
			wanted += len(gone) // it counts as the chain is when the step's turn comes
		}
		i := at.find(s.Before.Fingerprint, wanted)
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

// diff says in words how places differ.
func diff(want, got map[string][]string) []string {
	return differences(want, got, nil)
}

// differences is diff, but for the ends of intervals that come and go with the
// steps: they are elements of their own, without a fingerprint in the step.
func differences(want, got map[string][]string, steps []change.Step) []string {
	ends := intervalEnds(steps)
	var out []string
	for _, place := range union(want, got) {
		if words := differ(place, want, got, ends[place]); words != "" {
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

// turnover is how many elements go and come.
type turnover struct{ gone, come int }

// intervalEnds counts, for each set, the ends that go with the steps' elements
// and those that must come in their place.
func intervalEnds(steps []change.Step) map[string]turnover {
	out := map[string]turnover{}
	for _, s := range steps {
		if s.Before == nil || s.Before.Kind != "element" {
			continue
		}
		place := placeOf(s.Before)
		t := out[place]
		for _, part := range s.Before.Parts {
			switch part.Kind {
			case "end":
				t.gone++
			case "close":
				t.come++
			}
		}
		out[place] = t
	}
	return out
}

// differ compares the fingerprints of one place; "" where they fit.
func differ(place string, wants, gots map[string][]string, ends turnover) string {
	want, inWant := wants[place]
	got, inGot := gots[place]
	switch {
	case inWant && !inGot:
		return "it is gone"
	case !inWant:
		return "it is new"
	case slices.Equal(want, got):
		return ""
	}
	missing, extra := without(want, got), without(got, want)
	switch {
	case missing == 0 && extra == 0:
		return "the order changed"
	case missing <= ends.gone && extra <= ends.come:
		return ""
	}
	return fmt.Sprintf("%d gone, %d new", missing, extra)
}

// without counts what stands in a more often than in b.
func without(a, b []string) int {
	have, n := count(b), 0
	for _, print := range a {
		if have[print] > 0 {
			have[print]--
		} else {
			n++
		}
	}
	return n
}
