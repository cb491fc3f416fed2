package zone

import (
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// mostOctets is what one string of a TXT record holds (RFC 1035 §3.3).
const mostOctets = 255

// txtStrings parts a text into strings that a TXT record can have, none of them
// cut within a character, escaped as the master format has them.
func txtStrings(text string) []string {
	var parts []string
	for len(text) > mostOctets {
		cut := mostOctets
		for cut > mostOctets-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		parts, text = append(parts, escape(text[:cut])), text[cut:]
	}
	return append(parts, escape(text))
}

// escape writes a text as package dns keeps strings: in the master format.
func escape(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }

// unescape is the reverse, for what a server has sent.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' || i+1 == len(s) {
			b = append(b, c)
			continue
		}
		if i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]) {
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+s[i+3]-'0')
			i += 3
			continue
		}
		i++
		b = append(b, s[i])
	}
	return string(b)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// text is what a TXT record says: its strings put together, with nothing between
// them.
func text(t *dns.TXT) string {
	var b strings.Builder
	for _, s := range t.Txt {
		b.WriteString(unescape(s))
	}
	return b.String()
}

// Value is a record's value as the forms of providers take it: of a TXT record
// its text without quotes, of any other what stands behind its type.
func Value(rr dns.RR) string {
	if t, ok := rr.(*dns.TXT); ok {
		return text(t)
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}

// Type is a record's type as it is written.
func Type(rr dns.RR) string { return dns.TypeToString[rr.Header().Rrtype] }

// Name is a record's name without the dot at its end.
func Name(rr dns.RR) string { return strings.TrimSuffix(rr.Header().Name, ".") }

// Long reports whether a record is one that forms are known to spoil: a text of
// more than one string.
func Long(rr dns.RR) bool {
	t, ok := rr.(*dns.TXT)
	return ok && len(t.Txt) > 1
}
