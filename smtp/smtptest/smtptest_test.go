package smtptest_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/smtptest"
)

// send sends one message with the server's own dialer, stepwise or not.
func send(t *testing.T, s *smtptest.Server, change func(*smtp.Dialer)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := s.Dialer()
	if change != nil {
		change(d)
	}
	return d.SendMail(ctx, s.Addr, "ann@example.net", []string{"bob@example.com"}, strings.NewReader("Subject: x\r\n\r\n.hi\r\n"))
}

// TestInbox: what is sent is there, by each kind of server.
func TestInbox(t *testing.T) {
	for name, s := range map[string]*smtptest.Server{"clear": smtptest.NewServer(), "STARTTLS": smtptest.NewStartTLSServer(), "TLS": smtptest.NewTLSServer()} {
		t.Cleanup(s.Close)
		if err := send(t, s, nil); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, err := s.Next(t.Context())
		if err != nil || m.From != "ann@example.net" || !slices.Equal(m.To, []string{"bob@example.com"}) || string(m.Data) != "Subject: x\r\n\r\n.hi\r\n" || m.TLS != (name != "clear") || m.Helo != "client.example.net" || m.ID == "" {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		if all := s.Messages(); len(all) != 1 {
			t.Errorf("%s: %d messages", name, len(all))
		}
		if c := s.Commands(); len(c) < 3 || !strings.HasPrefix(c[0], "EHLO client.example.net") {
			t.Errorf("%s: commands %q", name, c)
		}
	}
}

// TestNextWaits for a message, for the context and for the end of the server.
func TestNextWaits(t *testing.T) {
	s := smtptest.NewServer()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(over); !errors.Is(err, context.Canceled) {
		t.Errorf("context over: %v", err)
	}
	got := make(chan error, 1)
	go func() { _, err := s.Next(context.Background()); got <- err }()
	if err := send(t, s, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("a message that came later: %v", err)
	}
	go func() { _, err := s.Next(context.Background()); got <- err }()
	s.Close()
	s.Close()
	if err := <-got; err == nil {
		t.Error("Next of a closed server")
	}
}

// TestFaults: each fault is what a client sees, once or always, and nothing is
// in the inbox that was refused.
func TestFaults(t *testing.T) {
	type check func(error) bool
	is := func(target error) check { return func(err error) bool { return errors.Is(err, target) } }
	lost := func(err error) bool {
		var e *smtp.ClientError
		return errors.As(err, &e) && e.Reply == nil && errors.Is(err, io.ErrUnexpectedEOF)
	}
	lastly := func(err error) bool { return err != nil }
	noChunks := func(d *smtp.Dialer) { d.NoChunking = true }
	for _, c := range []struct {
		name  string
		fault smtptest.Fault
		check check
		kept  int // messages in the inbox
		dial  func(*smtp.Dialer)
	}{
		{"cut at connect", smtptest.Cut("connect"), lost, 0, nil},
		{"cut at EHLO", smtptest.Cut("EHLO"), lost, 0, nil},
		{"cut at MAIL", smtptest.Cut("MAIL"), lastly, 0, nil},
		{"cut at RCPT", smtptest.Cut("RCPT"), lastly, 0, nil},
		{"cut at DATA", smtptest.Cut("DATA"), lastly, 0, noChunks},
		{"cut at BDAT", smtptest.Cut("BDAT"), lastly, 0, nil},
		{"cut behind the dot", smtptest.Cut("message"), is(smtp.ErrInDoubt), 1, noChunks},
		{"cut behind the last chunk", smtptest.Cut("message"), is(smtp.ErrInDoubt), 1, nil},
		{"garbage as greeting", smtptest.Garbage("connect"), is(smtp.ErrProtocol), 0, nil},
		{"garbage at EHLO", smtptest.Garbage("EHLO"), is(smtp.ErrProtocol), 0, nil},
		{"garbage at MAIL", smtptest.Garbage("MAIL"), is(smtp.ErrProtocol), 0, nil},
		{"garbage at DATA", smtptest.Garbage("DATA"), is(smtp.ErrProtocol), 0, noChunks},
		{"garbage behind the dot", smtptest.Garbage("message"), is(smtp.ErrProtocol), 1, noChunks},
		{"a code of one's own at RSET", smtptest.Fault{At: "RCPT", Raw: "599 odd\r\n"}, func(err error) bool {
			var r *smtp.Response
			return errors.As(err, &r) && r.Code == 599
		}, 0, nil},
		{"no service", smtptest.Say("connect", smtp.ErrRefused), func(err error) bool {
			var r *smtp.Response
			return errors.As(err, &r) && r.Code == 554
		}, 0, nil},
		{"refused at MAIL", smtptest.Say("MAIL", smtp.ErrBadSender), is(smtp.ErrBadSender), 0, nil},
		{"refused at DATA", smtptest.Say("DATA", smtp.ErrRefused), is(smtp.ErrRefused), 0, noChunks},
		{"refused at BDAT", smtptest.Say("BDAT", smtp.ErrRefused), is(smtp.ErrRefused), 0, nil},
		{"full", smtptest.Full(), is(smtp.ErrMailboxFull), 0, nil},
		{"greylisted", smtptest.Greylist(1), is(smtp.ErrGreylisted), 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.fault.Times = 1
			s := smtptest.NewServer(c.fault)
			defer s.Close()
			if err := send(t, s, c.dial); !c.check(err) {
				t.Errorf("the first time: %v", err)
			}
			if n := len(s.Messages()); n != c.kept {
				t.Errorf("%d messages in the inbox, want %d", n, c.kept)
			}
			if err := send(t, s, c.dial); err != nil {
				t.Errorf("the second time: %v", err)
			}
			c.fault.Times, c.fault.Skip = 0, 1
			s.SetFaults(c.fault)
			if err := send(t, s, c.dial); err != nil {
				t.Errorf("skipped: %v", err)
			}
			for range 2 {
				if err := send(t, s, func(d *smtp.Dialer) { d.NoChunking = c.dial != nil }); err == nil {
					t.Error("the fault does not last")
				}
			}
		})
	}
}

