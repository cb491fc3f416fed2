package smtp

// MissingError is why a message, or one of its recipients, must not be sent to a
// server: it lacks an extension that the sender's wishes cannot do without. It is
// an ErrUnsupported.
type MissingError struct {
	Keyword  string // of the extension: "SMTPUTF8"
	Reason   string // "the message needs SMTPUTF8"
	Enhanced string // the code for it in a report to the sender (RFC 3463): "5.6.7"
}

// Error names the extension.
func (e *MissingError) Error() string { return ErrUnsupported.Error() + ": " + e.Keyword }

// Is reports whether target is ErrUnsupported.
func (e *MissingError) Is(target error) bool { return target == ErrUnsupported }

// Missing is a *MissingError if a message with the parameters m, or a recipient with
// r, must not be sent to the server as it is, or the wishes in them would be lost;
// otherwise nil. Either may be nil. Of several it is the one the newest extension
// has. Send and Begin refuse the same.
func (c *Client) Missing(m *Params, r *RcptParams) error {
	for i := len(table) - 1; i >= 0; i-- {
		x := &table[i]
		needed := m != nil && x.mail != nil && x.mail(c, m) || r != nil && x.rcpt != nil && x.rcpt(r)
		if needed && !c.has(x.keyword) {
			return x.missing()
		}
	}
	return nil
}

func (x *extension) missing() error { return &MissingError{x.keyword, x.reason, x.enhanced} }

// Reports reports whether the server sends the reports that Params and RcptParams
// ask for, or passes the wish on (RFC 3461).
func (c *Client) Reports() bool { return c.has("DSN") }
