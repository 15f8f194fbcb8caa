package host

import "slices"

// A Point is an ordered value with neighbours: a port, a protocol number, an
// address. netip.Addr is one as it stands.
type Point[T any] interface {
	comparable
	Compare(T) int
	Next() T
	Prev() T
}

// Range is a closed interval: both ends belong to it.
type Range[T Point[T]] struct{ Lo, Hi T }

// Set is a set of points as sorted, disjoint ranges that do not touch.
// A nil Set is everything; an empty one that is not nil is nothing. So the
// zero value of whatever holds a Set says "not restricted".
type Set[T Point[T]] []Range[T]

// Nothing is the empty set.
func Nothing[T Point[T]]() Set[T] { return Set[T]{} }

// Of gives the set of the ranges, in canonical form. Ranges that run
// backwards are empty. Of() is nothing.
func Of[T Point[T]](ranges ...Range[T]) Set[T] {
	in := make(Set[T], 0, len(ranges))
	for _, r := range ranges {
		if r.Lo.Compare(r.Hi) <= 0 {
			in = append(in, r)
		}
	}
	return in.canonical()
}

func (s Set[T]) canonical() Set[T] {
	if len(s) < 2 {
		return s
	}
	slices.SortFunc(s, func(a, b Range[T]) int { return a.Lo.Compare(b.Lo) })
	out := s[:1]
	for _, r := range s[1:] {
		last := &out[len(out)-1]
		if touches(last.Hi, r.Lo) {
			if r.Hi.Compare(last.Hi) > 0 {
				last.Hi = r.Hi
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// touches says whether a range that starts at lo continues one that ends at
// hi. Next of the last point wraps or is invalid, hence the first comparison.
func touches[T Point[T]](hi, lo T) bool {
	return lo.Compare(hi) <= 0 || hi.Compare(lo) < 0 && hi.Next() == lo
}

// Any says whether the set is everything.
func (s Set[T]) Any() bool { return s == nil }

// Empty says whether the set is nothing.
func (s Set[T]) Empty() bool { return s != nil && len(s) == 0 }

// Has says whether the point is in the set.
func (s Set[T]) Has(p T) bool { return s == nil || s.Contains(Set[T]{{p, p}}) }

// Contains says whether every point of o is in s. A set that was restricted
// never contains everything: callers write a full domain as nil.
func (s Set[T]) Contains(o Set[T]) bool {
	if s == nil {
		return true
	}
	if o == nil {
		return false
	}
	i := 0
	for _, r := range o {
		for i < len(s) && s[i].Hi.Compare(r.Lo) < 0 {
			i++
		}
		if i == len(s) || s[i].Lo.Compare(r.Lo) > 0 || s[i].Hi.Compare(r.Hi) < 0 {
			return false
		}
	}
	return true
}

// Intersect gives the points in both sets.
func (s Set[T]) Intersect(o Set[T]) Set[T] {
	if s == nil {
		return o
	}
	if o == nil {
		return s
	}
	out := Set[T]{}
	if longer := max(len(s), len(o)); longer > 8 && min(len(s), len(o)) > 1 {
		out = make(Set[T], 0, longer)
	}
	for i, j := 0, 0; i < len(s) && j < len(o); {
		lo, hi := s[i].Lo, s[i].Hi
		if o[j].Lo.Compare(lo) > 0 {
			lo = o[j].Lo
		}
		if o[j].Hi.Compare(hi) < 0 {
			hi = o[j].Hi
		}
		if lo.Compare(hi) <= 0 {
			out = append(out, Range[T]{lo, hi})
		}
		if s[i].Hi.Compare(o[j].Hi) < 0 {
			i++
		} else {
			j++
		}
	}
	return out
}

// Union gives the points in either set.
func (s Set[T]) Union(o Set[T]) Set[T] {
	if s == nil || o == nil {
		return nil
	}
	out := make(Set[T], 0, len(s)+len(o)) // not slices.Concat: of two empty sets it makes nil, which is everything
	return append(append(out, s...), o...).canonical()
}

// Equal says whether both sets hold the same points.
func (s Set[T]) Equal(o Set[T]) bool { return (s == nil) == (o == nil) && slices.Equal(s, o) }

// complement gives the points of the domain that are not in s.
func (s Set[T]) complement(domain Range[T]) Set[T] {
	if s == nil {
		return Set[T]{}
	}
	out, lo := make(Set[T], 0, len(s)+1), domain.Lo
	for _, r := range s {
		if lo.Compare(r.Lo) < 0 {
			out = append(out, Range[T]{lo, r.Lo.Prev()})
		}
		if r.Hi == domain.Hi {
			return out.whole(domain)
		}
		lo = r.Hi.Next()
	}
	return append(out, Range[T]{lo, domain.Hi}).whole(domain)
}

// whole writes a set that fills its domain as everything.
func (s Set[T]) whole(domain Range[T]) Set[T] {
	if len(s) == 1 && s[0] == domain {
		return nil
	}
	return s
}
