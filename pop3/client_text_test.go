package pop3_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/pop3"
)

// longMails are two messages, of which the first does not fit into any buffer.
var longMails = []string{"Subject: long\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 2000), "Subject: short\r\n\r\nshort\r\n"}

// fetching is a Client that has logged in to a mailbox with these messages.
func fetching(t *testing.T, mails ...string) (*pop3.Client, *world) {
	t.Helper()
	w := newWorld(t, nil)
	w.mem.deliver("bob", mails...)
	conn, err := w.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); w.srv.Close() })
	d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "bob", Password: "sesame"}
	c, err := d.Start(context.Background(), conn, "pop.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

// TestTextEndsOnce: io.EOF means that the message was read to its end; a reader
// whose rest was skipped, however that came, says so, for ever.
func TestTextEndsOnce(t *testing.T) {
	ctx := context.Background()
	skips := map[string]func(c *pop3.Client, one *pop3.Text) error{
		"another command": func(c *pop3.Client, _ *pop3.Text) error { return c.Noop(ctx) },
		"another message": func(c *pop3.Client, _ *pop3.Text) error { _, err := c.Retr(ctx, 2); return err },
		"a listing":       func(c *pop3.Client, _ *pop3.Text) error { _, err := c.List(ctx); return err },
		"TOP":             func(c *pop3.Client, _ *pop3.Text) error { _, err := c.Top(ctx, 2, 0); return err },
		"Quit":            func(c *pop3.Client, _ *pop3.Text) error { return c.Quit(ctx) },
		"its Close":       func(_ *pop3.Client, one *pop3.Text) error { return one.Close() },
		"RetrAll": func(c *pop3.Client, _ *pop3.Text) error {
			return c.RetrAll(ctx, []int{2}, func(int, *pop3.Text, error) error { return nil })
		},
		"DeleAll": func(c *pop3.Client, _ *pop3.Text) error { return c.DeleAll(ctx, []int{2}) },
	}
	for name, skip := range skips {
		for _, before := range []int64{0, 1, 100_000} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, _ := fetching(t, longMails...)
					one, err := c.Retr(ctx, 1)
					if err != nil {
						t.Fatal(err)
					}
					if n, err := io.CopyN(io.Discard, one, before); err != nil {
						t.Fatal(n, err)
					}
					if err := skip(c, one); err != nil {
						t.Fatal(err)
					}
					for range 2 {
						if got, err := io.ReadAll(one); len(got) > 0 || !errors.Is(err, pop3.ErrSkipped) {
							t.Errorf("%d octets and %v", len(got), err)
						}
						if n, err := one.WriteTo(io.Discard); n > 0 || !errors.Is(err, pop3.ErrSkipped) {
							t.Errorf("WriteTo: %d octets and %v", n, err)
						}
					}
					if err := one.Close(); err != nil {
						t.Error("Close:", err)
					}
				})
			})
		}
	}
}

// TestTextReadWithoutEOF: a reader who took exactly the announced octets has
// them all, and hears io.EOF although another command came between.
func TestTextReadWithoutEOF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		c, _ := fetching(t, longMails...)
		one, err := c.Retr(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(one, make([]byte, one.Size)); err != nil {
			t.Fatal(err)
		}
		if err := c.Noop(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := one.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Error(n, err)
		}
	})
}

// TestRetrAllKeepsText: a Text that take keeps beyond its return was skipped.
func TestRetrAllKeepsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := fetching(t, longMails...)
		var kept []*pop3.Text
		err := c.RetrAll(context.Background(), []int{1, 2}, func(_ int, one *pop3.Text, err error) error {
			kept = append(kept, one)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, one := range kept {
			if _, err := io.ReadAll(one); !errors.Is(err, pop3.ErrSkipped) {
				t.Errorf("message %d: %v", i+1, err)
			}
		}
	})
}

