package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

// accepting takes all mail.
func accepting() *smtp.Server {
	return &smtp.Server{
		Hostname: "mx.example.com", Log: slog.New(slog.DiscardHandler),
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler:   smtp.HandlerFunc(func(context.Context, *smtp.Envelope) error { return nil }),
	}
}

// TestServerLimits: what is as long as a limit allows is taken, and one octet more is not.
func TestServerLimits(t *testing.T) {
	for _, tt := range []struct {
		what  string
		limit int
		text  func(n int) string // what is said behind EHLO
	}{
		{"EHLO", 255, func(n int) string { return "EHLO " + strings.Repeat("x", n) }},
		{"HELO", 255, func(n int) string { return "HELO " + strings.Repeat("x", n) }},
		{"HELO of an odd name", 255, func(n int) string { return "HELO (" + strings.Repeat("x", n-1) }},
		{"ENVID", 100, func(n int) string { return "MAIL FROM:<> ENVID=" + strings.Repeat("x", n) }},
		{"ENVID in xtext", 100, func(n int) string { return "MAIL FROM:<> ENVID=" + strings.Repeat("+2B", n) }},
		{"path", 254, func(n int) string { return "MAIL FROM:<" + strings.Repeat("x", n-2) + "@d>" }},
		{"label", 63, func(n int) string { return "MAIL FROM:<x@" + strings.Repeat("d", n) + ".example>" }},
		{"HOLDFOR", 3600, func(n int) string { return fmt.Sprintf("MAIL FROM:<> HOLDFOR=%d", n) }},
		{"MT-PRIORITY", 9, func(n int) string { return fmt.Sprintf("MAIL FROM:<> MT-PRIORITY=%d", n) }},
		{"negative MT-PRIORITY", 9, func(n int) string { return fmt.Sprintf("MAIL FROM:<> MT-PRIORITY=-%d", n) }},
		{"ORCPT", 500, func(n int) string { return "MAIL FROM:<>\nRCPT TO:<a@b> ORCPT=rfc822;" + strings.Repeat("x", n-7) }},
	} {
		mailtest.Edge(t, tt.what, tt.limit, func(n int) bool {
			srv := accepting()
			srv.Extensions = smtp.Extensions{DSN: true, FutureRelease: 3600e9, Priority: true}
			said := say(srv, "EHLO c\n"+tt.text(n)+"\n")
			lines := strings.Split(strings.TrimSpace(said), "\r\n")
			return lines[len(lines)-1][0] == '2'
		})
	}
}

// TestAddressesOctetByOctet: a local part holds what RFC 5322 §3.2.3 lists, a domain
// letters, digits, "-" and, since there are some, "_".
func TestAddressesOctetByOctet(t *testing.T) {
	const letDig = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	in := func(set string) func(byte) bool { return func(c byte) bool { return strings.IndexByte(set, c) >= 0 } }
	parse := func(before, after string, passed ...string) func(string) bool {
		return func(s string) bool {
			for _, p := range passed { // what its place decides about
				if strings.Contains(s, p) {
					return in(letDig + "!#$%&'*+-/=?^_`{|}~")(p[0])
				}
			}
			_, err := smtp.ParseMailbox(before+s+after, smtp.PathUTF8)
			return err == nil
		}
	}
	mailtest.Octets(t, "local part", "ab", parse("", "@d.example", "."), in(letDig+"!#$%&'*+-/=?^_`{|}~"))
	mailtest.Octets(t, "domain", "ab", parse("a@x", "x.example", "."), in(letDig+"-_"))
	mailtest.Octets(t, "quoted local part", "ab", parse(`"`, `"@d.example`, `\`, `"`), func(c byte) bool {
		return c >= ' ' && c < 0x7f && c != '\\' && c != '"'
	})
}

// TestAddressesOfAllLetters: whatever octets a letter has, it may stand in an address
// under SMTPUTF8; and the controls of the upper half may not.
func TestAddressesOfAllLetters(t *testing.T) {
	for r := rune(0x80); r < 0x800; r++ {
		control := r < 0xa0
		for _, address := range []string{string(r) + "@d.example", "a" + string(r) + "b@d.example", "a" + string(r) + "@d.example", "a@" + string(r) + "b.example", "a@b" + string(r) + ".example"} {
			p, err := smtp.ParseMailbox(address, smtp.PathUTF8)
			if (err == nil) == control || err == nil && (p.String() != address || p.IsASCII()) {
				t.Errorf("%q: %v, %v", address, p, err)
			}
			if _, err := smtp.ParseMailbox(address, 0); err == nil {
				t.Errorf("%q without SMTPUTF8", address)
			}
		}
	}
}

// TestFirstRefusalIsTheAnswer: where several recipients are refused behind the message,
// the client hears the first.
func TestFirstRefusalIsTheAnswer(t *testing.T) {
	srv := accepting()
	srv.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
		e.To[1].Result, e.To[2].Result = smtp.ErrMailboxFull, smtp.ErrNoSuchUser
		return nil
	})
	said := say(srv, "EHLO c\nMAIL FROM:<>\nRCPT TO:<a@b>\nRCPT TO:<b@b>\nRCPT TO:<c@b>\nDATA\nx\n.\n")
	if _, answer, _ := strings.Cut(said, "354 "); !strings.Contains(answer, "\r\n452 ") && !strings.Contains(answer, "\r\n552 ") {
		t.Errorf("server says %q", answer)
	}
}

