package remediate

import (
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
)

// taken makes the steps that took the rules with capital letters out of a chain.
func taken(backend, chain string) (was []string, steps []change.Step) {
	for i, r := range strings.Fields(chain) {
		was = append(was, r)
		if r != strings.ToLower(r) {
			at := i + 1
			if backend == xTables {
				at -= len(steps)
			}
			o := &change.Object{Kind: "rule", Backend: backend, Family: "ip", Table: "nat", Chain: "PREROUTING", Fingerprint: r}
			steps = append(steps, change.Step{Action: change.Delete, Before: o, Place: change.Place{Index: at}, Reversible: true})
		}
	}
	return was, steps
}

// putIn carries the steps out as the editors do: all at once by their numbers, or
// one after another beside their neighbours.
func putIn(t *testing.T, is []string, steps []change.Step) string {
	t.Helper()
	out := append([]string{}, is...)
	insert := func(i int, print string) { out = append(out[:i], append([]string{print}, out[i:]...)...) }
	if len(steps) > 0 && steps[0].After.Backend == xTables {
		for _, s := range steps {
			i := s.Place.Index - 1
			if i > 0 && out[i-1] != s.Place.Prev || i < len(out) && out[i] != s.Place.Next {
				t.Fatalf("%q: %+v has other neighbours", out, s.Place)
			}
			insert(i, s.After.Fingerprint)
		}
		return strings.Join(out, " ")
	}
	for want := 1; want <= len(is)+len(steps); want++ {
		for _, s := range steps {
			if s.Place.Index == want {
				insert(want-1, s.After.Fingerprint)
			}
		}
	}
	for _, s := range steps {
		i := s.Place.Index - 1
		if i > 0 && out[i-1] != s.Place.Prev || i+1 < len(out) && out[i+1] != s.Place.Next {
			t.Fatalf("%q: %+v has other neighbours", out, s.Place)
		}
	}
	return strings.Join(out, " ")
}

func TestGaps(t *testing.T) {
	for _, tc := range []struct{ was, is, want string }{
		{"a B c", "a c", "a B c"},
		{"A B c D", "c", "A B c D"},
		{"A", "", "A"},
		{"a B c", "x a y c z", "x a y B c z"},     // beside the one that followed
		{"a B c", "a x", "a B x"},                 // which is gone: behind the one before
		{"a B c", "x y", "x B y"},                 // both gone: at its number
		{"a B C d", "a x d", "a x B C d"},         // side by side stay so
		{"a b C d e", "x y z a e", "x y z a C e"}, // the numbers have shifted, the near ones are gone
		{"a b C d e f", "f x a b", "f x a b C"},   // the order was turned: by those that stand together
		{"a b C d e f", "d e f x a b", "C d e f x a b"},
		{"A b C d E", "d b", "A C d E b"},
		{"a B a B a", "a a a", "a B a B a"},
		{"a B c D e", "x c", "x B c D"},
	} {
		for _, backend := range []string{"nf_tables", xTables} {
			was, steps := taken(backend, tc.was)
			place := placeOf(steps[0].Before)
			back := change.Invert(inGaps(steps, steps, map[string][]string{place: was}, map[string][]string{place: strings.Fields(tc.is)}))
			if got := putIn(t, strings.Fields(tc.is), back); got != tc.want {
				t.Errorf("%s: %q is %q now: %q, want %q", backend, tc.was, tc.is, got, tc.want)
			}
		}
	}
}

// Steps that are not of the chain as it was keep their own places.
func TestGapsOfAnotherChain(t *testing.T) {
	_, steps := taken("nf_tables", "a B c")
	place := placeOf(steps[0].Before)
	for _, was := range [][]string{{"a", "x", "c"}, {"a"}, nil} {
		got := inGaps(steps, steps, map[string][]string{place: was}, map[string][]string{place: {"q"}})
		if got[0].Place != steps[0].Place {
			t.Errorf("%q: %+v", was, got[0].Place)
		}
	}
}
