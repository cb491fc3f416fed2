package dnslist

import (
	"fmt"
	"net/netip"
)

// Reason says why a list has said nothing about anybody.
type Reason uint8

// The reasons.
const (
	NoAnswer     Reason = iota + 1 // it did not answer in time, or its server failed
	BadZone                        // 127.255.255.252: there is no such list, or the key is wrong
	OpenResolver                   // 127.255.255.254: it does not answer public resolvers
	TooMany                        // 127.255.255.255: more was asked than is free
	OtherRefusal                   // any other 127.255.255.x
	NoCode                         // an address outside 127/8: what answers is no list
	ListsAll                       // it has an entry for what no list may have
	ListsNone                      // it has none for what each list must have
	NoQuestion                     // it is not a list of such things
)

// reasons are a sentence of each Reason, and what its cure is.
var reasons = [...][2]string{
	NoAnswer:     {"does not answer", "see whether its zone is written right and the DNS servers of this host can reach it; take the list out if it is gone for good"},
	BadZone:      {"says that there is no such list or key", "see whether its zone and the key are written right"},
	OpenResolver: {"does not answer public resolvers", "ask through a resolver of your own on this host, such as unbound, or get a key from the list"},
	TooMany:      {"says that this resolver asks more than is free", "ask through a resolver of your own on this host, or pay the list for a key"},
	OtherRefusal: {"refuses to answer", "read at the list's web site what the code means"},
	NoCode:       {"answers with addresses that no list has", "its name belongs to somebody else by now, or the resolver answers what does not exist: take the list out, or ask another resolver"},
	ListsAll:     {"lists whatever it is asked for", "it has been closed, or its name belongs to somebody else: take the list out"},
	ListsNone:    {"does not list the entry that each list has for tests", "see whether its zone is written right; a list that is empty has been closed"},
	NoQuestion:   {"is not a list of such things", "ask lists of addresses for addresses and lists of domains for domains"},
}

// String says what is wrong, for "the list … does not answer".
func (r Reason) String() string { return reasons[r][0] }

// Error is why a list has said nothing. It holds the list's public name and nothing of its zone.
type Error struct {
	List   string // its public name
	Reason Reason
	Code   netip.Addr // the answer that was none; the zero Addr where there was none at all
}

// Error names the list and what it does.
func (e *Error) Error() string {
	if e.Code.IsValid() {
		return fmt.Sprintf("the DNS list %s %s (%s)", e.List, e.Reason, e.Code)
	}
	return fmt.Sprintf("the DNS list %s %s", e.List, e.Reason)
}

// Cure says what to do about it.
func (e *Error) Cure() string { return reasons[e.Reason][1] }

// refusal is the reason for which a code is no listing; 0 where it may be one.
func refusal(code netip.Addr) Reason {
	if !code.Is4() {
		return NoCode
	}
	octets := code.As4()
	switch {
	case octets[0] != 127:
		return NoCode
	case octets[1] != 255 || octets[2] != 255:
		return 0
	}
	switch octets[3] {
	case 252:
		return BadZone
	case 254:
		return OpenResolver
	case 255:
		return TooMany
	}
	return OtherRefusal
}
