package spool

import "github.com/postrider-mail/postrider/smtp/queue"

// The texts of the two documents of an entry, for spools that keep them elsewhere than in a directory: every spool's entries can
// be read by the same eyes, and moved.

// FormatEntry writes an envelope. The entry has passed Check.
func FormatEntry(e *queue.Entry) []byte { return formatEnvelope(e, proof{}) }

// ParseEntry reads what FormatEntry wrote.
func ParseEntry(text []byte) (*queue.Entry, error) {
	e, _, err := parseEnvelope(text)
	return e, err
}

// FormatState writes a state. Texts that came from other hosts are made to fit one line.
func FormatState(s *queue.State) []byte { return formatState(s) }

// ParseState reads what FormatState wrote.
func ParseState(text []byte) (*queue.State, error) { return parseState(text) }
