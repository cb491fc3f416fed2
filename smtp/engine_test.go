package smtp_test

import (
	"bytes"
	"strings"
	"testing"
)

// counted counts what reaches the network.
type counted struct {
	script
	writes []string
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes = append(c.writes, string(p))
	return len(p), nil
}

// TestOneWritePerBatch: replies leave together, when the client waits.
func TestOneWritePerBatch(t *testing.T) {
	var mails []string
	text := "EHLO c\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<b@example.com>\r\n", 50) + "NOOP\r\nDATA\r\nx\r\n.\r\nRSET\r\nQUIT\r\n"
	c := &counted{script: script{in: bytes.NewReader([]byte(text)), step: 1 << 20}}
	fuzzServer(&mails).ServeConn(c)
	// The greeting; what the small buffer held of the batch; everything up to
	// 354; the rest.
	if len(c.writes) != 4 {
		t.Errorf("%d writes: %q", len(c.writes), c.writes)
	}
	if len(mails) != 1 {
		t.Error("no message")
	}
}

// TestNoAllocationPerCommand: what a session allocates does not depend on how
// many commands it has.
func TestNoAllocationPerCommand(t *testing.T) {
	allocated := func(commands int) float64 {
		text := []byte("EHLO c\r\n" + strings.Repeat("NOOP\r\nRSET\r\nVRFY x\r\nDATA\r\n", commands) + "QUIT\r\n")
		var mails []string
		srv := fuzzServer(&mails)
		c := &counted{script: script{in: bytes.NewReader(text), step: 1 << 20}}
		return testing.AllocsPerRun(10, func() {
			c.in.Reset(text)
			c.writes = c.writes[:0]
			srv.ServeConn(discardWrites{&c.script})
		})
	}
	few, many := allocated(1), allocated(1000)
	// DATA out of order is an error, whose text carries the session's id: one
	// allocation for each of those.
	if many-few > 1100 {
		t.Errorf("%v allocations for four commands, %v for four thousand", few, many)
	}
}

type discardWrites struct{ *script }

func (discardWrites) Write(p []byte) (int, error) { return len(p), nil }
