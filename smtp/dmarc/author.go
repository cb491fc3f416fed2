package dmarc

import (
	"errors"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
)

// Why a message has no domain that it can be judged by. Such a message never passes.
var (
	ErrNoAuthor   = errors.New("dmarc: no domain in From")
	ErrAuthors    = errors.New("dmarc: addresses of several domains in From")
	ErrFields     = errors.New("dmarc: several From fields")
	ErrUnreadable = errors.New("dmarc: From cannot be read as a whole")
)

// maxAuthors is how many domains of a From field are asked for what they want.
const maxAuthors = 4

// Authors reads the From fields of a message and returns the domains of their
// addresses. If the error is nil there is exactly one, the domain that the message is
// judged by (RFC 9989 §4.1): what stands in names, comments and quotes does not count,
// and no address that a program might show is left out. Otherwise they are all
// that could be made out, each once.
func Authors(fields []rfc2822.Field) ([]string, error) {
	return AuthorsOf(rfc2822.ReadAddressFields(fields))
}

// AuthorsOf is Authors of fields that have been read, for whoever needs to know more of them.
func AuthorsOf(fields []rfc2822.AddressField) ([]string, error) {
	var list []string
	seen := make(map[string]bool, 1)
	unreadable := false
	for i := range fields {
		f := &fields[i]
		// Where something could not be read, who else is in there? With one @ nobody.
		unreadable = unreadable || len(f.Bad) > 0 && strings.Count(f.Value, "@") > 1
		for _, a := range f.Addresses {
			domain := canonical(a.Domain)
			switch {
			case domain == "":
				unreadable = unreadable || a.Domain != "" // a literal, or no name
			case !seen[domain]:
				seen[domain] = true
				list = append(list, domain)
			}
		}
	}
	switch {
	case len(fields) > 1:
		return list, ErrFields
	case len(list) > 1:
		return list, ErrAuthors
	case len(list) == 0:
		return nil, ErrNoAuthor
	case unreadable:
		return list, ErrUnreadable
	}
	return list, nil
}

// canonical is a domain as it is compared and asked for; "" if it cannot be one.
func canonical(domain string) string {
	name, err := domains.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil || !isName(name) {
		return ""
	}
	return name
}

// isName reports whether s is a name that the DNS can have: letters, digits, hyphens
// and underscores in labels of 1 to 63 octets, 253 in all.
func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
