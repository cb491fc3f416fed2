package rules

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
)

// truth is what a condition comes to. What is not known stays so, unless what is known decides.
type truth int8

const (
	unknown truth = iota
	no
	yes
)

func truthOf(holds, known bool) truth {
	switch {
	case !known:
		return unknown
	case holds:
		return yes
	}
	return no
}

// String gives "yes", "no" or "unknown".
func (t truth) String() string { return [...]string{"unknown", "no", "yes"}[t] }

// node is a condition.
type node interface {
	eval(f Facts) truth
}

// leaf is a condition as it is written.
type leaf struct {
	node
	op, arg string // arg in the form in which it is compared
}

type (
	allOf []node
	anyOf []node
	notOf struct{ node }
)

func (all allOf) eval(f Facts) truth {
	t := yes
	for _, n := range all {
		switch n.eval(f) {
		case no:
			return no
		case unknown:
			t = unknown
		}
	}
	return t
}

func (any anyOf) eval(f Facts) truth {
	t := no
	for _, n := range any {
		switch n.eval(f) {
		case yes:
			return yes
		case unknown:
			t = unknown
		}
	}
	return t
}

func (n notOf) eval(f Facts) truth { return negate(n.node.eval(f)) }

func negate(t truth) truth { return [...]truth{unknown, yes, no}[t] }

// always is "all".
type always struct{}

func (always) eval(Facts) truth { return yes }

// textIs is a fact whose texts are looked for in patterns.
type textIs struct {
	fact Fact
	set  matcher
}

// headerIs looks for a text in the fields of a name.
type headerIs struct {
	name string
	text glob
}

func (n headerIs) eval(f Facts) truth {
	values, known := f.Texts(Header, n.name)
	return truthOf(slices.ContainsFunc(values, n.text.match), known)
}

func (n textIs) eval(f Facts) truth {
	texts, known := f.Texts(n.fact, "")
	for _, t := range texts {
		if n.set.match(lower(t)) {
			return yes
		}
	}
	return truthOf(false, known)
}

// lower folds ASCII, without a copy where there is nothing to fold.
func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}

// sourceIs looks for the client's names, and the sender's domain.
type sourceIs struct{ set matcher }

func (n sourceIs) eval(f Facts) truth {
	result := no
	for _, fact := range [...]Fact{Host, Helo} {
		switch (textIs{fact: fact, set: n.set}).eval(f) {
		case yes:
			return yes
		case unknown:
			result = unknown
		}
	}
	senders, known := f.Texts(From, "")
	for _, s := range senders {
		if i := strings.LastIndexByte(s, '@'); i >= 0 && n.set.match(lower(s[i+1:])) {
			return yes
		}
	}
	if !known {
		return unknown
	}
	return result
}

// addrIs is the client's address among others.
type addrIs struct{ set *spans }

func (n addrIs) eval(f Facts) truth {
	a := f.Addr(IP)
	if !a.IsValid() {
		return unknown
	}
	return truthOf(n.set.has(wideOf(a)), true)
}

// wordsAre is a fact of which one of these words is said.
type wordsAre struct {
	fact Fact
	want Words
}

func (n wordsAre) eval(f Facts) truth {
	hold, known := f.Words(n.fact, n.want)
	switch {
	case hold&known&n.want != 0:
		return yes
	case n.want&^known != 0:
		return unknown
	}
	return no
}

// numberIs compares a fact.
type numberIs struct {
	fact     Fact
	from, to int64 // it is one of these
}

func (n numberIs) eval(f Facts) truth {
	value, known := f.Number(n.fact)
	return truthOf(value >= n.from && value <= n.to, known)
}

// listedIn asks DNS lists.
type listedIn struct {
	list  string
	facts []Fact
}

func (n listedIn) eval(f Facts) truth {
	t := no
	for _, fact := range n.facts {
		switch listed, known := f.Listed(n.list, fact); {
		case listed && known:
			return yes
		case !known:
			t = unknown
		}
	}
	return t
}

// timeIs is a part of the day: from before to is one of it, otherwise it goes over midnight.
type timeIs struct{ from, to int } // minutes

func (n timeIs) eval(f Facts) truth {
	now := f.Time()
	if now.IsZero() {
		return unknown
	}
	at := now.Hour()*60 + now.Minute()
	if n.from <= n.to {
		return truthOf(at >= n.from && at < n.to, true)
	}
	return truthOf(at >= n.from || at < n.to, true)
}

// dayIs is a set of weekdays.
type dayIs struct{ days [7]bool }

func (n dayIs) eval(f Facts) truth {
	now := f.Time()
	return truthOf(n.days[int(now.Weekday())], !now.IsZero())
}

// counter is a tally of how many times it was.
type counter struct {
	n     *atomic.Uint64
	holds func(n uint64) bool // n counts from 1
	not   bool
}

// eval is for none but who explains: a counter is no condition of one moment.
func (c *counter) eval(f Facts) truth {
	holds, _ := c.count(f, true)
	return truthOf(holds, true)
}

// count implements tally.
func (c *counter) count(_ Facts, peek bool) (bool, reached) {
	n := c.n.Load() + 1
	if !peek {
		n = c.n.Add(1)
	}
	return c.holds(n) != c.not, reached{}
}

func (c *counter) flip() { c.not = !c.not }

func firstOf(limit uint64) func(uint64) bool { return func(n uint64) bool { return n <= limit } }

func everyOf(step uint64) func(uint64) bool { return func(n uint64) bool { return n%step == 0 } }

// chanceOf is true so many times of a million, in an order that the seed fixes.
func chanceOf(million uint64, seed uint64) func(uint64) bool {
	return func(n uint64) bool { return mixed(seed+n*0x9e3779b97f4a7c15)%1e6 < million }
}

// mixed is a number of which each bit depends on all of x (the finalizer of MurmurHash3).
func mixed(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// anySeed is one that nobody knows.
func anySeed() uint64 { return maphash.String(maphash.MakeSeed(), "chance") }
