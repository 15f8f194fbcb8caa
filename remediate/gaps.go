package remediate

import (
	"slices"

	"github.com/natwarden/natwarden/internal/change"
)

// inGaps gives the rules that are to come back their places among those that are
// there now. Others may have added, deleted and moved rules since: a rule stood between
// all those of its chain, so the nearest of them that are still there, in the order
// in which they were, say where it belongs. Where nothing changed it is the place of before.
//
// all are the steps of the change, some those to be undone, both in the order of
// the plan; the answer is some, with other places.
func inGaps(all, some []change.Step, before, now map[string][]string) []change.Step {
	out := slices.Clone(some)
	was := stoodAt(all)
	for place, here := range indicesByPlace(out) {
		old, seen := before[place]
		if is, there := now[place]; seen && there {
			fill(out, here, was, chainOf{old, carriedEdits(old, is, all, place)}, is)
		}
	}
	return out
}

// chainOf is a chain before the change: as it was, and with the rules that the
// change edited as they are since.
type chainOf struct{ was, edited []string }

// carriedEdits puts the edited rules, those that are there, in the place of the
// whole ones.
func carriedEdits(was, is []string, all []change.Step, place string) []string {
	out, at, left := slices.Clone(was), positions(was), count(is)
	for _, s := range all {
		if s.Before == nil || s.After == nil || s.Before.Kind != "rule" || placeOf(s.Before) != place {
			continue
		}
		if i := at.find(s.Before.Fingerprint, s.Place.Index-1); i >= 0 && left[s.After.Fingerprint] > 0 {
			left[s.After.Fingerprint]--
			out[i] = s.After.Fingerprint
		}
	}
	return out
}

// stoodAt gives where the rule of each deletion stood before all of them, from 0.
func stoodAt(all []change.Step) map[*change.Object]int {
	out, gone := map[*change.Object]int{}, map[string]int{}
	for _, s := range all {
		if !isRemoval(s) {
			continue
		}
		at := s.Place.Index - 1
		if s.Before.Backend == xTables { // it counts as the chain is when the step's turn comes
			at += gone[placeOf(s.Before)]
			gone[placeOf(s.Before)]++
		}
		out[s.Before] = at
	}
	return out
}

func isRemoval(s change.Step) bool {
	return s.Before != nil && s.After == nil && s.Before.Kind == "rule"
}

func indicesByPlace(steps []change.Step) map[string][]int {
	out := map[string][]int{}
	for i, s := range steps {
		if isRemoval(s) {
			out[placeOf(s.Before)] = append(out[placeOf(s.Before)], i)
		}
	}
	return out
}

// spotted is a rule of a chain in the making: one that is there, or the step
// that brings it back.
type spotted struct {
	print string
	step  int // index of the step; -1 of a rule that is there
}

// fill finds the places in one chain, and writes them into the steps.
func fill(steps []change.Step, here []int, stood map[*change.Object]int, c chainOf, is []string) {
	missing := map[int]int{} // where it stood, to its step
	for _, i := range here {
		at := stood[steps[i].Before]
		if at < 0 || at >= len(c.was) || c.was[at] != steps[i].Before.Fingerprint {
			return // the steps are not of this chain as it was: their own places must do
		}
		missing[at] = i
	}
	kept := pair(c.edited, is, missing)
	is = slices.Clone(is)
	for i, at := range kept { // edited rules are whole again, when the others come
		if at >= 0 {
			is[at] = c.was[i]
		}
	}
	write(steps, merged(kept, missing, c.was, is))
}

// merged is the chain of now with the missing rules in it. Their blocks come in
// the order of before, and so do their gaps.
func merged(kept []int, missing map[int]int, was, is []string) []spotted {
	chain := make([]spotted, 0, len(is)+len(missing))
	copied := 0 // of is
	for at := 0; at < len(was); at++ {
		end := at // the block of rules side by side that come back
		for end < len(was) && isMissing(missing, end) {
			end++
		}
		if end == at {
			continue
		}
		gap := max(gapFor(kept, at, end, len(is)), copied)
		for ; copied < gap; copied++ {
			chain = append(chain, spotted{is[copied], -1})
		}
		for ; at < end; at++ {
			chain = append(chain, spotted{was[at], missing[at]})
		}
	}
	for ; copied < len(is); copied++ {
		chain = append(chain, spotted{is[copied], -1})
	}
	return chain
}

func isMissing(missing map[int]int, at int) bool {
	_, gone := missing[at]
	return gone
}

// pair finds for each rule of before where it is now; -1 for those that are gone
// or were moved against the others.
func pair(was, is []string, missing map[int]int) []int {
	out := make([]int, len(was))
	waiting := map[string][]int{}
	for i, print := range is {
		waiting[print] = append(waiting[print], i)
	}
	var from, to []int
	for i, print := range was {
		out[i] = -1
		if _, gone := missing[i]; gone || len(waiting[print]) == 0 {
			continue
		}
		from, to = append(from, i), append(to, waiting[print][0])
		waiting[print] = waiting[print][1:]
	}
	for n, stays := range change.Rising(to) {
		if stays {
			out[from[n]] = to[n]
		}
	}
	return out
}

// gapFor gives before which rule of now a block belongs that stood from at to
// end: beside the nearer of the two that surround it, before the one that followed
// where both are as near, and at its number where neither is there.
func gapFor(kept []int, at, end, length int) int {
	prev, next := at-1, end
	for prev >= 0 && kept[prev] < 0 {
		prev--
	}
	for next < len(kept) && kept[next] < 0 {
		next++
	}
	switch {
	case prev < 0 && next == len(kept):
		return min(at, length)
	case prev < 0, next < len(kept) && next-end <= at-1-prev:
		return kept[next]
	}
	return kept[prev] + 1
}

// write puts the places into the steps: as the chain is at last, or, for
// iptables-legacy, which brings back one rule after another, the last of the plan first, as it is
// at the turn of each: without those that come earlier in the plan.
func write(steps []change.Step, chain []spotted) {
	later := func(i, step int) bool {
		return chain[i].step >= 0 && chain[i].step < step && steps[step].Before.Backend == xTables
	}
	before := 0 // how many of those that come back stand before
	for i, s := range chain {
		if s.step < 0 {
			continue
		}
		place := change.Place{Index: i + 1}
		prev, next := i-1, i+1
		for prev >= 0 && later(prev, s.step) {
			prev--
		}
		for next < len(chain) && later(next, s.step) {
			next++
		}
		if prev >= 0 {
			place.Prev = chain[prev].print
		}
		if next < len(chain) {
			place.Next = chain[next].print
		}
		if steps[s.step].Before.Backend == xTables {
			place.Index -= before
		}
		before++
		steps[s.step].Place = place
	}
}
