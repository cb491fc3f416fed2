package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/mailstore"
)

const someTop = "Return-Path: <a@b.test>\r\nReceived: from a\r\n\tby b; Fri, 20 Nov 2026 12:00:00 +0000\r\n"

// headed is a message whose top is not the one that was expected.
type headed struct{ expected, top string }

// topped delivers a body with each of these tops, at once: what a store has confirmed is whole, whatever else it had to do, and each would
// wait for a disk otherwise.
func (s *suite) topped(exact bool, body string, all []headed) {
	s.Helper()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, h := range all {
		wg.Go(func() {
			d, err := s.store.Create(s.ctx, mailstore.Meta{Exact: exact, Top: []byte(h.expected)}, alice, bob)
			if err != nil {
				errs[i] = err
				return
			}
			defer d.Abort()
			if n, err := io.WriteString(d, body); n != len(body) || err != nil {
				errs[i] = fmt.Errorf("%d of %d octets written: %w", n, len(body), err)
				return
			}
			errs[i] = d.Commit(s.ctx, []byte(h.top))
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Fatal(err)
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
			all := []headed{
				{someTop, someTop}, {"", someTop}, {"A: b\r\n", someTop}, {someTop, longer}, {longer, longer},
				{"", ""}, {someTop, ""}, {"", "bare\nTop: x\r\n"}, {someTop, "no line end"}, {someTop, "ends in CR\r"},
			}
			s.topped(exact, body, all)
			for _, h := range all {
				want = append(want, h.top+body)
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
			var all []headed
			for _, more := range []int{1, 2, 11, 12, 13, 14, 77, 78, 80, 500, 4000, 20000} {
				all = append(all, headed{someTop + strings.Repeat("x", more-min(more, 2)) + "\r\n", someTop})
			}
			s.topped(exact, body, all)
			s.takePadded(body, len(all))
		}
	}
}

// takePadded takes so many messages out of a mailbox, all with that body and someTop.
func (s *suite) takePadded(body string, n int) {
	s.Helper()
	m := s.drop(alice)
	defer m.Close()
	if m.Len() != n {
		s.Fatalf("%d messages, want %d", m.Len(), n)
	}
	var taken []int
	for i := range n {
		got := s.read(m, i)
		if m.Size(i) != int64(len(got)) {
			s.Errorf("Size is %d, %d octets", m.Size(i), len(got))
		}
		text, ok := strings.CutSuffix(got, body)
		if !ok {
			s.Fatalf("the body of %d octets is another: %.300q", len(body), got)
		}
		checkPadded(s, text)
		taken = append(taken, i)
	}
	if err := m.Remove(s.ctx, taken); err != nil {
		s.Fatal(err)
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
