package rfc2822

import (
	"errors"
	"io"
	"strings"
)

var errNotYet = errors.New("rfc2822: not written yet")

// Addr returns local@domain as it stands in a header, the local part quoted if needed.
func (a Address) Addr() string { return a.Local + "@" + a.Domain }

// ParseAddress reads exactly one mailbox, strictly.
func ParseAddress(s string) (Address, error) {
	return Address{}, errNotYet
}

// WriteTo writes the report as a message with CRLF, header section first.
func (r *Report) WriteTo(w io.Writer) (int64, error) { return 0, errNotYet }

// WriteTo writes the notification as a message with CRLF, header section first.
func (d *Disposition) WriteTo(w io.Writer) (int64, error) { return 0, errNotYet }

func skipComments(s string) string { return strings.TrimSpace(s) }
func closingQuote(s string) int    { return len(s) }
