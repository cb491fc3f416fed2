package smtp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// The octets a path may have: 256 with the brackets (RFC 5321 §4.5.3.1.3), and
// 255 in a domain. The 64 of a local part are not enforced: they are what
// everybody must accept, not the most there may be, and addresses rewritten by
// forwarders are longer.
const (
	maxPath   = 256
	maxDomain = 255
)

// IsNull reports whether p is the null reverse-path, from which nobody wants to
// hear back.
func (p Path) IsNull() bool { return p == Path{} }

// String is "local@domain", the local part quoted if it must be; empty for the
// null path.
func (p Path) String() string {
	local := p.Local
	if !isDotString(local) && !p.IsNull() {
		local = quoteLocal(local)
	}
	if p.Domain == "" {
		return local
	}
	return local + "@" + p.Domain
}

// IsASCII reports whether p can go to a server without SMTPUTF8.
func (p Path) IsASCII() bool { return isASCII(p.Local) && isASCII(p.Domain) }

// ParsePath parses a path with its angle brackets, as it stands in MAIL and
// RCPT:
//
//	Path       = "<" [ A-d-l ":" ] Mailbox ">"        (RFC 5321 §4.1.2)
//	A-d-l      = At-domain *( "," At-domain )
//	Mailbox    = Local-part "@" ( Domain / address-literal )
//	Local-part = Dot-string / Quoted-string
//
// The source route A-d-l is dropped, as RFC 5321 §4.1.1.3 and appendix C ask.
func ParsePath(s string, o PathOption) (Path, error) {
	p, rest, err := cutPath(s, o)
	if err == nil && rest != "" {
		err = errors.New("text after the path")
	}
	if err != nil {
		return Path{}, fmt.Errorf("parse path: %w", err)
	}
	return p, nil
}

// ParseMailbox parses "local@domain", without angle brackets. Of the options,
// PathUTF8, PathPostmaster and PathLenient count.
func ParseMailbox(s string, o PathOption) (Path, error) {
	if o&PathLenient != 0 {
		s = strings.Trim(s, " \t")
	}
	p, rest, err := cutMailbox(s, o)
	switch {
	case err == nil && rest != "":
		err = errors.New("text after the address")
	case err == nil && len(s) > maxPath-2:
		err = errTooLong
	}
	if err != nil {
		return Path{}, fmt.Errorf("parse address: %w", err)
	}
	return p, nil
}

var errTooLong = errors.New("address is too long")

// cutPath parses the path at the beginning of s and returns what follows it.
func cutPath(s string, o PathOption) (p Path, rest string, err error) {
	if o&PathLenient != 0 {
		s = strings.TrimLeft(s, " \t")
	}
	if s == "" || s[0] != '<' {
		if o&PathLenient != 0 && s != "" {
			return cutMailbox(s, o)
		}
		return Path{}, "", errors.New("path must begin with <")
	}
	in := s[1:]
	if o&PathLenient != 0 {
		in = strings.TrimLeft(in, " \t")
	}
	if strings.HasPrefix(in, ">") {
		if o&PathNull == 0 {
			return Path{}, "", errors.New("null path is not allowed here")
		}
		return Path{}, in[1:], nil
	}
	if strings.HasPrefix(in, "@") {
		if in, err = skipRoute(in, o); err != nil {
			return Path{}, "", err
		}
	}
	p, in, err = cutMailbox(in, o)
	if err != nil {
		return Path{}, "", err
	}
	if o&PathLenient != 0 {
		in = strings.TrimLeft(in, " \t")
	}
	switch {
	case !strings.HasPrefix(in, ">"):
		return Path{}, "", errors.New("path must end with >")
	case len(p.Local)+1+len(p.Domain) > maxPath-2:
		return Path{}, "", errTooLong
	}
	return p, in[1:], nil
}

func skipRoute(s string, o PathOption) (string, error) {
	for {
		if !strings.HasPrefix(s, "@") {
			return "", errors.New("malformed source route")
		}
		_, rest, err := cutDomain(s[1:], o)
		switch {
		case err != nil:
			return "", err
		case strings.HasPrefix(rest, ","):
			s = rest[1:]
		case strings.HasPrefix(rest, ":"):
			return rest[1:], nil
		default:
			return "", errors.New("malformed source route")
		}
	}
}

