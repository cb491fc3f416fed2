package rfc2822

// Address is a mailbox (RFC 5322 §3.4).
type Address struct {
	Name   string // display name, decoded; may be ""
	Local  string // local part, without quotes and escapes
	Domain string // domain as written, or an address literal with its brackets; "" if there was none
}
