package smtp

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// DecodeXtext undoes EncodeXtext (RFC 3461 §4). Lower-case digits are understood
// too. ok is false for what is not xtext.
func DecodeXtext(s string) (decoded string, ok bool) { return lineserver.Xtext(s) }

func isXchars(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '!' || s[i] > '~' || s[i] == '+' || s[i] == '=' {
			return false
		}
	}
	return true
}

// EncodeXtext writes s as a parameter value that may hold any octet
// (RFC 3461 §4).
func EncodeXtext(s string) string {
	if isXchars(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		if isXchars(s[i : i+1]) {
			b = append(b, s[i])
		} else {
			b = append(b, '+', hex[s[i]>>4], hex[s[i]&15])
		}
	}
	return string(b)
}

// decodeUnitext undoes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 §3):
// characters may stand as they are or as \x{HEX}. Old senders write xtext.
func decodeUnitext(s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	if isASCII(s) && strings.IndexByte(s, '\\') < 0 {
		return DecodeXtext(s)
	}
	var b strings.Builder
	for s != "" {
		hex, isEscape := strings.CutPrefix(s, `\x{`)
		if !isEscape {
			if s[0] == '\\' {
				return "", false
			}
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		digits, rest, found := strings.Cut(hex, "}")
		n, err := strconv.ParseUint(digits, 16, 32)
		if !found || err != nil || len(digits) < 2 || len(digits) > 6 || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		b.WriteRune(rune(n))
		s = rest
	}
	return b.String(), true
}
