package zone

import (
	"net/netip"
	"time"
)

// Plan is what a domain and its server are, as far as the DNS is to know.
// Names are canonical (parsers/domains), without a dot at the end.
type Plan struct {
	Domain string // whose mail it is
	Host   string // what the server calls itself in EHLO, and MX records lead to

	Addresses []netip.Addr // where Host is reached
	Sending   []Sender     // where mail leaves from; the Addresses, as Host, where nil
	OtherMX   []string     // hosts that take mail for the domain if Host does not
	SPF       []string     // terms for others that send as the domain: "include:_spf.example.net"
	Smarthost bool         // mail leaves through a provider, whose addresses nobody here knows

	Services []Service
	Keys     []Key  // of Domain and of Host
	DMARC    string // "none", "quarantine" or "reject"; empty is "none"
	// ReportsTo is the address that reports are asked for at. Without a domain it is
	// that name at each domain itself, and empty where none are asked for.
	ReportsTo  string
	STS        STSMode
	TLSKeys    []TLSKey
	CAA        []CAA
	Autoconfig bool // Host tells mail programs their settings over HTTPS
}

// Sender is an address that mail leaves from.
type Sender struct {
	Address netip.Addr
	Hello   string // the name given in EHLO there, Host or another one
}

// Service is a service for the domain's users that programs find by SRV records
// (RFC 6186, RFC 8314).
type Service struct {
	Name string // "pop3s", "pop3", "submissions", "submission", "imaps", "imap"
	Port uint16 // 0: it is not offered, which is said as well
	Host string // where that is not the plan's own
}

// Keys says which DKIM keys there are. internal/sign satisfies it.
type Keys interface {
	// DKIMKeys returns the keys of a domain, those that no longer sign as well
	// for as long as the DNS should have something of them.
	DKIMKeys(domain string) ([]Key, error)
}

// Key is the public half of a DKIM key.
type Key struct {
	Domain   string
	Selector string
	Value    string // the TXT record: "v=DKIM1; k=rsa; p=…"; empty while it is Reserved
	State    KeyState
}

// KeyState is where a key is in its life.
type KeyState string

// The states of a key, in the order it goes through them.
const (
	Reserved  KeyState = "reserved"  // only its name is fixed, so that somebody can lead it here by CNAME
	Announced KeyState = "announced" // it signs when the DNS shows it
	Signing   KeyState = "signing"
	Retired   KeyState = "retired" // mail that it signed may still be under way
	Gone      KeyState = "gone"    // it is revoked
)

// TLSKey is a key that the server shows, or will show next, to those who deliver
// mail to it.
type TLSKey struct {
	SPKI [32]byte // SHA-256 of its SubjectPublicKeyInfo
	Next bool     // it is not shown yet
}

// CAA is an authority that may issue certificates for a name.
type CAA struct {
	Name    string // the host the certificates are for
	Issuer  string // "letsencrypt.org"
	Account string // the URI of the account; empty for any
	Method  string // "http-01"; empty for any
}

// STSMode is how others are to take the domain's MTA-STS policy (RFC 8461).
type STSMode string

// The modes. STSOff is no policy at all.
const (
	STSOff     STSMode = ""
	STSTesting STSMode = "testing"
	STSEnforce STSMode = "enforce"
)

// How long others keep a policy: a week while it is tried, then a month.
const (
	testingAge = 7 * 24 * time.Hour
	enforceAge = 30 * 24 * time.Hour
)