func cutMailbox(s string, o PathOption) (p Path, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		p.Local, rest, err = cutQuoted(s, o)
	} else {
		p.Local, rest, err = cutDotString(s, o)
	}
	if err != nil {
		return Path{}, "", err
	}
	if !strings.HasPrefix(rest, "@") {
		if o&PathPostmaster != 0 && is(p.Local, "postmaster") {
			return p, rest, nil
		}
		return Path{}, "", errors.New("address must have a domain")
	}
	p.Domain, rest, err = cutDomain(rest[1:], o)
	if err != nil {
		return Path{}, "", err
	}
	return p, rest, nil
}

// cutDotString parses Dot-string = Atom *("." Atom).
func cutDotString(s string, o PathOption) (local, rest string, err error) {
	i := 0
	for i < len(s) && (isAtext(s[i]) || s[i] == '.' || s[i] >= utf8.RuneSelf) {
		i++
	}
	local, rest = s[:i], s[i:]
	switch {
	case local == "":
		return "", "", errors.New("local part is empty or holds a character that needs quotes")
	case o&PathLenient == 0 && (local[0] == '.' || local[i-1] == '.' || strings.Contains(local, "..")):
		return "", "", errors.New("misplaced dot in the local part")
	}
	return local, rest, checkUTF8(local, o)
}

// cutQuoted parses Quoted-string = DQUOTE *QcontentSMTP DQUOTE and undoes it.
func cutQuoted(s string, o PathOption) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			local = b.String()
			return local, s[i+1:], checkUTF8(local, o)
		case c == '\\':
			if i++; i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", errors.New("malformed escape in the quoted local part")
			}
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f:
			return "", "", errors.New("control character in the local part")
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("quoted local part has no end")
}

// cutDomain parses Domain or address-literal. Underscores are against RFC 5321,
// and domains that hold them send and get mail.
func cutDomain(s string, o PathOption) (domain, rest string, err error) {
	if strings.HasPrefix(s, "[") {
		i := strings.IndexByte(s, ']')
		if i < 0 || !validLiteral(s[1:i]) {
			return "", "", errors.New("malformed address literal")
		}
		return s[:i+1], s[i+1:], nil
	}
	i := 0
	for i < len(s) && (isLetDig(s[i]) || s[i] == '-' || s[i] == '.' || s[i] == '_' || s[i] >= utf8.RuneSelf) {
		i++
	}
	domain, rest = s[:i], s[i:]
	switch {
	case domain == "":
		return "", "", errors.New("domain is empty or malformed")
	case len(domain) > maxDomain:
		return "", "", errTooLong
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return "", "", errors.New("malformed domain")
		}
		if len(label) > 63 && isASCII(label) {
			return "", "", errors.New("domain has a label of more than 63 octets")
		}
	}
	return domain, rest, checkUTF8(domain, o)
}

// validLiteral reports whether s stands in [brackets] rightly: an IPv4 address,
// or "IPv6:" and an IPv6 address (RFC 5321 §4.1.3). No other tag has been
// registered.
func validLiteral(s string) bool {
	tag, rest, tagged := strings.Cut(s, ":")
	if !tagged {
		a, err := netip.ParseAddr(s)
		return err == nil && a.Is4()
	}
	a, err := netip.ParseAddr(rest)
	return strings.EqualFold(tag, "IPv6") && err == nil && a.Is6() && a.Zone() == ""
}

// checkUTF8 refuses what is beyond ASCII unless o allows it, and then what is
// not UTF-8 or holds a control character of its upper half.
func checkUTF8(s string, o PathOption) error {
	if isASCII(s) {
		return nil
	}
	if o&PathUTF8 == 0 {
		return errNotASCII
	}
	if !utf8.ValidString(s) {
		return errors.New("address is not UTF-8")
	}
	for _, r := range s {
		if r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return errors.New("control character in the address")
		}
	}
	return nil
}

var errNotASCII = errors.New("address is not ASCII")

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isLetDig(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isAtext: RFC 5322 §3.2.3.
func isAtext(c byte) bool {
	return isLetDig(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isAtext(s[i]) && s[i] != '.' && s[i] < utf8.RuneSelf {
			return false
		}
	}
	return true
}

func quoteLocal(s string) string {
	b := make([]byte, 0, len(s)+4)
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(append(b, '"'))
}
