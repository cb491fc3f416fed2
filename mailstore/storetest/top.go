package storetest

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/mailstore"
)

const someTop = "Return-Path: <a@b.test>\r\nReceived: from a\r\n\tby b; Fri, 20 Nov 2026 12:00:00 +0000\r\n"

// topped delivers a body with a top of which so much is expected.
func (s *suite) topped(m mailstore.Meta, body, top string) {
	s.Helper()
	d, err := s.store.Create(s.ctx, m, alice, bob)
	if err != nil {
		s.Fatal(err)
	}
	if n, err := io.WriteString(d, body); n != len(body) || err != nil {
		s.Fatalf("Write = %d, %v", n, err)
	}
	if err := d.Commit(s.ctx, []byte(top)); err != nil {
		s.Fatalf("Commit: %v", err)
	}
}

// bodies of all kinds with a size at the edges of what a store may hold in memory.
func toppedBodies() []string {
	bodies := []string{"", "\r\n", "\n", "a\r", "body\r\n", "first\r\nbare\nline\r\n"}
	for _, n := range []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 96 << 10, 300_000} {
		text := strings.Repeat("0123456789abcde\r\n", n/17+1)[:n]
		bodies = append(bodies, text, text+"\nbare\r\n")
	}
	return bodies
}

// top checks that what Commit is given stands on top, octet for octet, whether it was
// expected as it came, not at all, or smaller; and that the message itself is whole.
func top(s *suite) {
	var want []string
	longer := someTop + strings.Repeat("X-Found: something\r\n", 1000)
	for _, exact := range []bool{false, true} {
		for _, body := range toppedBodies() {
			for _, c := range []struct{ expected, top string }{
				{someTop, someTop}, {"", someTop}, {"A: b\r\n", someTop}, {someTop, longer}, {longer, longer},
				{"", ""}, {someTop, ""}, {"", "bare\nTop: x\r\n"}, {someTop, "no line end"}, {someTop, "ends in CR\r"},
			} {
				s.topped(mailstore.Meta{Exact: exact, Top: []byte(c.expected)}, body, c.top)
				want = append(want, c.top+body)
			}
		}
	}
	s.want(alice, want...)
	s.want(bob, want...)
}

// topPadded checks what happens to a top that is shorter than was expected: it may be
// padded, but says what it said, and what is below it stays.
func topPadded(s *suite) {
	for _, exact := range []bool{false, true} {
		for _, body := range toppedBodies() {
			for _, more := range []int{1, 2, 11, 12, 13, 14, 77, 78, 80, 500, 4000, 20000} {
				expected := someTop + strings.Repeat("x", more-min(more, 2)) + "\r\n"
				s.topped(mailstore.Meta{Exact: exact, Top: []byte(expected)}, body, someTop)
				m := s.drop(alice)
				got := s.read(m, 0)
				if m.Size(0) != int64(len(got)) {
					s.Errorf("Size is %d, %d octets", m.Size(0), len(got))
				}
				if err := m.Remove(s.ctx, []int{0}); err != nil {
					s.Fatal(err)
				}
				m.Close()
				text, ok := strings.CutSuffix(got, body)
				if !ok {
					s.Fatalf("%d more expected: the body of %d octets is another: %.300q", more, len(body), got)
				}
				checkPadded(s, text)
			}
		}
	}
}

// checkPadded compares a top that may have been padded with someTop.
func checkPadded(s *suite, text string) {
	s.Helper()
	for line := range bytes.Lines([]byte(text)) {
		line, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if !ok || len(line) > 998 || len(bytes.TrimSpace(line)) == 0 {
			s.Fatalf("line %.200q in %.300q", line, text)
		}
	}
	// What pads is a field of its own, wherever it stands between the others.
	var said []string
	padding := false
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			padding = strings.HasPrefix(line, "X-Padding:")
		}
		if !padding {
			said = append(said, strings.Fields(line)...)
		}
	}
	if !slices.Equal(said, strings.Fields(someTop)) {
		s.Fatalf("the top is %.300q", text)
	}
}
