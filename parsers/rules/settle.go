package rules

import (
	"fmt"
	"slices"

	"github.com/postrider-mail/postrider/parsers/config"
)

// settle makes of rules that were read what is evaluated, and looks for what is hardly meant.
func (s *Set) settle() {
	for _, r := range s.rules {
		for _, c := range r.clauses {
			c.number = s.clauses
			s.clauses++
			for i := range c.terms {
				c.terms[i].settled = settled(c.terms[i].node)
			}
		}
		all := r.action == SetWith && len(r.clauses) == 1 && len(r.clauses[0].terms) == 1 && r.clauses[0].terms[0].op() == "all" && len(r.clauses[0].counters) == 0
		s.setsMailbox = s.setsMailbox || all && r.clauses[0].with.Mailbox != "" && r.clauses[0].last == AtMessage
		for p := range phases {
			if slices.ContainsFunc(r.clauses, func(c *clause) bool { return c.first <= p && p <= c.last }) {
				s.at[p] = append(s.at[p], r)
			}
		}
	}
	s.places, s.tags = s.findPlaces(), s.findTags()
	s.adviseAllowing()
	s.adviseUnreached()
	s.warnings.Sort()
}

func (s *Set) warnOf(c *clause, format string, args ...any) {
	if len(s.warnings) < mostErrors {
		s.warnings = append(s.warnings, &config.Error{Name: c.at.File, Line: c.at.Line, Col: c.at.Col, Err: fmt.Errorf(format, args...)})
	}
}

// claimed are what a client only says, and proven what shows that it is so.
var (
	claimed = []string{"from", "helo", "ehlo", "author", "header", "source"}
	proven  = []string{"ip", "host", "user", "spf", "dkim", "dmarc", "signer", "trusted", "to"}
)

// adviseAllowing warns of rules that let in whoever says that he is somebody.
func (s *Set) adviseAllowing() {
	for _, r := range s.rules {
		if r.action != Accept {
			continue
		}
		for _, c := range r.clauses {
			says := slices.IndexFunc(c.terms, func(t term) bool { return slices.Contains(claimed, t.op()) })
			if says >= 0 && !slices.ContainsFunc(c.terms, func(t term) bool { return slices.Contains(proven, t.op()) }) && c.terms[says].text != "from <>" {
				s.warnOf(c, "anybody can say %q, and is accepted; add what shows that it is so, such as \"spf pass\", \"dmarc pass\" or \"ip\"", c.terms[says].text)
			}
		}
	}
}

// op is the operator of a term that is a single condition.
func (t term) op() string {
	if l, ok := t.node.(leaf); ok {
		return l.op
	}
	return ""
}

// mostCompared is up to how many rules are compared with each other: it takes time in
// proportion to the square.
const mostCompared = 2000

// adviseUnreached warns of rules that are never true, as one before them decides wherever they would.
func (s *Set) adviseUnreached() {
	var before []*clause
	for _, r := range s.rules {
		for _, c := range r.clauses {
			if i := slices.IndexFunc(before, func(b *clause) bool { return b.covers(c) }); i >= 0 {
				s.warnOf(c, "this is never looked at: the rule at %s decides wherever it would", before[i].at)
			}
			if r.action.decides() && len(c.counters) == 0 && !c.never && len(before) < mostCompared {
				before = append(before, c)
			}
		}
	}
}

// covers reports whether a clause is true wherever another is.
func (c *clause) covers(other *clause) bool {
	if other.first < c.first || other.last > c.last {
		return false
	}
	for _, t := range c.terms {
		if !slices.ContainsFunc(other.terms, t.covers) && t.op() != "all" {
			return false
		}
	}
	return true
}

// covers reports whether a condition is true wherever another is, as far as it shows.
func (t term) covers(other term) bool {
	if t.text == other.text {
		return true
	}
	mine, ok1 := t.node.(leaf)
	its, ok2 := other.node.(leaf)
	if !ok1 || !ok2 || mine.op != its.op {
		return false
	}
	switch a, b := mine.node, its.node; a := a.(type) {
	case addrIs:
		b := b.(addrIs)
		return len(a.set.from)+len(b.set.from)+len(a.set.all)+len(b.set.all) < mostCompared && a.set.covers(b.set)
	case wordsAre:
		return b.(wordsAre).want&^a.want == 0
	case numberIs:
		b := b.(numberIs)
		return a.from <= b.from && b.to <= a.to
	case textIs:
		pattern, ok := b.(textIs).set.(one)
		return ok && covers(a.set, pattern)
	}
	return false
}

// covers reports whether a set has all that a pattern stands for.
func covers(set matcher, pattern one) bool {
	if t, ok := set.(*table); ok && (t.has(pattern.text) || t.null && pattern.kind == ofNull) {
		return true
	}
	switch pattern.kind {
	case ofNull:
		return set.match("")
	case ofExact:
		return set.match(pattern.text)
	case ofDomain:
		return set.match("\x00" + pattern.text)
	case ofLocal:
		return set.match(pattern.text + "\x00")
	case ofBelow: // one that stands for what is below it, and nothing else
		return set.match("\x00@\x00"+pattern.text) || set.match("\x00"+pattern.text)
	}
	return set.match("\x00@\x00")
}
