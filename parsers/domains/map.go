package domains

import (
	"iter"
	"strings"
)

// Map holds a value for each pattern. A pattern is a domain, which fits itself;
// ".example.com" or "*.example.com", which fits every domain below example.com and
// not example.com; or "*", which fits all. Of several that fit a domain the most
// particular one counts: the domain itself, then the longest that begins with a
// dot, then "*".
//
// The zero Map is empty and ready. Reading it concurrently is safe while nobody
// calls Set.
type Map[T any] struct {
	exact, below map[Name]T
	all          *T
}

// NewMap makes a Map of patterns with their values.
func NewMap[T any](patterns map[string]T) Map[T] {
	var m Map[T]
	for pattern, v := range patterns {
		m.Set(pattern, v)
	}
	return m
}

// Set gives a pattern a value, in place of the one it had. Its domain may be in
// any form.
func (m *Map[T]) Set(pattern string, v T) {
	parent, isBelow := CutBelow(pattern)
	switch {
	case pattern == "*":
		m.all = &v
	case isBelow:
		put(&m.below, Canonical(parent), v)
	default:
		put(&m.exact, Canonical(pattern), v)
	}
}

func put[T any](to *map[Name]T, n Name, v T) {
	if *to == nil {
		*to = make(map[Name]T)
	}
	(*to)[n] = v
}

// Of returns the value of a pattern itself, in whatever form.
func (m *Map[T]) Of(pattern string) (v T, ok bool) {
	parent, isBelow := CutBelow(pattern)
	switch {
	case pattern == "*":
		if m.all != nil {
			return *m.all, true
		}
	case isBelow:
		v, ok = m.below[Canonical(parent)]
	default:
		v, ok = m.exact[Canonical(pattern)]
	}
	return v, ok
}

// Get returns the value of the most particular pattern that fits a domain.
func (m *Map[T]) Get(domain Name) (v T, ok bool) {
	for v := range m.Each(domain) {
		return v, true
	}
	return v, false
}

// Each yields the values of all patterns that fit a domain, the most particular
// one first.
func (m *Map[T]) Each(domain Name) iter.Seq[T] {
	return func(yield func(T) bool) {
		if v, ok := m.exact[domain]; ok && !yield(v) {
			return
		}
		for rest := string(domain); len(m.below) > 0; {
			_, parent, more := strings.Cut(rest, ".")
			if !more {
				break
			}
			if v, ok := m.below[Name(parent)]; ok && !yield(v) {
				return
			}
			rest = parent
		}
		if m.all != nil {
			yield(*m.all)
		}
	}
}

// All yields every value, in no order.
func (m *Map[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, values := range []map[Name]T{m.exact, m.below} {
			for _, v := range values {
				if !yield(v) {
					return
				}
			}
		}
		if m.all != nil {
			yield(*m.all)
		}
	}
}

// CutBelow returns the domain of a pattern that fits all domains below one:
// "example.com" of ".example.com" and of "*.example.com". isBelow is false for
// any other pattern.
func CutBelow(pattern string) (parent string, isBelow bool) {
	parent = strings.TrimPrefix(pattern, "*")
	return strings.CutPrefix(parent, ".")
}
