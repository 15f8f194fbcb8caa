package edit

import (
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
)

// rules makes a chain of rules, each named by one letter.
func rules(names string) []slot {
	var out []slot
	for _, n := range names {
		out = append(out, slot{print: string(n), handle: 1})
	}
	return out
}

// removed makes pending rules as they stood in a chain.
func removed(chain, gone string) []*pending {
	var out []*pending
	for _, n := range gone {
		i := strings.IndexRune(chain, n)
		s := &step{Step: change.Step{Place: change.Place{Index: i + 1}}}
		if i > 0 {
			s.Place.Prev = chain[i-1 : i]
		}
		if i+1 < len(chain) {
			s.Place.Next = chain[i+1 : i+2]
		}
		out = append(out, &pending{s, &change.Object{Fingerprint: string(n)}})
	}
	return out
}

func TestRulesFindTheirPlaces(t *testing.T) {
	for _, c := range []struct {
		was, gone, left, want string
		notes                 int
	}{
		{"abcdef", "c", "abdef", "abcdef", 0},
		{"abcdef", "abcdef", "", "abcdef", 0},
		{"abcdef", "fa", "bcde", "abcdef", 0},
		{"abcdef", "ebc", "adf", "abcdef", 0},
		{"abcd", "b", "XacdY", "XabcdY", 0}, // others came at both ends
		{"abcd", "d", "abcYZ", "abcdYZ", 0}, // it was last; others came after
		{"abcd", "a", "XYbcd", "XYabcd", 0}, // it was first; others came before
		{"abcd", "b", "aXcd", "aXbcd", 0},   // one came between: before the next
		{"abcd", "b", "acXd", "abcXd", 0},   // the next was where it was
		{"abcd", "bc", "ad", "abcd", 0},     // together
		{"abcd", "bc", "Xa", "Xabc", 0},     // the next is gone: after the one before
		{"abcdef", "c", "aXYf", "aXcYf", 1}, // both are gone: at its number
		{"abcdef", "f", "a", "af", 1},       // both are gone, and it was last
		{"a", "a", "XY", "aXY", 0},          // it was alone
		{"aba", "b", "aa", "aba", 0},        // like rules on both sides
	} {
		got, notes := merge(rules(c.left), removed(c.was, c.gone))
		var order string
		for _, s := range got {
			order += s.print
		}
		if order != c.want || len(notes) != c.notes {
			t.Errorf("%q without %q, now %q: got %q with notes %q, want %q with %d", c.was, c.gone, c.left, order, notes, c.want, c.notes)
		}
	}
}
