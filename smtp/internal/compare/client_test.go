package compare

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"

	"github.com/emersion/go-sasl"
	peer "github.com/emersion/go-smtp"

	oursasl "github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
)

// TestGoSMTPClient: go-smtp's client delivers to this server, octet for octet.
func TestGoSMTPClient(t *testing.T) {
	want, err := os.ReadFile("../../testdata/sample.eml")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	var user string
	srv := &smtp.Server{
		Hostname:      "mx.example.com",
		Log:           slog.New(slog.DiscardHandler),
		Credentials:   oursasl.PasswordFunc(func(user, password, _ string) error { return nil }),
		CleartextAuth: true,
		Extensions:    smtp.Extensions{DSN: true},
		CheckRcpt:     func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			got.Reset()
			user = e.Session.User
			_, err := io.Copy(&got, e.Data)
			return err
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	c, err := peer.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", "ann", "sesame")); err != nil {
		t.Fatal(err)
	}
	if err := c.SendMail("ann@example.net", []string{"bob@example.com", "carol@example.com"}, bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) || user != "ann" {
		t.Errorf("%q sent %q", user, got.String())
	}
	if err := c.Mail("ann@example.net", &peer.MailOptions{Body: peer.Body8BitMIME, Size: 100, Return: peer.DSNReturnHeaders, EnvelopeID: "a+b"}); err != nil {
		t.Error(err)
	}
	if err := c.Rcpt("bob@example.com", &peer.RcptOptions{Notify: []peer.DSNNotify{peer.DSNNotifyNever}}); err != nil {
		t.Error(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}
