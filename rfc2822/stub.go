package rfc2822

import (
	"errors"
	"strings"
)

var errNotYet = errors.New("rfc2822: not written yet")

// Addr returns local@domain as it stands in a header, the local part quoted if needed.
func (a Address) Addr() string { return a.Local + "@" + a.Domain }

// ParseAddress reads exactly one mailbox, strictly.
func ParseAddress(s string) (Address, error) {
	return Address{}, errNotYet
}

func skipComments(s string) string { return strings.TrimSpace(s) }
func closingQuote(s string) int    { return len(s) }
