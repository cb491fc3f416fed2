package lineserver

import (
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// Attribute is one NAME=value of XCLIENT and its relatives, by which a proxy that
// is trusted tells who its client is. The first of these was Postfix's; Dovecot's
// proxies speak it for POP3.
type Attribute struct {
	Name  string // in upper case
	Value string // decoded from xtext (RFC 3461 §4)
	// Known is false where the proxy said that it does not know:
	// [UNAVAILABLE], [TEMPUNAVAIL] or nothing.
	Known bool
}

// Attributes yields the attributes in a command's arguments; ok is false for one
// that is none, and the last then.
func Attributes(args string) iter.Seq2[Attribute, bool] {
	return func(yield func(Attribute, bool) bool) {
		for f := range strings.FieldsSeq(args) {
			name, value, found := strings.Cut(f, "=")
			a := Attribute{Name: strings.ToUpper(name)}
			a.Known = value != "" && !strings.EqualFold(value, "[UNAVAILABLE]") && !strings.EqualFold(value, "[TEMPUNAVAIL]")
			var ok bool
			if a.Value, ok = Xtext(value); !ok || !found || name == "" {
				yield(a, false)
				return
			}
			if !yield(a, true) {
				return
			}
		}
	}
}

// Addr is the value as an address, before which "IPV6:" may stand.
func (a Attribute) Addr() (netip.Addr, bool) {
	s := a.Value
	if len(s) > 5 && strings.EqualFold(s[:5], "IPV6:") {
		s = s[5:]
	}
	ip, err := netip.ParseAddr(s)
	return ip, err == nil && ip.Zone() == ""
}

// Port is the value as a port.
func (a Attribute) Port() (uint16, bool) {
	n, err := strconv.ParseUint(a.Value, 10, 16)
	return uint16(n), err == nil
}

// Xtext undoes the encoding of a parameter's value:
//
//	xtext   = *( xchar / hexchar )                 (RFC 3461 §4)
//	xchar   = %d33-42 / %d44-60 / %d62-126
//	hexchar = "+" 2(%d48-57 / %d65-70)
//
// Lower-case digits are understood too.
func Xtext(s string) (string, bool) {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			if b == nil {
				b = append(make([]byte, 0, len(s)), s[:i]...)
			}
			b = append(b, byte(n))
			i += 2
		case c < '!' || c > '~' || c == '=':
			return "", false
		case b != nil:
			b = append(b, c)
		}
	}
	if b == nil {
		return s, true
	}
	return string(b), true
}
