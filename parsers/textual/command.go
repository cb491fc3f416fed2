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

// NextArg splits the first argument off s. Arguments are separated by white
// space; what stands in "quotes" (with backslash escapes, RFC 5321 §4.1.2
// Quoted-string) or in <angle brackets> belongs to one argument, quotes and
// brackets included. An opening without its closing reaches to the end.
// When arg is empty, none was left. Nothing is copied.
func NextArg(s []byte) (arg, rest []byte) {
	s = trim(s)
	quoted, angle := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case blank(c) && !angle:
			return s[:i], trim(s[i:])
		}
	}
	return s, nil
}

// Args iterates over the arguments of s as NextArg splits them.
func Args(s []byte) func(yield func(arg []byte) bool) {
	return func(yield func([]byte) bool) {
		for {
			var arg []byte
			if arg, s = NextArg(s); len(arg) == 0 || !yield(arg) {
				return
			}
		}
	}
}

// Unquote returns what a quoted string stands for: without the quotes around
// it and the backslashes within. It returns s itself if it is not quoted, and
// allocates only if there is a backslash.
func Unquote(s []byte) []byte {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	var out []byte
	from := 0
	for i := 0; i < len(s)-1; i++ {
		if s[i] == '\\' {
			out = append(out, s[from:i]...)
			i++
			from = i
		}
	}
	if out == nil {
		return s
	}
	return append(out, s[from:]...)
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
