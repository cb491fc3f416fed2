package rules

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// table holds addresses or hosts, and patterns of them, of which there may be millions: one
// text, and the places in it by their hash.
type table struct {
	text  []byte   // each entry ends with "\n"
	slots []uint64 // of a hash: its upper half, and in the lower one the place in text and one more
	maybe []uint64 // bits by the hash: what is not among them is not there. They stay in a cache, which slots do not
	seed  maphash.Seed

	hosts                       bool // entries have no "@"
	null, any                   bool // "<>", "@"
	exact, local, domain, below bool // kinds that it has
	shortest, longest           int  // of those below a domain, in octets
}

// newTable makes a table of entries in canonical form, which stand in text, each with "\n" behind it.
func newTable(text []byte, hosts bool) *table {
	t := &table{text: text, seed: maphash.MakeSeed(), hosts: hosts, shortest: len(text)}
	size := 16
	for size < 2*bytes.Count(text, []byte{'\n'}) {
		size *= 2
	}
	t.slots, t.maybe = make([]uint64, size), make([]uint64, size/8) // eight bits for each slot
	for at := 0; at < len(text); {
		end := at + bytes.IndexByte(text[at:], '\n')
		t.put(at, text[at:end])
		at = end + 1
	}
	return t
}

func (t *table) put(at int, entry []byte) {
	i := bytes.LastIndexByte(entry, '@')
	switch {
	case string(entry) == "<>":
		t.null = true
	case !t.hosts && len(entry) == 1:
		t.any = true
	case entry[0] == '.':
		t.below, t.shortest, t.longest = true, min(t.shortest, len(entry)), max(t.longest, len(entry))
	case t.hosts || i > 0 && i < len(entry)-1:
		t.exact = true
	case i == 0:
		t.domain = true
	default:
		t.local = true
	}
	h := maphash.Bytes(t.seed, entry)
	word, bit := t.bit(h)
	*word |= bit
	slot := h & uint64(len(t.slots)-1)
	for t.slots[slot] != 0 {
		slot = (slot + 1) & uint64(len(t.slots)-1)
	}
	t.slots[slot] = h&^0xffffffff | uint64(at+1)
}

// bit is where maybe has a hash.
func (t *table) bit(h uint64) (word *uint64, bit uint64) {
	return &t.maybe[h>>38&uint64(len(t.maybe)-1)], 1 << (h >> 32 & 63)
}

// has looks for an entry as it stands there.
func (t *table) has(entry string) bool {
	h := maphash.String(t.seed, entry)
	if word, bit := t.bit(h); *word&bit == 0 {
		return false
	}
	for slot := h & uint64(len(t.slots)-1); t.slots[slot] != 0; slot = (slot + 1) & uint64(len(t.slots)-1) {
		if (t.slots[slot]^h)>>32 != 0 {
			continue
		}
		at := int(t.slots[slot]&0xffffffff) - 1
		end := at + len(entry)
		if end < len(t.text) && t.text[end] == '\n' && string(t.text[at:end]) == entry {
			return true
		}
	}
	return false
}

// one is a single pattern, as stored has it.
type one struct {
	kind kindOf
	text string
}

// kindOf is what a pattern stands for.
type kindOf uint8

const (
	ofExact  kindOf = iota // an address or a host
	ofNull                 // "<>"
	ofAny                  // "@"
	ofLocal                // "a@"
	ofDomain               // "@b"
	ofBelow                // ".b", of addresses "@.b"
)

// newOne makes the matcher of a pattern in canonical form.
func newOne(form string, hosts bool) one {
	n := one{text: stored(form)}
	switch i := strings.LastIndexByte(form, '@'); {
	case form == "<>":
		n.kind = ofNull
	case n.text[0] == '.':
		n.kind = ofBelow
	case hosts:
	case len(form) == 1:
		n.kind = ofAny
	case i == 0:
		n.kind = ofDomain
	case i == len(form)-1:
		n.kind = ofLocal
	}
	return n
}

func (n one) match(s string) bool {
	switch n.kind {
	case ofNull:
		return s == ""
	case ofAny:
		return s != ""
	case ofExact:
		return s == n.text
	case ofDomain:
		return strings.HasSuffix(s, n.text) && strings.LastIndexByte(s, '@') == len(s)-len(n.text)
	case ofLocal:
		return strings.HasPrefix(s, n.text) && strings.LastIndexByte(s, '@') == len(n.text)-1
	}
	// At least one label stands before the dot.
	before := len(s) - len(n.text)
	return before > 0 && s[before-1] != '@' && s[before:] == n.text
}

// match implements matcher. The parts of s that are looked for stand in s, so that nothing is
// put together.
func (t *table) match(s string) bool {
	if s == "" {
		return t.null
	}
	at := -1
	if !t.hosts {
		if at = strings.LastIndexByte(s, '@'); at < 0 {
			return t.any
		}
	}
	if t.any || t.exact && t.has(s) {
		return true
	}
	if at >= 0 && (t.local && t.has(s[:at+1]) || t.domain && t.has(s[at:])) {
		return true
	}
	if !t.below {
		return false
	}
	for i := max(at+2, len(s)-t.longest); i <= len(s)-t.shortest; i++ {
		if s[i] == '.' && t.has(s[i:]) {
			return true
		}
	}
	return false
}

// stored is an entry in the form that a table has it: of "@.b.com" what every address below b.com
// ends with.
func stored(form string) string {
	if strings.HasPrefix(form, "@.") {
		return form[1:]
	}
	return form
}

