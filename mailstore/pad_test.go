package mailstore_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/rfc2822"
)

// TestPad: text of every length up to several lines grows by exactly that, stays a
// header whose fields say what they said, and has no line that is too long, blank
// or without a field.
func TestPad(t *testing.T) {
	const fields = "Return-Path: <a@b.test>\r\nReceived: from a\r\n\tby b; Fri, 20 Nov 2026 12:00:00 +0000\r\n"
	for _, eol := range []string{"\r\n", "\n"} {
		text := []byte(strings.ReplaceAll(fields, "\r\n", eol))
		for n := range 3000 {
			padded, ok := mailstore.Pad(text, n)
			if !ok || len(padded) != len(text)+n {
				t.Fatalf("%d: %d octets, %v", n, len(padded), ok)
			}
			for line := range bytes.SplitSeq(bytes.TrimSuffix(padded, []byte(eol)), []byte(eol)) {
				if len(line) > 100 || len(bytes.TrimSpace(line)) == 0 || bytes.ContainsAny(line, "\r\n") {
					t.Fatalf("%d: line %q", n, line)
				}
			}
			m, err := rfc2822.ReadString(string(padded) + "Subject: s" + eol + eol + "body")
			if err != nil {
				t.Fatal(err)
			}
			names := []string{"Return-Path", "Received", "X-Padding", "Subject"}
			if n < len("X-Padding: .")+len(eol) {
				names = []string{"Return-Path", "Received", "Subject"}
			}
			if m.Header.Len() != len(names) {
				t.Fatalf("%d: %q", n, padded)
			}
			for i, name := range names {
				if !m.Header.Has(name) {
					t.Fatalf("%d: no %s (%d) in %q", n, name, i, padded)
				}
			}
			if path := m.Header.Get("Return-Path"); strings.TrimSpace(path) != "<a@b.test>" {
				t.Fatalf("%d: Return-Path is %q", n, path)
			}
		}
	}
}

// TestPadNoRoom: where so few octets cannot be had, none are.
func TestPadNoRoom(t *testing.T) {
	for _, c := range []struct {
		fields string
		n      int
		ok     bool
	}{
		{"", 0, true}, {"", 5, false}, {"", 14, true}, {"no field\r\n", 5, false}, {"A: b", 50, false}, {"A: b\r", 50, false}, {"A: b\r\n", -1, false},
		{"A: " + strings.Repeat("x", 990) + "\r\n", 5, true}, {"A: " + strings.Repeat("x", 990) + "\r\n", 6, false},
	} {
		padded, ok := mailstore.Pad([]byte(c.fields), c.n)
		if ok != c.ok || ok && len(padded) != len(c.fields)+c.n {
			t.Errorf("%.20q and %d: %q, %v", c.fields, c.n, padded, ok)
		}
	}
}

// TestPadLeavesSeam: what stands between the fields and the message keeps its place. A
// message without header begins right behind the empty line, and one whose first line
// continues nothing continues the field that was made for it.
func TestPadLeavesSeam(t *testing.T) {
	for _, eol := range []string{"\r\n", "\n"} {
		for _, c := range []struct{ fields, seam string }{
			{"Received: from a|\tby b|", "|"}, {"Return-Path: <>|Received: from a|\tby b|", "|"}, {"", "|"},
			{"Received: from a|\tby b|", "X-Leading-Line:|"}, {"", "X-Leading-Line:|"},
		} {
			fields, seam := strings.ReplaceAll(c.fields, "|", eol), strings.ReplaceAll(c.seam, "|", eol)
			padded := 0
			for n := range 300 {
				got, ok := mailstore.Pad([]byte(fields+seam), n)
				if !ok {
					continue // so few octets have no room in a line without a value
				}
				padded++
				above, ok := strings.CutSuffix(string(got), seam)
				if !ok || len(got) != len(fields)+len(seam)+n || above != "" && !strings.HasSuffix(above, eol) || strings.Contains(above, eol+eol) {
					t.Fatalf("%q, %q and %d: %q", fields, seam, n, got)
				}
			}
			if padded < 250 {
				t.Errorf("%q, %q: padded %d times", fields, seam, padded)
			}
		}
	}
}
