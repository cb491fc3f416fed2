package daemon

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/smtp"
)

var oddLineEnds = regexp.MustCompile(`\r*\n|\r`)

// TestOctets: every message that the server takes is given out again with
// nothing but the trace fields above it, octet for octet, whichever way it
// came. A client makes CRLF of other line ends first.
func TestOctets(t *testing.T) {
	names, texts := mailtest.Corpus(t, "../../testdata/messages")
	for _, text := range (mailtest.Messages{Edges: []int{4 << 10, 32 << 10, 64 << 10}, Count: 40}).Each(t) {
		names, texts = append(names, "generated"), append(texts, text)
	}
	sameOctets(t, start(t, ""), names, texts)
}

// TestSealedOctets: a sealed mailbox gives out what came, octet for octet, whatever it is: mail that is encrypted or signed already is none of the store's business, and nothing
// of a message is read for its sealing.
func TestSealedOctets(t *testing.T) {
	names, texts := mailtest.Corpus(t, "../../testdata/messages")
	for name, text := range map[string]string{
		"PGP/MIME": "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n" +
			"--b\r\nContent-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA1\r\n=abcd\r\n-----END PGP MESSAGE-----\r\n--b--\r\n",
		"S/MIME":      "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIBHgYJKoZIhvcNAQcDoIIBDzCCAQsCAQAxgcAwgb0CAQAwJjASMRAw\r\n",
		"inline PGP":  "Subject: x\r\n\r\n-----BEGIN PGP MESSAGE-----\r\nComment: x\r\n\r\nhQEMA1\r\n=abcd\r\n-----END PGP MESSAGE-----\r\n",
		"signed":      "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; micalg=pgp-sha256; protocol=\"application/pgp-signature\"; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nblanks at the end  \r\n\t\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"an age file": "Subject: x\r\n\r\nage-encryption.org/v1\r\n-> X25519 x\r\n",
		"like sealed": "X-Sealed: 1 abcdefgh.abcdefghijklmnop\r\nSubject: x\r\n\r\ntext\r\n",
		"long":        "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcde\r\n", 20_000),
	} {
		names, texts = append(names, name), append(texts, text)
	}
	w := start(t, "")
	w.seal(testPassword)
	sameOctets(t, w, names, texts)
	if c, err := w.boxes.Count(t.Context(), alice); err != nil || c.Plain != 0 || c.Messages == 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// sameOctets sends messages to alice, and wants them back.
func sameOctets(t *testing.T, w *testWorld, names, texts []string) {
	t.Helper()
	var sent, from []string
	var c *smtp.Client
	for i, text := range texts {
		if i%50 == 0 {
			c = w.sender(i/50%3 == 1, i/50%3 == 2)
		}
		text = oddLineEnds.ReplaceAllString(text, "\r\n")
		m := &smtp.Outgoing{
			From:   smtp.Path{Local: "a", Domain: "far.test"},
			To:     []smtp.Recipient{{Path: smtp.Path{Local: "alice", Domain: "mail.test"}}},
			Params: smtp.Params{Body: "8BITMIME"},
		}
		res, err := c.Send(t.Context(), m, strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", names[i], err)
		}
		if res[0].Err != nil {
			t.Logf("%s is not taken: %v", names[i], res[0].Err)
			continue
		}
		if text != "" && !strings.HasSuffix(text, "\r\n") {
			text += "\r\n" // POP3 cannot say otherwise, nor can DATA
		}
		sent, from = append(sent, text), append(from, names[i])
	}
	if len(sent) < len(texts)*9/10 {
		t.Errorf("%d of %d messages were taken", len(sent), len(texts))
	}
	got := w.fetch("alice@mail.test")
	if len(got) != len(sent) {
		t.Fatalf("%d messages came back, want %d", len(got), len(sent))
	}
	for i, want := range sent {
		head, ok := strings.CutSuffix(got[i], want)
		if !ok {
			t.Errorf("%s: %s", from[i], mailtest.Differ(got[i][max(0, len(got[i])-len(want)):], want))
		} else if !strings.HasPrefix(head, "Return-Path: <a@far.test>\r\nReceived: ") || strings.Count(head, "\n") > 8 {
			t.Errorf("%s: above it stands %q", from[i], head)
		}
	}
}