// TestCanonicalOfTheDomain: Canonical is told which domain the local part belongs to.
func TestCanonicalOfTheDomain(t *testing.T) {
	m := smtp.NewServeMux()
	m.Canonical = func(local, domain string) string {
		if domain == "fold.example" {
			return strings.ToLower(local)
		}
		return local
	}
	for _, p := range []string{"Ann@fold.example", "Ann@keep.example"} {
		m.HandleFunc(p, func(context.Context, *smtp.Envelope) error { return nil })
	}
	for address, want := range map[string]string{"ANN@fold.example": "Ann@fold.example", "ANN@keep.example": "", "Ann@keep.example": "Ann@keep.example"} {
		local, domain, _ := strings.Cut(address, "@")
		if _, got := m.Match(smtp.Path{Local: local, Domain: domain}); got != want {
			t.Errorf("%s matches %q, want %q", address, got, want)
		}
	}
}

// failing are accounts of which nothing can be said now.
type failing struct{ *accounts }

func (failing) Verify(context.Context, string, string, []byte) (string, error) {
	return "", errors.New("the database is away")
}

func plainOnly(t *testing.T) []sasl.Mechanism {
	t.Helper()
	all, err := sasl.Named("PLAIN")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEventsAuthenticateFails: a loop that authenticates hears whether it was in vain, and
// the client whether it was for now.
func TestEventsAuthenticateFails(t *testing.T) {
	for _, tt := range []struct {
		creds sasl.Credentials
		want  string
	}{{newAccounts(), "220 250 535 221"}, {failing{newAccounts()}, "220 250 454 221"}} {
		var user string
		var err error
		got := converse(t, &smtp.Server{Mechanisms: plainOnly(t), CleartextAuth: true},
			"EHLO c\nAUTH PLAIN AHRlc3QAd3Jvbmc=\nQUIT\n",
			func(ev *smtp.Event) bool {
				if ev.What == smtp.EventAuth {
					user, err = ev.Authenticate(tt.creds)
				}
				return true
			})
		if got != tt.want || user != "" || err == nil {
			t.Errorf("replies are %s, want %s; Authenticate returned %q, %v", got, tt.want, user, err)
		}
	}
}

// TestEventsWithoutMechanisms: a loop that names no mechanism is not asked about any.
func TestEventsWithoutMechanisms(t *testing.T) {
	got := converse(t, new(smtp.Server), "EHLO c\nAUTH PLAIN AHRlc3QAc2VzYW1l\nQUIT\n", func(ev *smtp.Event) bool {
		if ev.What == smtp.EventAuth {
			t.Error("AUTH is an event")
		}
		return true
	})
	if want := "220 250 502 221"; got != want {
		t.Errorf("replies are %s, want %s", got, want)
	}
}

// TestServerOverShakyConnection: whichever call on the connection fails, the session ends
// with it, and no message is called taken that the handler did not have whole.
func TestServerOverShakyConnection(t *testing.T) {
	const text = "Subject: x\r\n\r\nhello\r\n"
	one := "MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n"
	for name, mail := range map[string]string{"DATA": one + "DATA\r\n" + text + ".\r\n", "BDAT": one + "BDAT 4\r\n" + text[:4] + fmt.Sprintf("BDAT %d LAST\r\n", len(text)-4) + text[4:]} {
		t.Run(name, func(t *testing.T) {
			mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
				synctest.Test(t, func(t *testing.T) {
					srv, has, lost := accepting(), 0, 0
					srv.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
						got, err := io.ReadAll(e.Data)
						if err == nil && string(got) != text {
							t.Errorf("the handler has %q", got)
						}
						if err == nil {
							has++
							if n.Failed() != "" {
								lost++
							}
						}
						return err
					})
					ours, theirs := net.Pipe()
					served := make(chan error, 1)
					go func() { served <- srv.ServeConn(mailtest.FaultyConn(theirs, n, false)) }()
					go func() {
						for _, piece := range strings.SplitAfter("EHLO c\r\n"+mail+mail+"QUIT\r\n", "\r\n") {
							if _, err := io.WriteString(ours, piece); err != nil {
								return
							}
						}
					}()
					said, _ := io.ReadAll(ours)
					<-served
					ours.Close()
					if taken := strings.Count(string(said), "Queued as"); taken > has || has > taken+1 {
						t.Errorf("%d messages are called taken, the handler has %d:\n%s", taken, has, said)
					}
					if lost > 0 {
						t.Errorf("the session went on behind the failure, and the handler got %d messages", lost)
					}
					if n.Failed() == "" && has != 2 {
						t.Errorf("%d messages", has)
					}
				})
			})
		})
	}
}

// TestEndedBetweenChunks: a session that is ended obeys no further command, a chunk that was sent along with the first one neither: nothing is stored, and its client hears why.
func TestEndedBetweenChunks(t *testing.T) {
	var stored string
	srv := accepting()
	srv.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
		b := make([]byte, 3)
		if _, err := io.ReadFull(e.Data, b); err != nil {
			return err
		}
		e.Session.End()
		more, err := io.ReadAll(e.Data)
		if err == nil {
			stored = string(b) + string(more)
		}
		return err
	})
	out := say(srv, "EHLO c\nMAIL FROM:<>\nRCPT TO:<a@a.example>\nBDAT 3\nx\nBDAT 3 LAST\ny\nNOOP\n")
	if stored != "" || strings.Contains(out, "Queued") {
		t.Errorf("%q is stored", stored)
	}
	if lines := strings.Split(strings.TrimSpace(out), "\r\n"); !strings.HasPrefix(lines[len(lines)-1], "421 4.7.0 What this session") || strings.Count(out, "421 ") != 1 {
		t.Errorf("%q", lines)
	}
}
