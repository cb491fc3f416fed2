package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	netsmtp "net/smtp"

	"github.com/postrider-mail/postrider/smtp"
)

// A proxy that answers each command with the word of the server behind it. The
// client hears at RCPT who exists, and of the message what became of it; nothing
// is kept here.
func ExampleClient_Begin_proxy() {
	backend := loopback(&smtp.Server{
		CheckRcpt: func(_ context.Context, _ *smtp.Session, to *smtp.Recipient) error {
			if to.Path.Local == "bob" {
				return nil
			}
			return smtp.ErrNoSuchUser.Textf("No %s in this house", to.Path.Local)
		},
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			_, err := io.Copy(stdout{}, e.Data)
			return err
		}),
	})

	type key string
	// word is the backend's answer, in its own words; a failure on the way to it
	// is 451 and goes to the log.
	word := func(err error) error {
		var said *smtp.Response
		if errors.As(err, &said) {
			return said.Reply()
		}
		return err
	}
	client := func(ctx context.Context, s *smtp.Session) (*smtp.Client, error) {
		if c, ok := s.Values[key("client")].(*smtp.Client); ok && c.Usable() {
			return c, nil
		}
		c, err := smtp.Dial(ctx, backend)
		if err == nil {
			s.Set(key("client"), c)
		}
		return c, err
	}
	srv := &smtp.Server{
		CheckSender: func(ctx context.Context, s *smtp.Session, from smtp.Path, p *smtp.Params) error {
			c, err := client(ctx, s)
			if err != nil {
				return err // the backend's greeting is nobody's business: 451
			}
			t, err := c.Begin(ctx, &smtp.Outgoing{From: from, Params: *p})
			s.Set(key("transaction"), t)
			return word(err)
		},
		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
			_, err := s.Values[key("transaction")].(*smtp.Transaction).Rcpt(ctx, *to)
			return word(err)
		},
		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			results, err := e.Session.Values[key("transaction")].(*smtp.Transaction).Message(ctx, e.Data)
			if err != nil {
				return err
			}
			for _, r := range results {
				if r.Err == nil {
					return r.Reply.Reply()
				}
				err = r.Err
			}
			return word(err)
		}),
		Done: func(s *smtp.Session, _ *smtp.Summary) {
			if c, ok := s.Values[key("client")].(*smtp.Client); ok {
				c.Close()
			}
		},
	}
	c, err := netsmtp.Dial(loopback(srv))
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Mail("ann@example.net")
	fmt.Println("carol:", c.Rcpt("carol@example.com") != nil)
	fmt.Println("bob:", c.Rcpt("bob@example.com"))
	w, _ := c.Data()
	io.WriteString(w, "Hello Bob.\r\n")
	fmt.Println(w.Close())
	srv.Shutdown(context.Background())
	// Output:
	// carol: true
	// bob: <nil>
	// Hello Bob.
	// <nil>
}
