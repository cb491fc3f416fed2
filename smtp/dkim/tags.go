package dkim

import (
	"strings"
	"unicode/utf8"
)

// maxTags is how many tags of a list are read. The RFCs know 13 in a signature and
// 8 in a key record; each tag is compared with those before it.
const maxTags = 64

// tag is one "name=value" of a tag list (RFC 6376 §3.2).
type tag struct {
	name  string
	value string // without the white space around it; folds within remain
	// from and to are where the value and the white space around it stand in the list.
	from, to int
}

// parseTags reads a tag list, the value of a DKIM-Signature field or a key record, and
// appends its tags to dst. Values may hold UTF-8 (RFC 8616 §5).
func parseTags(dst []tag, list string) ([]tag, Reason) {
	for at := 0; at < len(list); {
		end := strings.IndexByte(list[at:], ';')
		if end < 0 {
			end = len(list)
		} else {
			end += at
		}
		spec := list[at:end]
		if end == len(list) && at > 0 && trim(spec) == "" {
			break // what follows the last semicolon
		}
		t, reason := parseTag(spec)
		if reason != "" {
			return dst, reason
		}
		t.from, t.to = at+t.from, end
		if _, twice := lookup(dst, t.name); twice {
			return dst, reasonTagTwice
		}
		if len(dst) == maxTags {
			return dst, reasonTooManyTags
		}
		dst = append(dst, t)
		at = end + 1
	}
	if len(dst) == 0 {
		return dst, reasonNoTags
	}
	return dst, ""
}

// parseTag reads what stands between two semicolons.
func parseTag(spec string) (tag, Reason) {
	name, value, ok := strings.Cut(spec, "=")
	from := len(name) + 1
	name = trim(name)
	if !ok || !isTagName(name) {
		return tag{}, reasonTagSyntax
	}
	value = trim(value)
	if !isTagValue(value) {
		return tag{}, reasonTagCharacter
	}
	return tag{name: name, value: value, from: from}, ""
}

func isTagName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || !(s[i] >= '0' && s[i] <= '9' || s[i] == '_')) {
			return false
		}
	}
	return s != ""
}

// isTagValue reports whether a value has no control characters, but white space.
func isTagValue(s string) bool {
	ascii := true
	for i := range len(s) {
		c := s[i]
		if c < ' ' && !isSpace(c) || c == 0x7f {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.ValidString(s)
}

// lookup finds a tag by its name, whose case counts.
func lookup(tags []tag, name string) (tag, bool) {
	for _, t := range tags {
		if t.name == name {
			return t, true
		}
	}
	return tag{}, false
}

// isSpace reports whether c is white space or part of a fold.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func trim(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// unspaced returns s without any white space.
func unspaced(s string) string {
	for i := range len(s) {
		if isSpace(s[i]) {
			return string(appendUnspaced(make([]byte, 0, len(s)), s))
		}
	}
	return s
}

// appendUnspaced appends s without any white space.
func appendUnspaced(dst []byte, s string) []byte {
	for i := range len(s) {
		if !isSpace(s[i]) {
			dst = append(dst, s[i])
		}
	}
	return dst
}

// bareCR reports whether s has a CR that folds no line: it is no white space (RFC 6376 §2.8), though whoever
// leaves it out reads the same signature.
func bareCR(s string) bool {
	for i := range len(s) {
		if s[i] == '\r' && (i+2 >= len(s) || s[i+1] != '\n' || s[i+2] != ' ' && s[i+2] != '\t') {
			return true
		}
	}
	return false
}

// listed reports whether a list with colons holds a word, in any case.
func listed(list, word string) bool {
	for item := range strings.SplitSeq(list, ":") {
		if strings.EqualFold(trim(item), word) {
			return true
		}
	}
	return false
}
