package rfc2822

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// maxWord is the length of the encoded words written. RFC 2047 §2 allows 75
// octets, but 76 for a whole line with a word in it, field name and all.
const maxWord = 62

// EncodeWords writes text for an unstructured field or a phrase in ASCII: the
// words from the first to the last that needs it become encoded words (RFC
// 2047) in UTF-8, short enough to be folded between. Line ends become blanks;
// octets that are not UTF-8 become the replacement character.
func EncodeWords(text string) string {
	text = strings.ToValidUTF8(oneLine(text), "\ufffd")
	words := strings.Split(text, " ")
	first, last := -1, -1
	for i, w := range words {
		if needsEncoding(w) {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return text
	}
	var out []string
	if first > 0 {
		out = append(out, strings.Join(words[:first], " "))
	}
	out = append(out, encodeRun(strings.Join(words[first:last+1], " ")))
	if last+1 < len(words) {
		out = append(out, strings.Join(words[last+1:], " "))
	}
	return strings.Join(out, " ")
}

// oneLine turns line ends and other control characters into blanks.
func oneLine(s string) string {
	s = strings.ReplaceAll(s, "\r\n", " ")
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}

func needsEncoding(word string) bool {
	if strings.Contains(word, "=?") || len(word) > 900 {
		return true
	}
	for i := 0; i < len(word); i++ {
		if word[i] >= 0x80 {
			return true
		}
	}
	return false
}

// encodeRun encodes all of s in words of whole characters, with whichever of Q
// and B is shorter.
func encodeRun(s string) string {
	q := 0
	for i := 0; i < len(s); i++ {
		q += qLen(s[i])
	}
	encode, cost := qWord, func(s string) (n int) {
		for i := 0; i < len(s); i++ {
			n += qLen(s[i])
		}
		return n
	}
	if q > base64.StdEncoding.EncodedLen(len(s)) {
		encode, cost = bWord, func(s string) int { return base64.StdEncoding.EncodedLen(len(s)) }
	}
	const room = maxWord - len("=?utf-8?q??=")
	var out []string
	for s != "" {
		end := 0
		for end < len(s) {
			_, n := utf8.DecodeRuneInString(s[end:])
			if end > 0 && cost(s[:end+n]) > room {
				break
			}
			end += n
		}
		out = append(out, encode(s[:end]))
		s = s[end:]
	}
	return strings.Join(out, " ")
}

// qPlain: what may stand unencoded in a phrase (RFC 2047 §5 (3)), the strictest place.
func qPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!*+-/", c) >= 0
}

func qLen(c byte) int {
	if qPlain(c) || c == ' ' {
		return 1
	}
	return 3
}

func qWord(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString("=?utf-8?q?")
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ':
			b.WriteByte('_')
		case qPlain(c):
			b.WriteByte(c)
		default:
			b.WriteByte('=')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	b.WriteString("?=")
	return b.String()
}

func bWord(s string) string {
	return "=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?="
}
