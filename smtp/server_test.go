package smtp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
)

// say plays text on a script and returns what the server said.
func say(srv *smtp.Server, text string) string {
	c := &script{in: bytes.NewReader([]byte(strings.ReplaceAll(text, "\n", "\r\n"))), step: 1 << 20}
	if srv.Log == nil {
		srv.Log = slog.New(slog.DiscardHandler)
	}
	srv.ServeConn(c)
	return c.out.String()
}

func TestSettingsThatCannotServe(t *testing.T) {
	accept := func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil }
	for name, srv := range map[string]*smtp.Server{
		"TLS required without a certificate": {TLSMode: smtp.RequireTLS},
		"implicit TLS without a certificate": {TLSMode: smtp.ImplicitTLS},
		"recipients without a handler":       {CheckRcpt: accept},
		"addresses without a handler":        {CheckRcpt: smtp.Addressable(func(string, string) bool { return true })},
		"a handler for nobody":               {Handler: smtp.HandlerFunc(func(context.Context, *smtp.Envelope) error { return nil })},
		"AUTH required and impossible":       {RequireAuth: true},
		"AUTH required and never offered":    {RequireAuth: true, Credentials: sasl.PasswordFunc(func(user, password, remote string) error { return nil })},
		"TLS from the start, no certificate": {TLSMode: smtp.ImplicitTLS, TLSConfig: &tls.Config{}},
		"STARTTLS without a certificate":     {TLSConfig: &tls.Config{}},
	} {
		client, server := net.Pipe()
		if err := srv.ServeConn(server); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: the connection is not closed: %v", name, err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Serve(l); err == nil || errors.Is(err, smtp.ErrServerClosed) {
			t.Errorf("%s: Serve returned %v", name, err)
		}
	}
}

// LMTP must not be spoken on port 25 (RFC 2033 §5), so that it needs an address.
func TestLMTPNeedsAddr(t *testing.T) {
	if err := (&smtp.Server{LMTP: true}).ListenAndServe(); err == nil || !strings.Contains(err.Error(), "LMTP") {
		t.Errorf("ListenAndServe returned %v", err)
	}
}

func TestZeroServer(t *testing.T) {
	out := say(&smtp.Server{}, "HELO c\nMAIL FROM:<>\nRCPT TO:<b@example.com>\nQUIT\n")
	for _, want := range []string{"220 ", "250 2.1.0", "550 5.7.1 Relaying denied", "221 "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %q", want, out)
		}
	}
}

func TestShutdownBeforeServe(t *testing.T) {
	srv := &smtp.Server{}
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(l); !errors.Is(err, smtp.ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if out := say(srv, "QUIT\n"); !strings.HasPrefix(out, "421 4.3.2") {
		t.Errorf("a connection after Shutdown is greeted with %q", out)
	}
}

// TestNoLimits: negative limits are none.
func TestNoLimits(t *testing.T) {
	var mails []string
	srv := fuzzServer(&mails)
	srv.Limits = smtp.Limits{MessageSize: -1, Recipients: -1, Line: -1, Errors: -1, AuthErrors: -1, Idle: -1, Messages: -1, Command: -1, Session: -1, Data: -1, MinRate: -1, Handshake: -1, Reply: -1, Conns: -1, ConnsPerBlock: -1}
	out := say(srv, "EHLO c\n"+strings.Repeat("FOO\n", 200)+"MAIL FROM:<>\n"+strings.Repeat("RCPT TO:<b@example.com>\n", 1100)+"DATA\n"+strings.Repeat("x", 1000)+"\n.\nQUIT\n")
	if len(mails) != 1 || !strings.Contains(out, "\r\n221 ") || strings.Contains(out, "RCPTMAX") || !strings.Contains(out, "SIZE\r\n") {
		t.Errorf("%d messages, %q", len(mails), out[max(0, len(out)-300):])
	}
}

type panicMux struct{ smtp.HandlerFunc }

func (panicMux) Match(smtp.Path) (smtp.Handler, string) { panic("a route panics") }

func TestMatchPanics(t *testing.T) {
	out := say(&smtp.Server{Handler: panicMux{}}, "HELO c\nMAIL FROM:<>\nRCPT TO:<b@example.com>\nQUIT\n")
	if !strings.Contains(out, "\r\n451 4.3.0") || strings.Contains(out, "\r\n221 ") {
		t.Errorf("server said %q", out)
	}
}

// TestListenAndServeTLS takes its certificate from files.
func TestListenAndServeTLS(t *testing.T) {
	server, client := certificates(t)
	key, err := x509.MarshalPKCS8PrivateKey(server.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	write(t, keyFile, b.String())

	srv := &smtp.Server{Addr: "no address", TLSMode: smtp.ImplicitTLS, Log: slog.New(slog.DiscardHandler)}
	if err := srv.ListenAndServeTLS("no such file", keyFile); err == nil {
		t.Error("no error without a certificate")
	}
	if err := srv.ListenAndServeTLS(certFile(t, server), keyFile); err == nil {
		t.Error("no error without an address")
	}
	// The certificate is in place now.
	c, s := net.Pipe()
	go srv.ServeConn(s)
	tc := tls.Client(c, client)
	line := make([]byte, 3)
	if _, err := io.ReadFull(tc, line); err != nil || string(line) != "220" {
		t.Errorf("greeting is %q, %v", line, err)
	}
	c.Close()
	if err := smtp.ListenAndServe("no address", nil); err == nil {
		t.Error("no error without an address")
	}
	if err := smtp.ListenAndServeTLS("no address", certFile(t, server), keyFile, nil); err == nil {
		t.Error("no error without an address")
	}
}
