package rfc2822

import (
	"encoding/base64"
	"io"
	"strings"
)

// DecodeWords decodes the encoded words (RFC 2047) in unfolded text and returns
// clean UTF-8: words split within a character are joined first, raw 8-bit text
// is guessed, control characters become blanks, words in unknown charsets stay as
// they are.
func DecodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return printable(s)
	}
	var b strings.Builder
	var run wordRun
	for s != "" {
		before, w, after, ok := nextWord(s)
		if !ok {
			break
		}
		if !run.takes(before, w) {
			run.flush(&b)
			b.WriteString(guessText(before))
		}
		run.add(w)
		s = after
	}
	run.flush(&b)
	b.WriteString(guessText(s))
	return printable(b.String())
}

// encodedWord is one =?charset?encoding?text?=, its text decoded to octets.
type encodedWord struct {
	charset, octets, raw string
}

// maxReadWord is the length of a word's text at most. The RFC allows 75 octets for the
// word; programs write more, but not this much.
const maxReadWord = 4096

// nextWord finds the first encoded word of s.
func nextWord(s string) (before string, w encodedWord, after string, ok bool) {
	for from := 0; ; {
		i := strings.Index(s[from:], "=?")
		if i < 0 {
			return "", w, "", false
		}
		start := from + i
		if w, n := parseWord(s[start:]); n > 0 {
			return s[:start], w, s[start+n:], true
		}
		from = start + 2
	}
}

// parseWord reads the encoded word s begins with and returns its length, or 0.
func parseWord(s string) (encodedWord, int) {
	charset, rest, ok := cutShort(s[2:], 60)
	if !ok || charset == "" || strings.ContainsAny(charset, " \t\"<>()") {
		return encodedWord{}, 0
	}
	encoding, rest, ok := cutShort(rest, 2)
	if !ok || len(encoding) != 1 {
		return encodedWord{}, 0
	}
	end := strings.Index(rest[:min(len(rest), maxReadWord)], "?=")
	if end < 0 {
		return encodedWord{}, 0
	}
	text := rest[:end]
	if strings.Contains(text, "=?") {
		return encodedWord{}, 0 // the next word begins before this one ends
	}
	w := encodedWord{charset: charset, raw: s[:len(s)-len(rest)+end+2]}
	if lang := strings.IndexByte(charset, '*'); lang >= 0 {
		w.charset = charset[:lang] // RFC 2231 §5
	}
	switch encoding {
	case "Q", "q":
		w.octets = decodeQ(text)
	case "B", "b":
		w.octets = decodeBase64(text)
	default:
		return encodedWord{}, 0
	}
	return w, len(w.raw)
}

// cutShort cuts at a question mark that comes within max octets.
func cutShort(s string, max int) (before, after string, ok bool) {
	i := strings.IndexByte(s[:min(len(s), max+1)], '?')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// wordRun joins neighbouring words of one charset, because programs split
// characters between words.
type wordRun struct {
	words   []encodedWord
	charset string
}

// takes reports whether a word goes into the run: only blanks stand before it.
// If they do, but the charset differs, the run is not joined but the blanks vanish.
func (r *wordRun) takes(before string, w encodedWord) bool {
	return len(r.words) > 0 && strings.Trim(before, " \t\r\n") == "" && knownCharset(w.charset) && knownCharset(r.charset)
}

func (r *wordRun) add(w encodedWord) {
	r.words = append(r.words, w)
	r.charset = w.charset
}

func (r *wordRun) flush(b *strings.Builder) {
	for i := 0; i < len(r.words); {
		octets, j := "", i
		for j < len(r.words) && strings.EqualFold(r.words[j].charset, r.words[i].charset) {
			j++
		}
		if j == i+1 {
			octets = r.words[i].octets
		} else {
			var joined strings.Builder
			for _, w := range r.words[i:j] {
				joined.WriteString(w.octets)
			}
			octets = joined.String()
		}
		text, ok := decodeCharset(r.words[i].charset, octets)
		if !ok && !isASCII(octets) { // ASCII is the same in nearly every charset
			text = r.words[i].raw
		}
		b.WriteString(text)
		i = j
	}
	r.words = r.words[:0]
}

// decodeQ decodes the Q encoding (RFC 2047 §4.2); what is wrong stays as it is.
func decodeQ(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			b.WriteByte(' ')
		case c == '=' && i+2 < len(s) && unhex[s[i+1]] >= 0 && unhex[s[i+2]] >= 0:
			b.WriteByte(byte(unhex[s[i+1]]<<4 | unhex[s[i+2]]))
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// decodeBase64 gives what can be decoded.
func decodeBase64(s string) string {
	if out, err := base64.StdEncoding.DecodeString(s); err == nil {
		return string(out)
	}
	out, _ := io.ReadAll(&base64Reader{src: strings.NewReader(s)}) // a string has no errors
	return string(out)
}

// printable makes UTF-8 of one line: raw 8-bit is guessed, control characters become blanks.
func printable(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c >= 0x7f && c <= 0x9f || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, guessText(s))
}

// Text returns the field's value with its encoded words decoded, as UTF-8
// without control characters.
func (f Field) Text() string { return DecodeWords(f.Value()) }
