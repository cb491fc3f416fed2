package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// TestZeroValues: what was not made as it should be says so, and does not
// panic.
func TestZeroValues(t *testing.T) {
	ctx := context.Background()
	var c smtp.Client
	for name, err := range map[string]error{
		"Hello":    c.Hello(ctx, "x"),
		"StartTLS": c.StartTLS(ctx, nil),
		"Noop":     c.Noop(ctx),
		"Reset":    c.Reset(ctx),
		"Quit":     c.Quit(ctx),
	} {
		if !errors.Is(err, smtp.ErrClientClosed) || !strings.Contains(err.Error(), "Dial") {
			t.Errorf("%s of the zero Client: %v", name, err)
		}
	}
	if _, err := c.Send(ctx, &smtp.Outgoing{To: []smtp.Recipient{{}}}, nil); !errors.Is(err, smtp.ErrClientClosed) {
		t.Errorf("Send of the zero Client: %v", err)
	}
	if err := c.Close(); err != nil || c.Usable() || c.RemoteAddr() != nil || c.LocalAddr() != nil || c.String() == "" || c.TLS() != nil || c.Authenticated() {
		t.Errorf("the zero Client is %v, %v", &c, err)
	}
	if _, err := new(smtp.Dialer).Start(ctx, nil, "x"); err == nil {
		t.Error("a Client without a connection")
	}
	var e smtp.Envelope
	if e.Protocol() != "SMTP" {
		t.Errorf("zero Envelope: %s", e.Protocol())
	}
	var s smtp.Session
	s.Set("key", 1)
	if err := s.Close(); err != nil || s.String() == "" {
		t.Errorf("zero Session: %v", err)
	}
	if err := new(smtp.Server).Serve(nil); err == nil {
		t.Error("Serve without a listener")
	}
	if err := new(smtp.Server).ServeConn(nil); err == nil {
		t.Error("ServeConn without a connection")
	}
	for ev := range new(smtp.Conn).Events(ctx) {
		if ev.What != smtp.EventAbort || ev.Err == nil {
			t.Errorf("the zero Conn: %v, %v", ev.What, ev.Err)
		}
	}
	if err := new(smtp.ServeMux).ServeSMTP(ctx, &e); !errors.Is(err, smtp.ErrNoSuchUser) {
		t.Errorf("zero ServeMux: %v", err)
	}
}

// TestStrings: values print as their readers know them.
func TestStrings(t *testing.T) {
	by := &smtp.DeliverBy{By: time.Unix(0, 0), Return: true, Trace: true}
	to := []smtp.Recipient{{Path: smtp.Path{Local: "one", Domain: "b.c"}}, {Path: smtp.Path{Local: "two words", Domain: "b.c"}}}
	for _, c := range []struct{ got, want string }{
		{fmt.Sprint(to), `[one@b.c "two words"@b.c]`},
		{fmt.Sprint(smtp.NotifySuccess|smtp.NotifyDelay, smtp.NotifyNever, smtp.Notify(0)), "SUCCESS,DELAY NEVER "},
		{fmt.Sprint(smtp.StartTLS, smtp.ImplicitTLS, smtp.TLSMode(7)), "StartTLS ImplicitTLS 7"},
		{fmt.Sprint(smtp.TLSIfOffered, smtp.TLSNever, smtp.TLSPolicy(-1)), "TLSIfOffered TLSNever -1"},
		{fmt.Sprint(by, (*smtp.DeliverBy)(nil)), "1970-01-01T00:00:00Z;RT "},
		{fmt.Sprint(smtp.EventRcpt), "Rcpt"},
		{fmt.Sprint(smtp.ErrServerClosed), "smtp: server closed"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
