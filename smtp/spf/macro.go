package spf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// macro is one piece of a macro string (RFC 7208 §7.1): text, or a value that is
// put there.
type macro struct {
	text    string // if letter is 0
	letter  byte   // in lower case
	escape  bool   // it was a capital: the value is escaped as in a URL
	keep    int    // how many parts of the value from the right; 0 is all
	reverse bool
	delims  string // where the value is cut into parts; "" is a dot
}

// scanMacro reads the piece that s begins with, and returns its length, or 0 if it
// is none.
func scanMacro(s string) (m macro, length int) {
	if s[0] != '%' {
		end := strings.IndexByte(s, '%')
		if end < 0 {
			end = len(s)
		}
		return macro{text: s[:end]}, end
	}
	if len(s) < 2 {
		return m, 0
	}
	switch s[1] {
	case '%':
		return macro{text: "%"}, 2
	case '_':
		return macro{text: " "}, 2
	case '-':
		return macro{text: "%20"}, 2
	case '{':
		return scanValue(s)
	}
	return m, 0
}

// scanValue reads "%{", a letter, digits, "r", delimiters and "}".
func scanValue(s string) (m macro, length int) {
	end := strings.IndexByte(s, '}')
	if end < 3 || !strings.ContainsRune("slodiphcrtv", rune(s[2]|0x20)) {
		return m, 0
	}
	m.letter, m.escape = s[2]|0x20, s[2] < 'a'
	rest := s[3:end]
	digits := 0
	for digits < len(rest) && isDigit(rest[digits]) {
		m.keep = min(m.keep*10+int(rest[digits]-'0'), MaxRecord)
		digits++
	}
	if digits > 0 && m.keep == 0 {
		return m, 0
	}
	rest = rest[digits:]
	if rest != "" && rest[0]|0x20 == 'r' {
		m.reverse, rest = true, rest[1:]
	}
	for i := range len(rest) {
		if !strings.ContainsRune(".-+,/_=", rune(rest[i])) {
			return m, 0
		}
	}
	m.delims = rest
	return m, end + 1
}

// checkMacros checks a macro string of a record that begins at at, and reports
// whether it ends in a macro.
func checkMacros(s string, at int) (endsInMacro bool, err *SyntaxError) {
	for len(s) > 0 {
		m, n := scanMacro(s)
		if n == 0 {
			return false, bad(at, "no macro")
		}
		if strings.IndexByte("crt", m.letter) >= 0 {
			return false, bad(at, "a macro for explanations only")
		}
		if endsInMacro = s[0] == '%'; !endsInMacro {
			for i := range n {
				if s[i] <= ' ' || s[i] >= 0x7f {
					return false, bad(at+i, "a character that no record may have")
				}
			}
		}
		s, at = s[n:], at+n
	}
	return endsInMacro, nil
}

// expandName makes a name to ask for out of a domain-spec (§7.3): "" if there is none.
func (e *evaluation) expandName(spec, domain string) string {
	name := spec
	if strings.IndexByte(spec, '%') >= 0 {
		var b []byte
		for s := spec; len(s) > 0; {
			m, n := scanMacro(s)
			s = s[n:]
			// A local part in UTF-8 matches nothing (RFC 8616 §4).
			if (m.letter == 'l' || m.letter == 's') && !isPrintable(e.local) {
				return ""
			}
			b = e.appendMacro(b, m, domain)
			if len(b) > 2*MaxRecord {
				b = slices.Delete(b, 0, len(b)-MaxRecord) // only its end can come to be asked for
			}
		}
		name = string(b)
	}
	name = strings.TrimSuffix(name, ".")
	for len(name) > maxName {
		dot := strings.IndexByte(name, '.')
		if dot < 0 {
			return ""
		}
		name = name[dot+1:]
	}
	return name
}

// expandText makes an explanation out of what was published for one (§6.2). It is
// none if it is no macro string, too long, or anything but printable US-ASCII: the
// values in it are what a stranger said.
func (e *evaluation) expandText(text, domain string) (string, bool) {
	var b []byte
	for s := text; len(s) > 0; {
		m, n := scanMacro(s)
		if n == 0 {
			return "", false
		}
		s = s[n:]
		if b = e.appendMacro(b, m, domain); len(b) > MaxExplanation {
			return "", false
		}
	}
	return string(b), isPrintable(string(b))
}

func (e *evaluation) appendMacro(b []byte, m macro, domain string) []byte {
	if m.letter == 0 {
		return append(b, m.text...)
	}
	value := e.value(m.letter, domain)
	if m.keep > 0 || m.reverse || m.delims != "" {
		value = m.transform(value)
	}
	if !m.escape {
		return append(b, value...)
	}
	for i := range len(value) {
		if c := value[i]; isLetter(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

const upperHex = "0123456789ABCDEF"

// transform cuts a value into parts, turns them round, keeps those on the right, and
// joins them with dots (§7.3).
func (m macro) transform(value string) string {
	delims := m.delims
	if delims == "" {
		delims = "."
	}
	var parts []string
	for {
		i := strings.IndexAny(value, delims)
		if i < 0 {
			break
		}
		parts = append(parts, value[:i])
		value = value[i+1:]
	}
	parts = append(parts, value)
	if m.reverse {
		slices.Reverse(parts)
	}
	if m.keep > 0 && m.keep < len(parts) {
		parts = parts[len(parts)-m.keep:]
	}
	return strings.Join(parts, ".")
}

// value returns what a macro letter stands for (§7.2).
func (e *evaluation) value(letter byte, domain string) string {
	switch letter {
	case 's':
		return e.local + "@" + e.domain
	case 'l':
		return e.local
	case 'o':
		return e.domain
	case 'd':
		return domain
	case 'i':
		return dotted(e.ip)
	case 'p':
		return e.validatedName(domain)
	case 'v':
		if e.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'h':
		return e.helo
	case 'c':
		return e.ip.String()
	case 'r':
		if e.checker.Receiver == "" {
			return "unknown"
		}
		return e.checker.Receiver
	case 't':
		return strconv.FormatInt(time.Now().Unix(), 10)
	}
	return ""
}

// dotted writes an IPv6 address in nibbles, and an IPv4 address as ever (§7.3).
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	octets := ip.As16()
	b := make([]byte, 0, 63)
	for _, c := range octets {
		b = append(b, upperHex[c>>4], '.', upperHex[c&15], '.')
	}
	return string(b[:63])
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
