package smtp_test

import (
	"context"
	"fmt"
	"io"
	"log"
	netsmtp "net/smtp"
	"os"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/smtp"
)

// Mail into a store of package mailstore: one copy for each recipient or for
// none, and 250 when all are on stable storage.
func Example_mailstore() {
	dir, err := os.MkdirTemp("", "mail")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := maildir.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	users := map[string]bool{"ann@example.com": true, "bob@example.com": true}

	srv := &smtp.Server{
		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
			if !users[to.Path.String()] {
				return smtp.ErrNoSuchUser
			}
			return nil
		},
		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			var to []string
			for _, r := range e.To {
				to = append(to, r.Path.String())
			}
			d, err := store.Create(ctx, mailstore.Meta{ID: e.ID, Size: e.Params.Size}, to...)
			if err != nil {
				return err // 451, and the reason in the log
			}
			defer d.Abort()
			fmt.Fprintf(d, "Return-Path: <%s>\r\n", e.From)
			if _, err := io.Copy(d, e.Data); err != nil {
				return err
			}
			return d.Commit(ctx, nil)
		}),
	}
	addr := loopback(srv)
	send(addr, "ann@example.com", "bob@example.com")
	if err := netsmtp.SendMail(addr, nil, "ann@example.net", []string{"carol@example.com"}, nil); err != nil {
		fmt.Println(refusal(err))
	}
	srv.Shutdown(context.Background())

	box, err := store.Open(context.Background(), "bob@example.com")
	if err != nil {
		log.Fatal(err)
	}
	defer box.Close()
	mail, err := box.Open(0)
	if err != nil {
		log.Fatal(err)
	}
	defer mail.Close()
	io.Copy(stdout{}, mail)
	// Output:
	// 550 5.1.1 No such user here
	// Return-Path: <ann@example.net>
	// Subject: hello
	//
	// Hello Bob.
}
