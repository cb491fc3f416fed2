package smtp_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// TestSpeaksLF: a client that ends its lines in LF is understood in whatever
// pieces it comes, one octet included, and longer than any buffer.
func TestSpeaksLF(t *testing.T) {
	long := strings.Repeat("a line of text\n", 10_000)
	for _, text := range []string{"Subject: x\n\nhi\n", "\n", "..\n", long, strings.Repeat("\n", 5000)} {
		for _, step := range []int{1, 2, 3, 7, 511, 512, 513, 1 << 20} {
			if step < 7 && len(text) > 50_000 {
				continue
			}
			var mails []string
			srv := fuzzServer(&mails)
			srv.Limits.MessageSize = -1
			tolerate(srv, smtp.TolerateAll)
			in := "HELO scanner\nMAIL FROM:<s@example.org>\nRCPT TO:<b@example.com>\nDATA\n" + text + ".\nQUIT\n"
			c := &script{in: bytes.NewReader([]byte(in)), step: step}
			srv.ServeConn(c)
			want := strings.ReplaceAll(strings.ReplaceAll("\n"+text, "\n.", "\n")[1:], "\n", "\r\n")
			if len(mails) != 1 || mails[0] != want {
				t.Fatalf("%.20q, %d at a time: %d messages, server said %.300q", text, step, len(mails), c.out.String())
			}
			if codes := parseReplies(t, c.out.String()); len(codes) != 7 || codes[6] != 221 {
				t.Errorf("%.20q, %d at a time: replies %v", text, step, codes)
			}
		}
	}
}

// TestSpeaksLFAfterwards: what is forgiven only to those who have logged in
// comes too late for speaking LF: who began with CRLF ends messages by CRLF.
func TestSpeaksLFAfterwards(t *testing.T) {
	var mails []string
	srv := fuzzServer(&mails)
	srv.CleartextAuth = true
	srv.Tolerate = func(s *smtp.Session) smtp.Tolerance {
		if s.User != "" {
			return smtp.TolerateAll
		}
		return 0
	}
	in := "EHLO c\r\nAUTH PLAIN AGFubgBzZXNhbWU=\r\nMAIL FROM:s@example.org\nRCPT TO:b@example.com\nDATA\nx\n.\nMAIL FROM:<evil@example.org>\n\r\n.\r\nQUIT\n"
	c := &script{in: bytes.NewReader([]byte(in)), step: 3}
	srv.ServeConn(c)
	if len(mails) != 1 || !strings.Contains(mails[0], "evil") {
		t.Errorf("%q, server said %q", mails, c.out.String())
	}
}
