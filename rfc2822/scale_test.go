package rfc2822

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestScale: a hundred thousand, or RFC2822_SCALE, of anything are read one by
// one, none lost below the limits, and in linear time: a quadratic reader would
// take hours.
func TestScale(t *testing.T) {
	n := 100000
	if s := os.Getenv("RFC2822_SCALE"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	big := Limits{HeaderBytes: 1 << 30, Parts: 2 * n, Work: 1 << 40}
	header := func(text string) *Message {
		m, _ := ReadLimited(strings.NewReader(text+"\r\n"), big)
		return m
	}
	for name, read := range map[string]func() int{
		"fields": func() int {
			m := header(strings.Repeat("A: 1\r\n", n))
			_ = m.Header.Add("X", "1")
			return m.Header.Remove("A")
		},
		"lines of a field": func() int { return strings.Count(header("A: "+strings.Repeat("x\r\n ", n)).Header.Get("A"), "x") },
		"junk lines":       func() int { return len(header(strings.Repeat("A: 1\r\njunk\r\n", n)).Header.Named("A")) },
		"addresses":        func() int { list, _ := ReadAddressList(strings.Repeat("a@b, ", n)); return len(list) },
		"strict addresses": func() int { list, _ := ParseAddressList(strings.Repeat("a@b, ", n)); return len(list) },
		"groups":           func() int { list, _ := ParseAddressList(strings.Repeat("g: a@b;, ", n)); return len(list) },
		"bad addresses":    func() int { _, bad := ReadAddressList(strings.Repeat("a b, ", n)); return len(bad) },
		"nested comments": func() int {
			a, _ := ParseAddress("a@b" + strings.Repeat("(", n) + strings.Repeat(")", n))
			return strings.Count(a.Name, "(") + 1
		},
		"words of a phrase": func() int { a, _ := ParseAddress(strings.Repeat("a ", n) + "<a@b>"); return strings.Count(a.Name, "a") },
		"source routes": func() int {
			a, _ := ParseAddress("<" + strings.Repeat("@x,", n-1) + "@x:a@b>")
			return n * len(a.Local)
		},
		"encoded words": func() int { return len(DecodeWords(strings.Repeat("=?utf-8?q?a?= ", n))) - 1 },
		"message ids":   func() int { return len(ParseMessageIDs(strings.Repeat("<a@b> ", n))) },
		"parts": func() int {
			m, _ := ReadString("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", n))
			parts := -1
			_ = m.Walk(big, func([]int, *Part) error { parts++; return nil })
			return parts
		},
		"octets of uuencode lines": func() int {
			m, _ := ReadString("Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 f\r\n" + strings.Repeat("!00  \r\n", n))
			size := int64(0)
			_ = m.Walk(big, func(_ []int, p *Part) error { size, _ = io.Copy(io.Discard, p.Decoded()); return nil })
			return int(size)
		},
		"recipients of a report": func() int {
			m, _ := ReadString(statusMessage("message/delivery-status", strings.Repeat("Final-Recipient: a@b\n\n", n)))
			r, _ := m.ParseReport(big)
			return len(r.Recipients)
		},
	} {
		if got := read(); got != n {
			t.Errorf("%s: %d of %d", name, got, n)
		}
	}
	// A hundred megabytes of header cost what the limit allows.
	text := strings.Repeat("A: 1234567890123456789012345678901234567890\r\n", 100<<20/45)
	if used := allocated(func() {
		if m, _ := Read(stream(text)); !m.Header.Truncated() || m.Header.Size() > 1<<20 {
			t.Errorf("%d octets", m.Header.Size())
		}
	}); used > 16<<20 {
		t.Errorf("%d octets of memory", used)
	}
}
