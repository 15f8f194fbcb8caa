package change

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func listed(words string) (out []Listed) {
	for _, w := range strings.Fields(words) {
		out = append(out, Listed{w, "rule " + w})
	}
	return out
}

func TestCompare(t *testing.T) {
	for _, tc := range []struct{ before, now, want string }{
		{"a b c", "a b c", ""},
		{"a b c", "a c", "removed b 2-0"},
		{"a c", "a b c", "added b 0-2"},
		{"a b c d", "d a b c", "moved d 4-1"},
		{"a b", "b a", "moved a 1-2"},
		{"a a b", "a b a", "moved a 2-3"},
		{"a a", "a", "removed a 2-0"},
		{"a b c", "c x a", "removed b 2-0, moved a 1-3, added x 0-2"},
		{"", "a", "added a 0-1"},
	} {
		var got []string
		for _, d := range Compare(map[string][]Listed{"p": listed(tc.before)}, map[string][]Listed{"p": listed(tc.now)}) {
			got = append(got, fmt.Sprintf("%s %s %d-%d", d.Kind, strings.TrimPrefix(d.Text, "rule "), d.Was, d.Is))
		}
		if g := strings.Join(got, ", "); g != tc.want {
			t.Errorf("%s to %s: %s, want %s", tc.before, tc.now, g, tc.want)
		}
	}
	gone := Compare(map[string][]Listed{"p": listed("a"), "q": nil}, map[string][]Listed{"r": listed("b")})
	if len(gone) != 2 || gone[0].Place != "p" || gone[1].Place != "r" {
		t.Errorf("%+v", gone)
	}
}

// What Compare says, carried out on the one world, gives the other.
func TestCompareIsComplete(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a, b := draw(r), draw(r)
		left := slices.Clone(a)
		rest := slices.Clone(b)
		for _, d := range comparePlace("p", a, b) {
			if d.Was > 0 {
				left[d.Was-1].Fingerprint = ""
			}
			if d.Is > 0 {
				rest[d.Is-1].Fingerprint = ""
			}
		}
		still := func(l Listed) bool { return l.Fingerprint == "" }
		if left, rest = slices.DeleteFunc(left, still), slices.DeleteFunc(rest, still); !slices.Equal(left, rest) {
			t.Fatalf("%v to %v: what stays is %v and %v", a, b, left, rest)
		}
	}
}

func draw(r *rand.Rand) (out []Listed) {
	for range r.IntN(8) {
		out = append(out, Listed{Fingerprint: string(rune('a' + r.IntN(5)))})
	}
	return out
}
