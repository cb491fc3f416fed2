package pop3test_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/pop3/pop3test"
)

var mails = []string{"Subject: one\r\n\r\n.one\r\n", "Subject: two\r\n\r\n" + strings.Repeat("x\r\n", 50_000)}

// fetch takes every message with the server's own dialer and removes it.
func fetch(t *testing.T, s *pop3test.Server, change func(*pop3.Dialer)) (got []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	d := s.Dialer()
	if change != nil {
		change(d)
	}
	c, err := d.Dial(ctx, s.Addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	all, err := c.UIDL(ctx)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, m := range all {
		numbers = append(numbers, m.Number)
	}
	err = c.RetrAll(ctx, numbers, func(_ int, text *pop3.Text, err error) error {
		if err != nil {
			return err
		}
		b, err := io.ReadAll(text)
		if err == nil {
			got = append(got, string(b))
		}
		return err
	})
	if err != nil {
		return got, err
	}
	if err := c.DeleAll(ctx, numbers); err != nil {
		return got, err
	}
	return got, c.Quit(ctx)
}

// TestMailbox: what was added comes, and what was removed is gone, by each kind of
// server.
func TestMailbox(t *testing.T) {
	for name, s := range map[string]*pop3test.Server{"clear": pop3test.NewServer(), "STLS": pop3test.NewStartTLSServer(), "TLS": pop3test.NewTLSServer()} {
		t.Cleanup(s.Close)
		s.Add(mails...)
		if all := s.Messages(); len(all) != 2 || all[1].UID != "2" || string(all[1].Data) != mails[1] {
			t.Errorf("%s: %d messages", name, len(all))
		}
		if got, err := fetch(t, s, nil); err != nil || !slices.Equal(got, mails) {
			t.Errorf("%s: %d messages, %v", name, len(got), err)
		}
		if all := s.Messages(); len(all) != 0 {
			t.Errorf("%s: %d messages left", name, len(all))
		}
		if c := s.Commands(); len(c) < 7 || c[len(c)-1] != "QUIT" || slices.Contains(c, "PASS "+pop3test.Password) {
			t.Errorf("%s: commands %q", name, c)
		}
		s.Add("again\r\n")
		if all := s.Messages(); len(all) != 1 || all[0].UID != "3" {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

func TestWrongPassword(t *testing.T) {
	s := pop3test.NewServer()
	defer s.Close()
	if _, err := fetch(t, s, func(d *pop3.Dialer) { d.Password = "x" }); !errors.Is(err, pop3.ErrAuth) {
		t.Error(err)
	}
}

// TestFaults: each fault is what a client sees, once or always, and no message is
// gone that the client could not have.
func TestFaults(t *testing.T) {
	type check func(error) bool
	is := func(target error) check { return func(err error) bool { return errors.Is(err, target) } }
	lost := func(err error) bool {
		var refused *pop3.Error
		return err != nil && !errors.As(err, &refused)
	}
	for _, c := range []struct {
		name  string
		fault pop3test.Fault
		check check
		left  int // messages in the mailbox
	}{
		{"cut at connect", pop3test.Cut("connect"), lost, 2},
		{"cut at CAPA", pop3test.Cut("CAPA"), lost, 2},
		{"cut at PASS", pop3test.Cut("PASS"), lost, 2},
		{"cut at login", pop3test.Cut("login"), lost, 2},
		{"cut at UIDL", pop3test.Cut("UIDL"), lost, 2},
		{"cut at RETR", pop3test.Cut("RETR"), lost, 2},
		{"cut before a message", pop3test.CutMessage(0), lost, 2},
		{"cut within a message", pop3test.CutMessage(5), lost, 2},
		{"cut behind a message", pop3test.CutMessage(1 << 20), lost, 2},
		{"cut at DELE", pop3test.Cut("DELE"), lost, 2},
		{"cut at QUIT", pop3test.Cut("QUIT"), lost, 2},
		{"garbage as greeting", pop3test.Garbage("connect"), is(pop3.ErrMalformed), 2},
		{"garbage at CAPA", pop3test.Garbage("CAPA"), is(pop3.ErrMalformed), 2},
		{"garbage at PASS", pop3test.Garbage("PASS"), is(pop3.ErrMalformed), 2},
		{"garbage at UIDL", pop3test.Garbage("UIDL"), is(pop3.ErrMalformed), 2},
		{"garbage at RETR", pop3test.Garbage("RETR"), is(pop3.ErrMalformed), 2},
		{"garbage at DELE", pop3test.Garbage("DELE"), is(pop3.ErrMalformed), 2},
		{"garbage at QUIT", pop3test.Garbage("QUIT"), is(pop3.ErrMalformed), 0},
		{"a refusal of one's own at UIDL", pop3test.Fault{At: "UIDL", Raw: "-ERR [SYS/PERM] no\r\n"}, is(pop3.ErrPermanent), 2},
		{"no service", pop3test.Say("connect", pop3.ErrTemporary), is(pop3.ErrTemporary), 2},
		{"in use", pop3test.InUse(1), is(pop3.ErrInUse), 2},
		{"a message refused", pop3test.Say("RETR", pop3.ErrPermanent), is(pop3.ErrPermanent), 2},
		{"nothing removed", pop3test.Say("QUIT", pop3.ErrTemporary), is(pop3.ErrTemporary), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.fault.Times = 1
			s := pop3test.NewServer(c.fault)
			defer s.Close()
			s.Add(mails...)
			if got, err := fetch(t, s, nil); !c.check(err) {
				t.Errorf("the first time: %d messages, %v", len(got), err)
			}
			if n := len(s.Messages()); n != c.left {
				t.Errorf("%d messages in the mailbox, want %d", n, c.left)
			}
			again(t, s, c.left)
			c.fault.Times, c.fault.Skip = 0, 1
			if c.fault.At == "RETR" || c.fault.At == "DELE" || c.fault.At == "message" {
				c.fault.Skip = len(mails)
			}
			if c.fault.At == "CAPA" { // before the login and behind it
				c.fault.Skip = 2
			}
			s.SetFaults(c.fault)
			s.Add(mails...)
			again(t, s, len(mails))
			s.Add(mails...)
			for range 2 {
				if _, err := fetch(t, s, nil); err == nil {
					t.Error("the fault does not last")
				}
			}
		})
	}
}

// again fetches what is left without a fault. A session that was cut off may hold
// the maildrop for a moment.
func again(t *testing.T, s *pop3test.Server, want int) {
	t.Helper()
	for range 500 {
		got, err := fetch(t, s, nil)
		if errors.Is(err, pop3.ErrInUse) {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err != nil || len(got) != want {
			t.Errorf("then: %d messages, want %d, %v", len(got), want, err)
		}
		return
	}
	t.Error("the maildrop stays locked")
}

// TestBrokenTLS fails the handshake of both kinds, and lets the next one go.
func TestBrokenTLS(t *testing.T) {
	fault := pop3test.BrokenTLS()
	fault.Times = 1
	for _, s := range []*pop3test.Server{pop3test.NewStartTLSServer(fault), pop3test.NewTLSServer(fault)} {
		var refused *pop3.Error
		if _, err := fetch(t, s, nil); err == nil || errors.As(err, &refused) {
			t.Errorf("broken: %v", err)
		}
		if _, err := fetch(t, s, nil); err != nil {
			t.Errorf("then: %v", err)
		}
		s.Close()
	}
}

// TestSlow: a client with less patience gives up.
func TestSlow(t *testing.T) {
	s := pop3test.NewServer(pop3test.Slow("UIDL", time.Hour))
	s.Add(mails...)
	if _, err := fetch(t, s, func(d *pop3.Dialer) { d.Timeout = 50 * time.Millisecond }); err == nil || len(s.Messages()) != 2 {
		t.Errorf("an answer within the hour: %v", err)
	}
	s.Close() // which does not wait for the hour
}

// TestFaultsThatCannotHappen are refused at once.
func TestFaultsThatCannotHappen(t *testing.T) {
	for _, f := range []pop3test.Fault{{}, {At: "RETR", Cut: true, Raw: "x"}, {At: "RSET", Reply: pop3.ErrInUse}, {At: "TLS", Raw: "x"}, {At: "message", Raw: "x"}, {At: "RETR", Cut: true, After: 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v: no panic", f)
				}
			}()
			pop3test.NewUnstartedServer(f)
		}()
	}
}

// TestOwnCallbacks are asked before the faults, and an own Backend in place of the
// mailbox.
func TestOwnCallbacks(t *testing.T) {
	s := pop3test.NewUnstartedServer(pop3test.Say("connect", pop3.ErrPermanent))
	s.Config.CheckConn = func(context.Context, *pop3.Session) error { return pop3.ErrTemporary }
	s.Start()
	defer s.Close()
	if _, err := fetch(t, s, nil); !errors.Is(err, pop3.ErrTemporary) {
		t.Errorf("own CheckConn: %v", err)
	}
	b := pop3test.NewUnstartedServer()
	b.Config.Backend = pop3.BackendFunc(func(context.Context, *pop3.Session, string) (pop3.Drop, error) { return nil, pop3.ErrLoginDelay })
	b.Start()
	defer b.Close()
	if _, err := fetch(t, b, nil); !errors.Is(err, pop3.ErrLoginDelay) {
		t.Errorf("own Backend: %v", err)
	}
	bad := pop3test.NewUnstartedServer()
	bad.Config.TLSMode = pop3.RequireTLS
	defer func() {
		if recover() == nil {
			t.Error("a Config that cannot serve starts")
		}
	}()
	bad.Start()
}
