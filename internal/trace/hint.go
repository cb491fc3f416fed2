package trace

import (
	"bytes"
	"unicode"
)

// A line of interest has certain words in it, in any spelling. Words are runs of letters, digits and a few signs, and addresses, in lower
// case, so that they stand in a line whichever format it has, and are found without reading it.

// leastWord is how many octets a word has at least: shorter ones stand everywhere.
const leastWord = 3

// Hint says which lines may be of interest: those that have all words of one of its sets. Without a set all
// lines may be, and so they may if a set has no words.
type Hint [][]string

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c == '-' || c == '.' || c == '_' || c == '+' || c >= 0x80
}

// wordsOf are the words of a term that stand in every line that has it: not those that a line would write in
// another way, since it escapes what is no printable ASCII.
func wordsOf(term string) (all []string) {
	low := lower(nil, []byte(term))
	eachWord(low, func(from, to int) {
		word := low[from:to]
		plain := !bytes.ContainsFunc(word, func(r rune) bool { return r > unicode.MaxASCII })
		if before := from - 1; before >= 0 && (low[before] < ' ' || low[before] == 0x7f) {
			plain = false // it is behind an escape that ends with letters
		}
		if plain {
			all = append(all, string(word))
		}
	})
	return all
}

// eachWord calls do with where the words of a text in lower case are, and the addresses, whose parts are
// words as well.
func eachWord(text []byte, do func(from, to int)) {
	word, address, at := -1, -1, false
	end := func(from, to int) {
		if from >= 0 && to-from >= leastWord {
			do(from, to)
		}
	}
	for i := 0; i <= len(text); i++ {
		in := i < len(text) && isWord(text[i])
		if in && word < 0 {
			word = i
		} else if !in {
			end(word, i)
			word = -1
		}
		if in = in || i < len(text) && text[i] == '@'; in {
			if address < 0 {
				address = i
			}
			at = at || text[i] == '@'
			continue
		}
		if at {
			end(address, i)
		}
		address, at = -1, false
	}
}

// lower appends text to b, with letters of ASCII in lower case.
func lower(b, text []byte) []byte {
	n := len(b)
	b = append(b, text...)
	for i, c := range b[n:] {
		if c >= 'A' && c <= 'Z' {
			b[n+i] = c + 'a' - 'A'
		}
	}
	return b
}

// any reports whether a text can be of interest, of which has tells whether it has a word.
func (h Hint) any(has func(word string) bool) bool {
	if len(h) == 0 {
		return true
	}
sets:
	for _, set := range h {
		for _, word := range set {
			if !has(word) {
				continue sets
			}
		}
		return true
	}
	return false
}

// those are the sets of which a text can have lines; ok is false if there can be none of interest.
func (h Hint) those(has func(word string) bool) (left Hint, ok bool) {
	for i := range h {
		if h[i : i+1].any(has) {
			left = append(left, h[i])
		}
	}
	return left, len(h) == 0 || len(left) > 0
}

// sieve lets pass what a hint says. It is not to be used concurrently.
type sieve struct {
	Hint
	low []byte
}

func (s *sieve) passes(line []byte) bool {
	if len(s.Hint) == 0 {
		return true
	}
	s.low = lower(s.low[:0], line)
	return s.any(func(word string) bool { return bytes.Contains(s.low, []byte(word)) })
}