// TestCommandWithinTake: a command within take would read the answer to one of
// the commands under way as its own. It is refused, whatever it is, nothing is
// sent, and the rest comes as if it had not been asked for.
func TestCommandWithinTake(t *testing.T) {
	ctx := context.Background()
	calls := map[string]func(c *pop3.Client) error{
		"Noop":    func(c *pop3.Client) error { return c.Noop(ctx) },
		"Dele":    func(c *pop3.Client) error { return c.Dele(ctx, 1) },
		"Retr":    func(c *pop3.Client) error { _, err := c.Retr(ctx, 1); return err },
		"Top":     func(c *pop3.Client) error { _, err := c.Top(ctx, 1, 1); return err },
		"Stat":    func(c *pop3.Client) error { _, _, err := c.Stat(ctx); return err },
		"UIDL":    func(c *pop3.Client) error { _, err := c.UIDL(ctx); return err },
		"Size":    func(c *pop3.Client) error { _, err := c.Size(ctx, 1); return err },
		"Quit":    func(c *pop3.Client) error { return c.Quit(ctx) },
		"User":    func(c *pop3.Client) error { return c.User(ctx, "a", "b") },
		"DeleAll": func(c *pop3.Client) error { return c.DeleAll(ctx, []int{1}) },
		"RetrAll": func(c *pop3.Client) error {
			return c.RetrAll(ctx, []int{1}, func(int, *pop3.Text, error) error { return nil })
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w := fetching(t, longMails...)
				taken := 0
				err := c.RetrAll(ctx, []int{1, 2, 1}, func(number int, one *pop3.Text, err error) error {
					if err != nil {
						return err
					}
					for range 2 { // before and behind the message
						if err := call(c); !errors.Is(err, pop3.ErrBusy) {
							t.Errorf("message %d: %v", number, err)
						}
						got, err := io.ReadAll(one)
						if err != nil || len(got) > 0 && string(got) != longMails[number-1] {
							t.Errorf("message %d: %d octets, %v", number, len(got), err)
						}
						taken += len(got)
					}
					return nil
				})
				if err != nil || taken != 2*len(longMails[0])+len(longMails[1]) {
					t.Errorf("%d octets, %v", taken, err)
				}
				if err := c.Quit(ctx); err != nil {
					t.Error(err)
				}
				if left := w.mem.uids("bob"); left != "uid-1 uid-2" {
					t.Errorf("left: %s", left)
				}
			})
		})
	}
}

// TestZeroClient: what was not made by a Dialer is an error and no panic.
func TestZeroClient(t *testing.T) {
	ctx := context.Background()
	var c pop3.Client
	_, retr := c.Retr(ctx, 1)
	_, capa := c.Capabilities(ctx)
	all := c.RetrAll(ctx, []int{1}, func(int, *pop3.Text, error) error { return nil })
	for i, err := range []error{c.Noop(ctx), c.Quit(ctx), c.StartTLS(ctx, nil), c.Login(ctx, "a", "b"), c.User(ctx, "a", "b"), retr, capa, all} {
		if !errors.Is(err, pop3.ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error("Close:", err)
	}
	var text pop3.Text
	if _, err := text.Read(make([]byte, 1)); !errors.Is(err, pop3.ErrClosed) {
		t.Error("Read:", err)
	}
	if _, err := text.WriteTo(io.Discard); !errors.Is(err, pop3.ErrClosed) {
		t.Error("WriteTo:", err)
	}
	if err := text.Close(); err != nil {
		t.Error("Close of a text:", err)
	}
	if _, err := new(pop3.Dialer).Start(ctx, nil, "pop.example.com"); err == nil {
		t.Error("Start without a connection")
	}
	var srv pop3.Server
	if err := srv.Serve(nil); err == nil {
		t.Error("Serve without a listener")
	}
	if err := srv.ServeConn(nil); err == nil {
		t.Error("ServeConn without a connection")
	}
}
