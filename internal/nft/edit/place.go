package edit

import (
	"fmt"
	"slices"
)

// merge puts pending rules among the rules that are left of a chain, where
// their steps say that they stood.
func merge(left []slot, adds []*pending) ([]slot, []string) {
	if len(adds) == 0 {
		return left, nil
	}
	adds = slices.Clone(adds)
	slices.SortStableFunc(adds, func(a, b *pending) int { return a.step.Place.Index - b.step.Place.Index })
	if out := byIndex(left, adds); neighboursMatch(out) {
		return out, nil
	}
	return byNeighbours(left, adds)
}

// byIndex puts each rule at its number. That is right where nothing else of
// the chain has changed.
func byIndex(left []slot, adds []*pending) []slot {
	out := make([]slot, 0, len(left)+len(adds))
	for len(left)+len(adds) > 0 {
		if len(left) == 0 || len(adds) > 0 && adds[0].step.Place.Index <= len(out)+1 {
			out = append(out, toCome(adds[0]))
			adds = adds[1:]
			continue
		}
		out = append(out, left[0])
		left = left[1:]
	}
	return out
}

func toCome(p *pending) slot { return slot{print: p.object.Fingerprint, pending: p} }

// neighboursMatch says whether every rule that comes stands between the two
// that it stood between.
func neighboursMatch(all []slot) bool {
	for i, s := range all {
		if s.pending == nil || s.pending.step.Before != nil {
			continue
		}
		at := s.pending.step.Place
		if printAt(all, i-1) != at.Prev || printAt(all, i+1) != at.Next {
			return false
		}
	}
	return true
}

func printAt(all []slot, i int) string {
	if i < 0 || i >= len(all) {
		return ""
	}
	return all[i].print
}

// byNeighbours looks for the neighbours: first, last rule first, because the
// rule after each is there then if it is to be there at all; then for what is
// left, first rule first, likewise for the rule before it.
func byNeighbours(left []slot, adds []*pending) ([]slot, []string) {
	var lost []*pending
	for i, p := range slices.Backward(adds) {
		if at, found := nearest(left, p, i); found {
			left = slices.Insert(left, at, toCome(p))
		} else {
			lost = append(lost, p)
		}
	}
	var notes []string
	for _, p := range slices.Backward(lost) {
		at, found := nearest(left, p, 0)
		if !found {
			notes = append(notes, fmt.Sprintf("%s was put at place %d: the rules that it stood between are gone", objectName(p.object), at+1))
		}
		left = slices.Insert(left, at, toCome(p))
	}
	return left, notes
}

// nearest is where a rule goes: between its neighbours, else before the one that
// followed it, else after the one before it, else at its number. Of several
// like places it is the one nearest to its number; below is how many rules that
// stood before it are still to come.
func nearest(all []slot, p *pending, below int) (at int, found bool) {
	place := p.step.Place
	want := min(max(place.Index-1-below, 0), len(all))
	best, bestScore := want, 0
	for i := range len(all) + 1 {
		score := 0
		if place.Next != "" && printAt(all, i) == place.Next {
			score += 2
		}
		if place.Prev != "" && printAt(all, i-1) == place.Prev {
			score++
		}
		if score > bestScore || score > 0 && score == bestScore && distance(i, want) < distance(best, want) {
			best, bestScore = i, score
		}
	}
	switch {
	case bestScore > 0:
		return best, true
	case place.Next == "" && place.Prev == "":
		return want, true // it stood alone
	case place.Next == "":
		return len(all), false
	}
	return want, false
}
