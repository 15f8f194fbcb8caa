package edit

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/change"
)

// find gives where in the chain the rule with a fingerprint stands: at its
// recorded place, else the nearest with the same neighbours, else the nearest.
// It is -1 where there is none.
func (c *chain) find(print string, at change.Place) int {
	fits := func(i int) bool { return c.rules[i].print == print }
	if i := at.Index - 1; i >= 0 && i < len(c.rules) && fits(i) {
		return i
	}
	exact := func(i int) bool {
		return fits(i) && c.printAt(i-1) == at.Prev && c.printAt(i+1) == at.Next
	}
	if i := nearest(len(c.rules), at.Index-1, exact); i >= 0 {
		return i
	}
	return nearest(len(c.rules), at.Index-1, fits)
}

// printAt is the fingerprint at a place; "" beyond the ends.
func (c *chain) printAt(i int) string {
	if i < 0 || i >= len(c.rules) {
		return ""
	}
	return c.rules[i].print
}

// stands says whether the rule stands between its recorded neighbours already.
func (c *chain) stands(print string, at change.Place) bool {
	exact := func(i int) bool {
		return c.printAt(i) == print && c.printAt(i-1) == at.Prev && c.printAt(i+1) == at.Next
	}
	i := at.Index - 1
	if i >= 0 && i < len(c.rules) && c.printAt(i-1) == at.Prev && c.printAt(i) == at.Next {
		return false // the gap is open: a neighbour may look just like the rule
	}
	return nearest(len(c.rules), i, exact) >= 0
}

// gap gives before which rule to put a rule back, by its recorded neighbours.
// The note says what of them is gone; "" where both are as they were.
func (c *chain) gap(at change.Place) (before int, note string) {
	n, want := len(c.rules)+1, at.Index-1
	after := func(i int) bool { return c.printAt(i-1) == at.Prev }
	next := func(i int) bool { return c.printAt(i) == at.Next }
	if i := nearest(n, want, func(i int) bool { return after(i) && next(i) }); i >= 0 {
		return i, ""
	}
	if at.Next != "" {
		if i := nearest(n, want, next); i >= 0 {
			return i, "put before the rule that followed it: the one that preceded it is gone or has moved"
		}
	}
	if at.Prev != "" {
		if i := nearest(n, want, after); i >= 0 {
			return i, "put behind the rule that preceded it: the one that followed it is gone or has moved"
		}
	}
	before = min(max(want, 0), len(c.rules))
	where := fmt.Sprintf("put at place %d", before+1)
	if before == len(c.rules) {
		where = "put at the end"
	}
	return before, where + ": its neighbours are gone"
}

// nearest gives the i below n that fits and is nearest to want; -1 for none.
func nearest(n, want int, fits func(int) bool) int {
	for away := 0; away <= max(want, n-want); away++ {
		if i := want - away; i >= 0 && i < n && fits(i) {
			return i
		}
		if i := want + away; i >= 0 && i < n && fits(i) {
			return i
		}
	}
	return -1
}
