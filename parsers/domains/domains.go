// Package domains knows domain names as mail has them: one form in which two
// of them are compared, and patterns that fit some of them.
//
// It stands below every package that speaks of addresses, so that the host that
// takes a message, the queue that keeps it and the settings that both obey call a
// domain by the same name.
package domains

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Name is a domain, or an address literal with its brackets, in canonical form:
// two ways to write one domain have one Name. It is made by Canonical, once,
// where the domain comes in.
type Name string

// String is the name as the DNS has it.
func (n Name) String() string { return string(n) }

// IsLiteral reports whether n is an address in brackets, and not a domain.
func (n Name) IsLiteral() bool { return strings.HasPrefix(string(n), "[") }

// Within reports whether a domain is another or below it. Both are in one form, such as that of Canonical.
func Within[T ~string](domain, above T) bool {
	return domain == above || strings.HasSuffix(string(domain), "."+string(above))
}

// Canonical returns the form in which domains are compared: lower-case A-labels
// (RFC 5890 §2.3.2.1) without a dot at the end. What IDNA cannot read, such as a
// name that is too long, is only put in lower case; it never equals a domain that
// the DNS has.
func Canonical(domain string) Name {
	domain = strings.TrimSuffix(domain, ".")
	if ascii, err := ToASCII(domain); err == nil {
		return Name(ascii)
	}
	if !utf8.ValidString(domain) {
		return Name(domain) // what has no letters has no lower case
	}
	return Name(strings.ToLower(domain))
}

// longest is more than a domain of 255 octets in A-labels (RFC 5321 §4.5.3.1.2)
// has in any form. Punycode takes quadratic time: nothing longer is worth the
// attempt.
const longest = 1024

// ToASCII returns a domain in lower-case A-labels. A domain that is ASCII already
// is only put in lower case: names with an underscore are in use, although no host
// may have one. An error says that there is no such form.
func ToASCII(domain string) (string, error) {
	if isASCII(domain) {
		return strings.ToLower(domain), nil
	}
	return lookup(domain)
}

// HostName returns a domain in lower-case A-labels, as ToASCII does, and refuses
// what IDNA has no place for in the name of a host (RFC 5891 §5): underscores,
// labels that begin or end with a hyphen or have two in the third place.
func HostName(domain string) (string, error) {
	if isPlain(domain) {
		return domain, nil
	}
	return lookup(domain)
}

// lookup is IDNA's form of a domain. Octets that are no UTF-8 are no letters: IDNA would
// take all of them for one.
func lookup(domain string) (string, error) {
	switch {
	case len(domain) > longest:
		return "", fmt.Errorf("bad domain of %d octets", len(domain))
	case !utf8.ValidString(domain):
		return "", fmt.Errorf("bad domain %q: not UTF-8", domain)
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return ascii, fmt.Errorf("bad domain %q: %w", domain, err)
	}
	return ascii, nil
}

// isPlain reports whether a domain is what nearly all are, lower-case letters,
// digits and single hyphens within labels: IDNA leaves it as it is.
func isPlain(domain string) bool {
	before := byte('.')
	for i := range len(domain) {
		c := domain[i]
		if c == '.' || c == '-' {
			if before == '.' || before == '-' {
				return false
			}
		} else if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9') {
			return false
		}
		before = c
	}
	return before != '.' && before != '-'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
