package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// matcher is a pattern, or a file of them.
type matcher interface {
	// match is asked about a text in lower case, unless the matcher folds by itself.
	match(s string) bool
}

// syntaxOf reads one pattern and returns its form in lower case.
type syntaxOf func(text string) (string, error)

// addressForm reads "<>", "a@b", "a@", "@b", "@.b.com" and "@".
func addressForm(text string) (string, error) {
	at := strings.LastIndexByte(text, '@')
	switch {
	case text == "<>":
		return text, nil
	case strings.HasPrefix(text, "<") && strings.HasSuffix(text, ">"):
		return "", meant(text, text[1:len(text)-1], "an address stands without < and >")
	case strings.HasPrefix(text, "*@"):
		return "", meant(text, text[1:], "all addresses of a domain are written without *")
	case strings.HasSuffix(text, "@*"):
		return "", meant(text, text[:len(text)-1], "a name at all domains is written without *")
	case strings.HasPrefix(text, ".") && at < 0:
		return "", meant(text, "@"+text, "an address pattern has an @")
	case at < 0:
		return "", fmt.Errorf("%q is no address pattern, which has an @; did you mean %q or %q?", text, "@"+text, text+"@")
	}
	local, domain := text[:at], text[at+1:]
	switch {
	case strings.HasPrefix(domain, "*."):
		return "", meant(text, local+"@"+domain[1:], "all domains below one are written without *")
	case strings.HasPrefix(domain, ".") && local != "":
		return "", fmt.Errorf("%q: domains below one stand without a local part, as in %q", text, "@"+domain)
	case domain != "":
		var err error
		if domain, err = hostForm(domain); err != nil {
			return "", err
		}
	}
	if strings.ContainsAny(local, " \t<>") {
		return "", fmt.Errorf("%q: there is a blank or bracket in the local part; each address has a line or a pattern of its own", text)
	}
	return strings.ToLower(local) + "@" + domain, nil
}

// hostForm reads "b.com" and ".b.com".
func hostForm(text string) (string, error) {
	name, below := strings.CutPrefix(text, ".")
	switch {
	case strings.HasPrefix(text, "*."):
		return "", meant(text, text[1:], "all domains below one are written without *")
	case strings.HasPrefix(text, "@"):
		return "", meant(text, text[1:], "a host has no @")
	case strings.Contains(text, "://"):
		return "", fmt.Errorf("%q is no host but the address of a page", text)
	}
	if literal := len(name) > 1 && name[0] == '[' && name[len(name)-1] == ']'; !literal && strings.ContainsAny(name, " \t<>()[]@,;/*\\\"") || name == "" || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%q is no host; write one like %q, or %q for all below it", text, "b.com", ".b.com")
	}
	name = domains.Canonical(name).String()
	if below {
		name = "." + name
	}
	return name, nil
}

func meant(text, instead, why string) error {
	return fmt.Errorf("%q: %s; did you mean %q?", text, why, instead)
}

// span is addresses, as IPv6 has them: those of IPv4 are mapped.
type span struct{ from, to wide }

// wide is an address as a number.
type wide struct{ high, low uint64 }

func (a wide) less(b wide) bool { return a.high < b.high || a.high == b.high && a.low < b.low }

func wideOf(a netip.Addr) (w wide) {
	for i, c := range a.As16() {
		if i < 8 {
			w.high = w.high<<8 | uint64(c)
		} else {
			w.low = w.low<<8 | uint64(c)
		}
	}
	return w
}

// errLoose is what is to be told of a network that is written with one of its addresses.
var errLoose = errors.New("an address within a network")

