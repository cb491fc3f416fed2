package smtp

import "github.com/postrider-mail/postrider/parsers/domains"

// Path is where mail comes from or goes to: a mailbox without the angle
// brackets around it. The zero Path is the null reverse-path "<>".
type Path struct {
	// Local is the local part, its quoting undone: the same mailbox has the
	// same Local however it was written.
	Local string
	// Domain is as the client wrote it: a domain, or an address literal with
	// its brackets; empty in "<postmaster>".
	Domain string
}

// DomainName is the domain of p in the form in which domains are compared.
func (p Path) DomainName() domains.Name { return domains.Canonical(p.Domain) }

// Address is p in the form in which addresses are compared. Only the host that owns a
// local part knows how to read it (RFC 5321 §2.4): nothing is to be sent to an address
// that was not written so.
func (p Path) Address() domains.Address { return domains.At(p.Local, p.DomainName()) }

// PathOption says what ParsePath accepts beside <local@domain>.
type PathOption uint

// The options.
const (
	PathUTF8       PathOption = 1 << iota // UTF-8 on both sides (RFC 6531 §3.3)
	PathNull                              // <>
	PathPostmaster                        // <postmaster>, without a domain (RFC 5321 §4.5.1)
	// PathLenient accepts what is wrong but harmless and seen in the field:
	// no angle brackets, blanks around the address, dots at the ends of the
	// local part or two in a row.
	PathLenient
)
