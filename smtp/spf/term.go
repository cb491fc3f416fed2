package spf

import (
	"net/netip"
	"strconv"
	"strings"
)

func bad(offset int, reason string) *SyntaxError {
	return &SyntaxError{Offset: offset, Reason: reason}
}

// parseTerm reads one term. Offsets in its errors count from the term's beginning.
func parseTerm(text string) (Term, *SyntaxError) {
	t := Term{Text: text}
	end := strings.IndexAny(text, ":/=")
	if end >= 0 && text[end] == '=' {
		err := t.modifier(text[:end], end+1)
		return t, err
	}
	at := 0
	t.Qualifier = Pass
	switch text[0] {
	case '+':
		at = 1
	case '-':
		t.Qualifier, at = Fail, 1
	case '~':
		t.Qualifier, at = SoftFail, 1
	case '?':
		t.Qualifier, at = Neutral, 1
	}
	if end < 0 {
		end = len(text)
	}
	t.Kind = mechanism(text[at:end])
	var err *SyntaxError
	switch t.Kind {
	case Unknown:
		err = bad(at, "no mechanism of that name")
	case All:
		if end < len(text) {
			err = bad(end, "all takes nothing behind it")
		}
	case IP4, IP6:
		err = t.network(end)
	default:
		err = t.target(end)
	}
	return t, err
}

func mechanism(name string) Kind {
	for k := All; k <= Exists; k++ {
		if strings.EqualFold(name, kindNames[k]) {
			return k
		}
	}
	return Unknown
}

// modifier reads name "=" text, whose text begins at at (§6).
func (t *Term) modifier(name string, at int) *SyntaxError {
	for i := range len(name) {
		c := name[i]
		if !isLetter(c) && (i == 0 || !isDigit(c) && c != '-' && c != '_' && c != '.') {
			return bad(i, "no name of a modifier")
		}
	}
	t.Domain = t.Text[at:]
	switch {
	case name == "":
		return bad(0, "a modifier without a name")
	case strings.EqualFold(name, "redirect"):
		t.Kind = Redirect
	case strings.EqualFold(name, "exp"):
		t.Kind = Explain
	default:
		_, err := checkMacros(t.Domain, at)
		return err
	}
	return checkDomainSpec(t.Domain, at)
}

// network reads what follows ip4 and ip6 (§5.6).
func (t *Term) network(at int) *SyntaxError {
	rest, ok := strings.CutPrefix(t.Text[at:], ":")
	if !ok {
		return bad(at, t.Kind.String()+" needs an address")
	}
	address, length, cut := strings.Cut(rest, "/")
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" || a.Is4() != (t.Kind == IP4) {
		return bad(at+1, "no address for "+t.Kind.String())
	}
	bits := a.BitLen()
	if cut {
		if bits = prefixLength(length, bits); bits < 0 {
			return bad(at+1+len(address), "no length of a prefix")
		}
	}
	t.Prefix = netip.PrefixFrom(a, bits)
	return nil
}

// target reads what follows the mechanisms that ask for a name: a domain-spec
// (needed by include and exists), and prefix lengths (taken by a and mx).
func (t *Term) target(at int) *SyntaxError {
	t.Bits4, t.Bits6 = 32, 128
	spec := t.Text[at:]
	if t.Kind == A || t.Kind == MX {
		var length string
		var cut bool
		if spec, length, cut = cutLength(spec, "//"); cut {
			if t.Bits6 = prefixLength(length, 128); t.Bits6 < 0 {
				return bad(at+len(spec), "no length of an IPv6 prefix")
			}
		}
		if spec, length, cut = cutLength(spec, "/"); cut {
			if t.Bits4 = prefixLength(length, 32); t.Bits4 < 0 {
				return bad(at+len(spec), "no length of an IPv4 prefix (one of IPv6 has two slashes)")
			}
		}
	}
	if spec == "" {
		if t.Kind == Include || t.Kind == Exists {
			return bad(at, t.Kind.String()+" needs a domain")
		}
		return nil
	}
	if spec[0] != ':' {
		return bad(at, "no length of a prefix")
	}
	t.Domain = spec[1:]
	return checkDomainSpec(t.Domain, at+1)
}

// cutLength takes the digits off the end of s that follow sep.
func cutLength(s, sep string) (before, digits string, found bool) {
	i := len(s)
	for i > 0 && isDigit(s[i-1]) {
		i--
	}
	if i == len(s) || !strings.HasSuffix(s[:i], sep) {
		return s, "", false
	}
	return s[:i-len(sep)], s[i:], true
}

// prefixLength reads a number up to most, without zeros in front (§12); -1 is none.
func prefixLength(digits string, most int) int {
	n, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || int(n) > most || len(digits) > 1 && digits[0] == '0' {
		return -1
	}
	return int(n)
}

// checkDomainSpec checks a domain-spec (§7.1) that begins at at: a macro string that
// ends in a macro, or in a dot and a top label.
func checkDomainSpec(spec string, at int) *SyntaxError {
	if spec == "" {
		return bad(at, "no domain")
	}
	inMacro, err := checkMacros(spec, at)
	if err != nil || inMacro {
		return err
	}
	if _, err := netip.ParseAddr(spec); err == nil {
		return bad(at, "an address where a name belongs: ip4 and ip6 take addresses")
	}
	name := strings.TrimSuffix(spec, ".")
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 && strings.HasSuffix(name, "}") {
		return bad(at+len(name), "a dot and no top label")
	}
	if dot < 0 {
		return bad(at, "a domain of one label")
	}
	if !isTopLabel(name[dot+1:]) {
		return bad(at+dot+1, "no top label of a domain")
	}
	return nil
}

// isTopLabel: letters, digits and hyphens inside, and not digits alone (§7.1).
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	numeric := true
	for i := range len(s) {
		if !isLetter(s[i]) && !isDigit(s[i]) && s[i] != '-' {
			return false
		}
		numeric = numeric && isDigit(s[i])
	}
	return !numeric
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
