package smtp_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/rfc2822"
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

// TestLineWithoutEnd: a client is not read for ever for the sake of an answer to
// its line, however much of it comes, and a long line that ends is answered in
// step.
func TestLineWithoutEnd(t *testing.T) {
	var mails []string
	const most = 2 << 20
	source := &repeated{line: bytes.Repeat([]byte("x"), 1024), left: 64 << 10}
	c := &flood{script: script{in: bytes.NewReader(nil)}, parts: []io.Reader{strings.NewReader("HELO c\r\n"), source}}
	fuzzServer(&mails).ServeConn(c)
	if read := (64<<10 - source.left) * 1024; read > most {
		t.Errorf("%d octets were read", read)
	}
	if out := c.out.String(); !strings.HasSuffix(strings.TrimSpace(out), ")") || !strings.Contains(out, "\r\n500 5.5.2 Line is too long") {
		t.Errorf("server said %q", out)
	}
	long := &script{in: bytes.NewReader([]byte("HELO c\r\n" + strings.Repeat("x", 900<<10) + "\r\n" + strings.Repeat("y", 900<<10) + "\r\nNOOP\r\nQUIT\r\n")), step: 1 << 20}
	fuzzServer(&mails).ServeConn(long)
	if codes := parseReplies(t, long.out.String()); len(codes) != 6 || codes[5] != 221 {
		t.Errorf("long lines: %v", codes)
	}
}

// TestExampleSeam: what the example of a store puts on top of a message is not
// continued by the message's first line.
func TestExampleSeam(t *testing.T) {
	for _, text := range []string{" evil\r\nSubject: s\r\n\r\nbody\r\n", "\r\nbody\r\n", "Subject: s\r\n\r\nbody\r\n", "body\r\n"} {
		header, message, err := rfc2822.Peek(strings.NewReader(text), 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		e := &smtp.Envelope{ID: "x", From: smtp.Path{Local: "a", Domain: "b.example"}, Session: &smtp.Session{Identity: lineserver.Identity{RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}, LocalName: "mx.example.com", Helo: "c"}}
		top, err := onTop(e, header)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(message)
		all, err := rfc2822.ReadString(top + string(body))
		if err != nil || string(body) != text || all.Header.Get("Return-Path") != "<a@b.example>" || strings.Contains(all.Header.Get("Received"), "evil") || !strings.Contains(all.Header.Get("Received"), "by mx.example.com") {
			t.Errorf("%q: Return-Path %q, Received %q, %v", text, all.Header.Get("Return-Path"), all.Header.Get("Received"), err)
		}
	}
}
