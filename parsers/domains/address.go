package domains

import "strings"

// Address is a mailbox at a domain in canonical form: the local part in lower case,
// the domain as a Name. Two ways to write one address have one Address, which may
// be the key of a map. "*" as its local part stands for all of a domain.
//
// RFC 5321 §2.4 leaves the reading of a local part to the host that owns it: an
// Address compares what this host owns, and nothing is to be sent to one of another
// host that was not written so.
//
// It is made by CanonicalAddress or At, once, where an address comes in. Converting a
// string says that it was an Address before: the name of a mailbox or of an account
// that has logged in.
type Address string

// CanonicalAddress returns the form in which addresses are compared. A name without
// "@" is only put in lower case.
func CanonicalAddress(address string) Address {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return Address(strings.ToLower(address))
	}
	return At(address[:i], Canonical(address[i+1:]))
}

// At is the address of a local part, its quoting undone, at a domain.
func At(local string, domain Name) Address {
	return Address(strings.ToLower(local) + "@" + string(domain))
}

// Cut parts an address at its last "@". A name without one is all domain.
func (a Address) Cut() (local string, domain Name) {
	i := strings.LastIndexByte(string(a), '@')
	return string(a[:max(i, 0)]), Name(a[i+1:])
}

// Domain is what stands behind the "@".
func (a Address) Domain() Name {
	_, domain := a.Cut()
	return domain
}

// String is the address as text, its local part without quotes.
func (a Address) String() string { return string(a) }
