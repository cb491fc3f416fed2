package smtp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/textual"
	"github.com/postrider-mail/postrider/smtp"
)

// endings are what others have taken for the end of a message. Behind each
// comes a message in disguise, and then the true end.
var endings = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r.\r", "\n.\r", "\r\n.\r", "\r.\n",
	"\r\r\n.\r\r\n", "\r\n.\r\r\n", "\r\r\n.\r\n\r", "\n\r.\r\n", "\n\r\n\r.\r\n\r", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n .\r\n", "\r\n. \r\n", "\r\n..\r\n", "\x00",
}

const disguised = "MAIL FROM:<evil@example.net>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nsmuggled\r\n"

// TestSmuggling: whatever the ending, the mode and the pieces it arrives in,
// there is one message or none, and it holds CR and LF in pairs.
func TestSmuggling(t *testing.T) {
	for _, mode := range []textual.Mode{textual.Reject, textual.Normalise} {
		for _, ending := range endings {
			for _, step := range []int{1, 2, 3, 7, 1 << 20} {
				name := fmt.Sprintf("mode %d, %q, %d at a time", mode, ending, step)
				for _, text := range []string{"first", ""} {
					message := text + ending + disguised
					smuggle(t, name, mode, step, message)
				}
			}
		}
	}
}

func smuggle(t *testing.T, name string, mode textual.Mode, step int, message string) {
	t.Helper()
	var mails []string
	srv := fuzzServer(&mails)
	if mode == textual.Normalise {
		tolerate(srv, smtp.TolerateAll)
	}
	head := "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n"
	for _, how := range []string{
		"DATA\r\n" + message + "\r\n.\r\n",
		fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message),
	} {
		mails = nil
		c := &script{in: bytes.NewReader([]byte(head + how + "QUIT\r\n")), step: step}
		srv.ServeConn(c)
		codes := parseReplies(t, c.out.String())
		if strings.HasPrefix(how, "DATA") && message[:1] == "." || strings.Contains(message, "\r\n.\r\n") && strings.HasPrefix(how, "DATA") {
			continue // a true end after all
		}
		if last := codes[len(codes)-1]; last != 221 || len(mails) > 1 {
			t.Errorf("%s: out of step: %v, %q", name, codes, mails)
		}
		bare := strings.ContainsAny(strings.ReplaceAll(message, "\r\n", ""), "\r\n")
		nul := strings.Contains(message, "\x00")
		if stored := len(mails) == 1; stored != ((mode == textual.Normalise || !bare) && !nul) {
			t.Errorf("%s: stored %q, replies %v", name, mails, codes)
		}
		for _, m := range mails {
			if strings.ContainsAny(strings.ReplaceAll(m, "\r\n", ""), "\r\n") || !strings.Contains(m, disguised) {
				t.Errorf("%s: stored %q", name, m)
			}
		}
	}
}

// TestDotsAtBufferEdges: the end of a message and its dots are seen wherever
// they fall in the reader's buffers.
func TestDotsAtBufferEdges(t *testing.T) {
	head := "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
	for _, around := range []int{0, 512, 1024, 32 << 10, 64 << 10} {
		for n := max(around-len(head)-20, 0); n < around+20; n++ {
			text := strings.Repeat("x", n)
			var mails []string
			srv := fuzzServer(&mails)
			srv.Limits.MessageSize = -1
			c := &script{in: bytes.NewReader([]byte(head + text + "\r\n..dot\r\n.\r\nQUIT\r\n")), step: 1 << 20}
			srv.ServeConn(c)
			if want := text + "\r\n.dot\r\n"; len(mails) != 1 || mails[0] != want || !strings.Contains(c.out.String(), "\r\n221 ") {
				t.Fatalf("at %d: %d messages, %q", n, len(mails), c.out.String())
			}
		}
	}
}