// parseSpan reads an address, a network or a range. Of a network with bits beyond its length the error is
// errLoose, and the span is good.
func parseSpan(text string) (s span, err error) {
	if strings.IndexByte(text, '/') < 0 {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			return span{wideOf(a), wideOf(a)}, nil
		}
	}
	if strings.HasPrefix(text, "[") {
		return s, meant(text, strings.NewReplacer("[", "", "]", "").Replace(text), "addresses stand without brackets")
	}
	if first, last, ok := strings.Cut(text, "-"); ok {
		from, err1 := netip.ParseAddr(strings.TrimSpace(first))
		to, err2 := netip.ParseAddr(strings.TrimSpace(last))
		if err1 != nil || err2 != nil || from.Is4() != to.Is4() || to.Less(from) {
			return s, fmt.Errorf("%q is no range; write the first and the last address, as in %q", text, "192.0.2.1-192.0.2.9")
		}
		return span{wideOf(from), wideOf(to)}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return s, noNetwork(text)
	}
	s.from = wideOf(p.Masked().Addr())
	s.to = s.from
	host := 128 - p.Bits()
	if p.Addr().Is4() {
		host = 32 - p.Bits()
	}
	s.to.low |= 1<<min(host, 64) - 1
	if host > 64 {
		s.to.high |= 1<<(host-64) - 1
	}
	if p.Masked() != p {
		return s, errLoose
	}
	return s, nil
}

// noNetwork says what may be wrong with what is to be one.
func noNetwork(text string) error {
	base, bits, cut := strings.Cut(text, "/")
	a, err := netip.ParseAddr(base)
	switch {
	case err == nil && cut && a.Is4() && len(bits) > 2:
		return fmt.Errorf("%q: the length of an IPv4 network is a number up to 32, as in %q", text, base+"/24")
	case err == nil && cut:
		return fmt.Errorf("%q: /%s is no length of a network of %s", text, bits, map[bool]string{true: "IPv4, which is up to 32", false: "IPv6, which is up to 128"}[a.Is4()])
	case strings.Count(text, ".") < 3 && strings.Trim(text, "0123456789.") == "":
		dots := strings.TrimSuffix(text, ".")
		octets := strings.Count(dots, ".") + 1
		full := dots + strings.Repeat(".0", 4-octets)
		if _, err := netip.ParseAddr(full); err == nil {
			return meant(text, fmt.Sprintf("%s/%d", full, octets*8), "a network has its length behind it")
		}
	case strings.Contains(text, "*"):
		return fmt.Errorf("%q: a network is written with its length, as in %q", text, "192.0.2.0/24")
	}
	return fmt.Errorf("%q is no address and no network; write one like %q, %q or %q", text, "192.0.2.7", "192.0.2.0/24", "2001:db8::/32")
}

// glob is text with "*" for anything and "?" for one character, compared without case. It is in lower case.
type glob string

// match takes time in proportion to the lengths of pattern and text, multiplied.
func (g glob) match(s string) bool {
	p, back, again := 0, -1, 0
	for at := 0; at < len(s); {
		if p < len(g) && g[p] == '*' {
			back, again = p, at
			p++
			continue
		}
		if p < len(g) {
			if pn, sn := g.step(p, s, at); pn > 0 {
				p, at = p+pn, at+sn
				continue
			}
		}
		if back < 0 {
			return false
		}
		_, n := utf8.DecodeRuneInString(s[again:])
		again += n
		p, at = back+1, again
	}
	for p < len(g) && g[p] == '*' {
		p++
	}
	return p == len(g)
}

// step compares one character, and returns how many octets it has in both; 0 in the pattern: they differ.
func (g glob) step(p int, s string, at int) (pn, sn int) {
	if a, b := g[p], s[at]; a < utf8.RuneSelf && b < utf8.RuneSelf {
		if a == '?' || a == b || b >= 'A' && b <= 'Z' && a == b+'a'-'A' {
			return 1, 1
		}
		return 0, 0
	}
	a, pn := utf8.DecodeRuneInString(string(g[p:]))
	b, sn := utf8.DecodeRuneInString(s[at:])
	switch {
	case a == '?', a == unicode.ToLower(b) && a != utf8.RuneError, a == b && g[p] == s[at]:
		return pn, sn
	}
	return 0, 0
}
