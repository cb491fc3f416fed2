package rfc2822

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// ErrNotASCII: an address that cannot be written in ASCII, because its local
// part is not (RFC 6531 has no encoding for local parts).
var ErrNotASCII = errors.New("rfc2822: local part is not ASCII")

// Address is a mailbox (RFC 5322 §3.4), taken apart and without quotes,
// escapes and comments.
type Address struct {
	Name   string // display name, decoded; may be ""
	Local  string // local part; UTF-8 (RFC 6532)
	Domain string // domain as written, or an address literal with its brackets; "" only from ReadAddressList
	Group  string // the name of the group it stood in, decoded; may be ""
}

// AddressError says what is wrong with an address, and where.
type AddressError struct {
	Offset int // octets from the start of the text
	Reason string
}

// Error says what is wrong, and at which octet.
func (e *AddressError) Error() string {
	return fmt.Sprintf("rfc2822: bad address at octet %d: %s", e.Offset, e.Reason)
}

// Addr returns local@domain in its shortest form: the local part is quoted only if
// it must be, and stands alone if there is no domain.
func (a Address) Addr() string {
	local := a.Local
	switch {
	case local == "" && a.Domain == "":
		return ""
	case !isDotAtom(local):
		local = quote(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + a.Domain
}

// String writes the mailbox for a header: the display name as it is, quoted or in
// encoded words, whichever it needs first. The group is not written; see
// FormatAddressList.
func (a Address) String() string {
	if a.Name == "" {
		return a.Addr()
	}
	return phrase(a.Name) + " <" + a.Addr() + ">"
}

// phrase writes a display name (RFC 5322 §3.2.5).
func phrase(name string) string {
	name = strings.ToValidUTF8(strings.TrimSpace(oneLine(name)), "\ufffd")
	if !isASCII(name) || strings.Contains(name, "=?") {
		return encodeRun(name)
	}
	for word := range strings.SplitSeq(name, " ") {
		if !isAtom(word) {
			return quote(name)
		}
	}
	return name
}

func isAtom(s string) bool {
	for _, c := range s {
		if !isAtext(c) {
			return false
		}
	}
	return s != ""
}

func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if !isAtom(atom) {
			return false
		}
	}
	return true
}

// FormatAddressList writes addresses for a header field, members of one group
// that stand together as that group.
func FormatAddressList(list []Address) string {
	var b strings.Builder
	for i, a := range list {
		opened := a.Group != "" && (i == 0 || list[i-1].Group != a.Group)
		closes := i > 0 && list[i-1].Group != "" && list[i-1].Group != a.Group
		if closes {
			b.WriteString(";")
		}
		if i > 0 {
			b.WriteString(", ")
		}
		if opened {
			b.WriteString(phrase(a.Group) + ": ")
		}
		b.WriteString(a.String())
	}
	if len(list) > 0 && list[len(list)-1].Group != "" {
		b.WriteString(";")
	}
	return b.String()
}

// ASCII returns the address with its domain in A-labels (RFC 5890), as SMTP
// without SMTPUTF8 needs it. It is ErrNotASCII if the local part is not ASCII,
// or an error of the domain.
func (a Address) ASCII() (Address, error) {
	if !isASCII(a.Local) {
		return a, fmt.Errorf("%w: %q", ErrNotASCII, a.Local)
	}
	domain, err := domains.ToASCII(a.Domain)
	if err != nil {
		return a, fmt.Errorf("rfc2822: %w", err)
	}
	a.Domain = domain
	return a, nil
}

// ParseAddress reads exactly one mailbox, with or without display name, by the
// grammar of RFC 5322 including its obsolete forms (§4.4). The error is an *AddressError.
func ParseAddress(s string) (Address, error) {
	p := newAddressParser(s, true)
	a, err := p.mailbox("")
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return Address{}, err
	}
	return a, nil
}

// ParseAddrSpec reads exactly one local@domain, without display name or
// brackets, by the grammar of RFC 5322 §3.4.1 and §4.4.
func ParseAddrSpec(s string) (Address, error) {
	p := newAddressParser(s, true)
	a, err := p.addrSpec()
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return Address{}, err
	}
	return a, nil
}

// ParseAddressList reads a list of mailboxes and groups strictly: the first
// thing that is wrong is the error, an *AddressError. Empty groups give nothing.
func ParseAddressList(s string) ([]Address, error) {
	p := newAddressParser(s, true)
	list, bad := p.list()
	if len(bad) > 0 {
		return nil, bad[0]
	}
	return list, nil
}

// ReadAddressList reads what people and programs write: it keeps all addresses
// it can make out, and says what was wrong with the others. Dots too many in a
// local part, missing brackets, semicolons between addresses and specials in a
// display name are forgiven. A mailbox without a domain, such as <root>, and a name
// with a comma, such as Byron, Ada <ada@example.com>, are read and told of as well: the
// one may be a slip, the other two addresses. Of a broken domain nothing is kept.
func ReadAddressList(s string) ([]Address, []*AddressError) {
	p := newAddressParser(s, false)
	return p.list()
}

// AddressField is a header field and what ReadAddressList makes of it.
type AddressField struct {
	Value     string // unfolded
	Addresses []Address
	Bad       []*AddressError
}

// ReadAddressFields reads fields such as From.
func ReadAddressFields(fields []Field) []AddressField {
	all := make([]AddressField, len(fields))
	for i, f := range fields {
		all[i].Value = f.Value()
		all[i].Addresses, all[i].Bad = ReadAddressList(all[i].Value)
	}
	return all
}
