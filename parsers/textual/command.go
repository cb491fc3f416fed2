package textual

import "bytes"

// Command splits a command line at its first white space: "MAIL FROM:<a@b>"
// is "MAIL" and "FROM:<a@b>". White space around both is not part of either.
// Nothing is copied: both lie in line. Where white space counts, as in the
// password of POP3's PASS, use Cut.
func Command(line []byte) (verb, args []byte) {
	line = trim(line)
	for i, c := range line {
		if blank(c) {
			return line[:i], trim(line[i:])
		}
	}
	return line, nil
}

// Cut splits a command line at its first space and leaves everything else as
// it is: "PASS  a b " is "PASS" and " a b ".
func Cut(line []byte) (verb, rest []byte) {
	verb, rest, _ = bytes.Cut(line, []byte{' '})
	return verb, rest
}

// Is reports whether word, in any case, is the upper-case keyword. Only ASCII
// letters have case (RFC 5321 §2.4).
func Is(word []byte, keyword string) bool {
	if len(word) != len(keyword) {
		return false
	}
	for i, c := range word {
		if upper(c) != keyword[i] {
			return false
		}
	}
	return true
}

// Upper turns the ASCII letters of word into capitals, in place, and returns
// it: map lookups with string(Upper(verb)) do not allocate.
func Upper(word []byte) []byte {
	for i, c := range word {
		word[i] = upper(c)
	}
	return word
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// trim removes white space around s.
func trim(s []byte) []byte {
	for len(s) > 0 && blank(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && blank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}
