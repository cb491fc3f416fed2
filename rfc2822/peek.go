package rfc2822

import "io"

// Peek reads the header section at the start of a stream, at most max octets of
// it (0 means 1 MiB), and returns it with a reader of the whole stream, octet
// for octet. A submission server asks the section what is Missing("Date",
// "Message-ID"), writes that on top, then the section's Seam, and lets the stream
// go on.
//
// The error is one of r; the reader gives what was read before it, and then the error.
func Peek(r io.Reader, max int) (*Section, io.Reader, error) {
	if max <= 0 {
		max = Limits{}.withDefaults().HeaderBytes
	}
	h, err := readHead(r, max, true, nil)
	return &h.section, prefixed(h.text, r, err), err
}
