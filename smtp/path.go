package smtp

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
