package change

import (
	"maps"
	"slices"
)

// Listed is an object in its place, for a person.
type Listed struct {
	Fingerprint string
	Text        string
}

// Difference is an object that is not in both of two worlds at the same place
// among the others.
type Difference struct {
	Place string `json:"place"` // as the keys of World.Places
	Kind  string `json:"kind"`  // added, removed, moved
	Text  string `json:"text"`
	// Was and Is are its numbers before and now, from 1; 0 where it is not there.
	Was int `json:"was"`
	Is  int `json:"is"`
}

// The kinds of a Difference.
const (
	Added   = "added"
	Removed = "removed"
	Moved   = "moved"
)

// Compare gives the differences between two worlds, place by place.
func Compare(before, now map[string][]Listed) []Difference {
	places := map[string]bool{}
	for p := range before {
		places[p] = true
	}
	for p := range now {
		places[p] = true
	}
	out := []Difference{}
	for _, p := range slices.Sorted(maps.Keys(places)) {
		out = append(out, comparePlace(p, before[p], now[p])...)
	}
	return out
}

// comparePlace pairs equal objects in their order. What has no partner was added
// or removed; of the pairs those moved which are not on the longest way that goes
// upwards on both sides.
func comparePlace(place string, before, now []Listed) (out []Difference) {
	waiting := map[string][]int{}
	for i, o := range now {
		waiting[o.Fingerprint] = append(waiting[o.Fingerprint], i)
	}
	var was, is []int // of the pairs
	paired := map[int]bool{}
	for i, o := range before {
		w := waiting[o.Fingerprint]
		if len(w) == 0 {
			out = append(out, Difference{place, Removed, o.Text, i + 1, 0})
			continue
		}
		was, is, waiting[o.Fingerprint] = append(was, i), append(is, w[0]), w[1:]
		paired[w[0]] = true
	}
	stays := Rising(is)
	for n, i := range is {
		if !stays[n] {
			out = append(out, Difference{place, Moved, now[i].Text, was[n] + 1, i + 1})
		}
	}
	for i, o := range now {
		if !paired[i] {
			out = append(out, Difference{place, Added, o.Text, 0, i + 1})
		}
	}
	return out
}

// Rising marks a longest sequence of numbers that rise.
func Rising(numbers []int) []bool {
	var ends []int // ends[k]: where the sequence of length k+1 with the lowest end ends
	before := make([]int, len(numbers))
	for i, n := range numbers {
		k, _ := slices.BinarySearchFunc(ends, n, func(at, n int) int { return numbers[at] - n })
		before[i] = -1
		if k > 0 {
			before[i] = ends[k-1]
		}
		ends = append(ends[:k], append([]int{i}, ends[min(k+1, len(ends)):]...)...)
	}
	out := make([]bool, len(numbers))
	if len(ends) == 0 {
		return out
	}
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		out[i] = true
	}
	return out
}