// spans is addresses: sorted, none touching another. Those of IPv4, of which there may be a million, stand
// apart in as little room as they need.
type spans struct {
	all      []span   // of IPv6
	from, to []uint32 // of IPv4
	begins   []uint32 // by the upper half of an IPv4 address: the first in from and to that may have it
}

// newSpans sorts and unites.
func newSpans(all []span) (set spans) {
	slices.SortFunc(all, func(a, b span) int {
		switch {
		case a.from.less(b.from):
			return -1
		case b.from.less(a.from):
			return 1
		}
		return 0
	})
	n := 0
	for _, s := range all {
		if n > 0 && !all[n-1].to.less(s.from) {
			if all[n-1].to.less(s.to) {
				all[n-1].to = s.to
			}
			continue
		}
		all[n] = s
		n++
	}
	four := 0
	for _, s := range all[:n] {
		if s.from.is4() && s.to.is4() {
			four++
		}
	}
	set.from, set.to, set.all = make([]uint32, 0, four), make([]uint32, 0, four), make([]span, 0, n-four)
	for _, s := range all[:n] {
		if s.from.is4() && s.to.is4() {
			set.from, set.to = append(set.from, uint32(s.from.low)), append(set.to, uint32(s.to.low))
		} else {
			set.all = append(set.all, s)
		}
	}
	if len(set.from) > 1<<10 { // it is worth it
		set.begins = make([]uint32, 1<<16+1)
		at := 0
		for half := range set.begins {
			for at < len(set.to) && set.to[at]>>16 < uint32(half) {
				at++
			}
			set.begins[half] = uint32(at)
		}
	}
	return set
}

// is4 reports whether an address is one of IPv4.
func (a wide) is4() bool { return a.high == 0 && a.low>>32 == 0xffff }

func (set *spans) empty() bool { return len(set.all)+len(set.from) == 0 }

func (set *spans) has(a wide) bool {
	if a.is4() && set.has4(uint32(a.low)) {
		return true
	}
	_, found := slices.BinarySearchFunc(set.all, a, func(s span, a wide) int {
		switch {
		case s.to.less(a):
			return -1
		case a.less(s.from):
			return 1
		}
		return 0
	})
	return found
}

func (set *spans) has4(a uint32) bool {
	low, high := 0, len(set.to)
	if set.begins != nil {
		low, high = int(set.begins[a>>16]), min(high, int(set.begins[a>>16+1])+1)
	}
	for low < high {
		middle := int(uint(low+high) / 2)
		if set.to[middle] < a {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low < len(set.to) && set.from[low] <= a
}

// covers reports whether all of another set that has one span is there.
func (set *spans) covers(other *spans) bool {
	for _, s := range other.all {
		if !slices.ContainsFunc(set.all, func(one span) bool { return !s.from.less(one.from) && !one.to.less(s.to) }) {
			return false
		}
	}
	for i, from := range other.from {
		wholly := false
		for j := range set.from {
			wholly = wholly || set.from[j] <= from && other.to[i] <= set.to[j]
		}
		wide := span{wide{0, 0xffff<<32 | uint64(from)}, wide{0, 0xffff<<32 | uint64(other.to[i])}}
		if !wholly && !slices.ContainsFunc(set.all, func(one span) bool { return !wide.from.less(one.from) && !one.to.less(wide.to) }) {
			return false
		}
	}
	return true
}

// eachLine yields the entries of a pattern file: what stands on its lines before a comment. A comment begins the
// line, or stands behind a blank.
func eachLine(text []byte, yield func(number int, entry []byte)) {
	for number := 1; len(text) > 0; number++ {
		line := text
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = nil
		}
		for i, c := range line {
			if c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
				line = line[:i]
				break
			}
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			yield(number, line)
		}
	}
}

// plainEntry puts an entry in lower case where it stands, and reports whether it is in canonical
// form then: of letters, digits, dots, hyphens and underscores with "@" at one place, which nearly all are.
func plainEntry(entry []byte, hosts bool) bool {
	ats := 0
	for i, c := range entry {
		switch {
		case c >= 'A' && c <= 'Z':
			entry[i] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.':
			if i+1 == len(entry) || entry[i+1] == '.' || i == 0 && !hosts {
				return false
			}
		case c == '@' && !hosts:
			ats++
			if i+1 < len(entry) && entry[i+1] == '.' {
				return false
			}
		case c == '+' && !hosts && ats == 0:
		default:
			return false
		}
	}
	return hosts || ats == 1
}

// entries makes the text of a table of a file's, where it stands. fail is told of lines that are no
// pattern.
func entries(text []byte, hosts bool, form syntaxOf, fail func(number int, line string, err error)) []byte {
	kept := text[:0]
	var more strings.Builder // longer than what stood there
	eachLine(text, func(number int, entry []byte) {
		plain := plainEntry(entry, hosts)
		if !plain && !hosts && bytes.HasPrefix(entry, []byte("@.")) && plainEntry(entry[1:], true) {
			entry, plain = entry[1:], true
		}
		if plain {
			// eachLine is past this line, and what is kept of it is no longer than the line was but for its
			// end, which the last line may lack.
			if len(kept)+len(entry)+1 <= cap(kept) {
				kept = append(append(kept, entry...), '\n')
				return
			}
			fmt.Fprintf(&more, "%s\n", entry)
			return
		}
		canonical, err := form(string(entry))
		if err != nil {
			fail(number, string(entry), err)
			return
		}
		fmt.Fprintf(&more, "%s\n", stored(canonical))
	})
	return append(kept, more.String()...)
}