// TestBrokenTLS fails the handshake of both kinds, and lets the next one go.
func TestBrokenTLS(t *testing.T) {
	fault := smtptest.BrokenTLS()
	fault.Times = 1
	for _, s := range []*smtptest.Server{smtptest.NewStartTLSServer(fault), smtptest.NewTLSServer(fault)} {
		var e *smtp.ClientError
		if err := send(t, s, nil); !errors.As(err, &e) || e.Op != "TLS" {
			t.Errorf("broken: %v", err)
		}
		if err := send(t, s, nil); err != nil {
			t.Errorf("then: %v", err)
		}
		s.Close()
	}
}

// TestSlow: a client with less patience gives up.
func TestSlow(t *testing.T) {
	s := smtptest.NewServer(smtptest.Slow("RCPT", time.Hour))
	err := send(t, s, func(d *smtp.Dialer) { d.Timeouts.Command = 50 * time.Millisecond })
	if err == nil || len(s.Messages()) != 0 {
		t.Errorf("an answer within the hour: %v", err)
	}
	s.Close() // which does not wait for the hour
}

// TestFaultsThatCannotHappen are refused at once.
func TestFaultsThatCannotHappen(t *testing.T) {
	for _, f := range []smtptest.Fault{{}, {At: "MAIL", Cut: true, Raw: "x"}, {At: "RSET", Reply: smtp.ErrRefused}, {At: "TLS", Raw: "x"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v: no panic", f)
				}
			}()
			smtptest.NewUnstartedServer(f)
		}()
	}
}

// TestOwnCallbacks are asked before the faults, and an own Handler in place of
// the inbox.
func TestOwnCallbacks(t *testing.T) {
	s := smtptest.NewUnstartedServer(smtptest.Say("RCPT", smtp.ErrMailboxFull))
	s.Config.CheckRcpt = func(_ context.Context, _ *smtp.Session, to *smtp.Recipient) error { return smtp.ErrNoSuchUser }
	s.Start()
	defer s.Close()
	if err := send(t, s, nil); !errors.Is(err, smtp.ErrNoSuchUser) {
		t.Errorf("own CheckRcpt: %v", err)
	}
	h := smtptest.NewUnstartedServer()
	served := 0
	h.Config.Handler = smtp.HandlerFunc(func(context.Context, *smtp.Envelope) error { served++; return nil })
	h.Start()
	defer h.Close()
	if err := send(t, h, nil); err != nil || served != 1 || len(h.Messages()) != 0 {
		t.Errorf("own Handler: %v, %d, %d", err, served, len(h.Messages()))
	}
	bad := smtptest.NewUnstartedServer()
	bad.Config.TLSMode = smtp.RequireTLS
	defer func() {
		if recover() == nil {
			t.Error("a Config that cannot serve starts")
		}
	}()
	bad.Start()
}

// TestOf: a fault of one sender, one recipient or one message is nobody else's, and counts for those alone.
func TestOf(t *testing.T) {
	for _, f := range []smtptest.Fault{
		{At: "MAIL", Of: "<BAD@x.test>", Reply: smtp.ErrBadSender, Times: 1}, {At: "RCPT", Of: "<bad@y.test>", Reply: smtp.ErrMailboxFull, Times: 1},
		{At: "message", Of: "<bad@x.test> ", Reply: smtp.ErrMailboxFull, Times: 1}, {At: "message", Of: "<bad@y.test>", Reply: smtp.ErrMailboxFull, Times: 1},
	} {
		s := smtptest.NewServer(f)
		send := func(from, to string) bool {
			return s.Dialer().SendMail(t.Context(), s.Addr, from, []string{"first@y.test", to}, strings.NewReader("x\r\n")) == nil
		}
		if !send("good@x.test", "good@y.test") || !send("notbad@x.test", "bad@y.testing") {
			t.Errorf("%+v strikes others", f)
		}
		first, second := send("bad@x.test", "bad@y.test"), send("bad@x.test", "bad@y.test")
		if first || !second {
			t.Errorf("%+v: %v, then %v", f, first, second)
		}
		s.Close()
	}
}