// TestRelayedOctets: every message that is taken for another host is given to it
// with nothing but trace fields above it, by way of the queue, with DATA and with
// BDAT.
func TestRelayedOctets(t *testing.T) {
	names, texts := mailtest.Corpus(t, "../../testdata/messages")
	for _, text := range (mailtest.Messages{Edges: []int{4 << 10, 32 << 10, 64 << 10}, Count: 40}).Each(t) {
		names, texts = append(names, "generated"), append(texts, text)
	}
	got := make(chan string, len(texts))
	sink := func(hide ...string) int {
		addr, _ := sinkServer(t, func(s *smtp.Server) {
			s.Extensions.Hide = hide
			s.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
				b, err := io.ReadAll(e.Data)
				got <- string(b)
				return err
			})
		})
		return addr.Port
	}
	w := startSending(t, `"Routes": [`+route("data.test", sink("CHUNKING"), "")+`,`+route("bdat.test", sink(), "")+`]`)
	var c *smtp.Client
	sent := make(map[string]string)
	for i, text := range texts {
		if i%50 == 0 {
			c = w.sender(false, i/50%2 == 1)
		}
		// Each must be found again, whatever the order they leave in.
		text = strings.ReplaceAll(text, "\x00", "") // for BINARYMIME only, which one of them lacks
		text = fmt.Sprintf("X-Number: %d.\r\n", i) + oddLineEnds.ReplaceAllString(text, "\r\n")
		m := &smtp.Outgoing{
			From:   smtp.Path{Local: "a", Domain: "far.test"},
			To:     []smtp.Recipient{{Path: smtp.Path{Local: "x", Domain: []string{"data.test", "bdat.test"}[i%2]}}},
			Params: smtp.Params{Body: "8BITMIME"},
		}
		if res, err := c.Send(t.Context(), m, strings.NewReader(text)); err != nil || res[0].Err != nil {
			t.Fatalf("%s: %v, %v", names[i], err, res)
		}
		sent[fmt.Sprintf("X-Number: %d.", i)] = text
	}
	for range len(texts) {
		var text string
		select {
		case text = <-got:
		case <-time.After(forEver):
			t.Fatalf("%d messages did not arrive", len(sent))
		}
		at := strings.Index(text, "X-Number: ")
		number, _, _ := strings.Cut(text[max(0, at):], "\r\n")
		want, ok := sent[number]
		if !ok {
			t.Fatalf("not a message that was sent, or again: %.300q", text)
		}
		delete(sent, number)
		if !strings.HasSuffix(want, "\r\n") && strings.HasSuffix(text, "\r\n") {
			want += "\r\n" // DATA cannot say otherwise
		}
		if d := mailtest.Differ(text[at:], want); d != "" {
			t.Errorf("%s: %s", number, d)
		}
	}
}

// sender is a client of the server's, for LMTP or SMTP.
func (w *testWorld) sender(lmtp, noChunking bool) *smtp.Client {
	w.t.Helper()
	d := smtp.Dialer{Hello: "client.test", TLS: smtp.TLSNever, LMTP: lmtp, NoChunking: noChunking}
	listener := "127.0.0.1:0"
	if lmtp {
		listener = "lmtp"
	}
	c, err := d.Start(context.Background(), w.dial(listener).c, "mail.test")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// fetch gets all messages of a mailbox, in order.
func (w *testWorld) fetch(user string) (all []string) {
	w.t.Helper()
	d := pop3.Dialer{User: user, Password: testPassword, TLSConfig: &tls.Config{InsecureSkipVerify: true}}
	conn, err := net.Dial("tcp", w.Addrs()["127.0.0.4:0"].String())
	if err != nil {
		w.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(forEver))
	c, err := d.Start(context.Background(), conn, "mail.test")
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	n, _, err := c.Stat(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i + 1
	}
	err = c.RetrAll(context.Background(), numbers, func(number int, text *pop3.Text, err error) error {
		if err != nil {
			return err
		}
		b, err := io.ReadAll(text)
		if text.Size >= 0 && int64(len(b)) != text.Size && int64(len(b)) != text.Size+2 {
			w.t.Errorf("message %d: %d octets of %d", number, len(b), text.Size)
		}
		all = append(all, string(b))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}
