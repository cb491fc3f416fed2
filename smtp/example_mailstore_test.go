package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	netsmtp "net/smtp"
	"os"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// received is the trace field that every server puts on top of a message
// (RFC 5321 §4.4). The recipient is named only when there is one: several would
// tell each of the others.
func received(e *smtp.Envelope) rfc2822.Received {
	s := e.Session
	field := rfc2822.Received{From: s.Helo, FromRDNS: s.Name, By: s.LocalName, With: e.Protocol(), ID: e.ID, Date: time.Now()}
	if addr, err := netip.ParseAddrPort(s.RemoteAddr.String()); err == nil {
		field.FromIP = addr.Addr()
	}
	if len(e.To) == 1 {
		field.For = e.To[0].String()
	}
	return field
}

// onTop is what is put above the message: whence it came, by which way, and what
// keeps the message's first line from becoming a part of that (Section.Seam).
func onTop(e *smtp.Envelope, header *rfc2822.Section) (string, error) {
	path, err := rfc2822.ReturnPath(e.From.String())
	return path.Raw() + received(e).String() + header.Seam(), err
}

// answer is the reply for an error of the store. What the sender can act on he
// hears; the rest is 451, and the log has the reason.
func answer(err error) error {
	switch {
	case errors.Is(err, mailstore.ErrOverQuota):
		return smtp.ErrMailboxFull.With(err)
	case errors.Is(err, mailstore.ErrNoSpace):
		return smtp.ErrNoSpace.With(err)
	case errors.Is(err, mailstore.ErrNoMailbox), errors.Is(err, mailstore.ErrBadName):
		return smtp.ErrNoSuchUser.With(err)
	}
	return err
}

// Mail into a store of package mailstore: one copy for each recipient or for
// none, with the trace fields that a server owes, and 250 when all are on stable
// storage.
func Example_mailstore() {
	dir, err := os.MkdirTemp("", "mail")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := maildir.Open(dir, maildir.WithQuota(func(user string) maildir.Quota {
		if user == "carol@example.com" {
			return maildir.Quota{Octets: 10}
		}
		return maildir.Quota{}
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	users := map[string]bool{"ann@example.com": true, "bob@example.com": true, "carol@example.com": true}

	srv := &smtp.Server{
		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
			if !users[to.String()] {
				return smtp.ErrNoSuchUser
			}
			return nil
		},
		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			header, message, err := rfc2822.Peek(e.Data, 64<<10)
			if err != nil {
				return err
			}
			top, err := onTop(e, header)
			if err != nil {
				return err
			}
			var to []string
			for _, r := range e.To {
				to = append(to, r.String())
			}
			d, err := store.Create(ctx, mailstore.Meta{ID: e.ID, Size: e.Params.Size, Top: []byte(top)}, to...)
			if err != nil {
				return answer(err)
			}
			defer d.Abort() // does nothing behind Commit
			if _, err := io.Copy(d, message); err != nil {
				return answer(err)
			}
			return answer(d.Commit(ctx, []byte(top)))
		}),
	}
	addr := loopback(srv)
	send(addr, "ann@example.com", "bob@example.com")
	for _, to := range []string{"dave@example.com", "carol@example.com"} {
		if err := netsmtp.SendMail(addr, nil, "ann@example.net", []string{to}, []byte("Subject: hello\r\n\r\nHello.\r\n")); err != nil {
			fmt.Println(refusal(err))
		}
	}
	srv.Shutdown(context.Background())

	box, err := store.Open(context.Background(), "bob@example.com")
	if err != nil {
		log.Fatal(err)
	}
	defer box.Close()
	mail, err := box.Open(context.Background(), 0)
	if err != nil {
		log.Fatal(err)
	}
	defer mail.Close()
	text, _ := io.ReadAll(mail)
	above, message, _ := strings.Cut(string(text), "Subject:")
	for _, field := range strings.SplitAfter(strings.ReplaceAll(above, "\r\n\t", " "), "\r\n") {
		fmt.Printf("%.45s\n", strings.TrimSpace(field))
	}
	fmt.Print(strings.ReplaceAll("Subject:"+message, "\r", ""))
	// Output:
	// 550 5.1.1 No such user here
	// 452 4.2.2 Mailbox is full
	// Return-Path: <ann@example.net>
	// Received: from localhost ([127.0.0.1]) by mx.
	//
	// Subject: hello
	//
	// Hello Bob.
}
