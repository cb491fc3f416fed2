package post

import (
	"context"
	"net"
	"strings"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// visit is a client that brings one message.
type visit struct {
	user       string // who has logged in
	from       string // empty: the null sender
	submission bool
	lmtp       bool
	params     smtp.Params
	notify     smtp.Notify
	busy       func(*Receiver, *smtp.Envelope) // what happens between the recipients and the data
}

// at is an address of a test.
func at(address string) smtp.Path {
	if address == "" {
		return smtp.Path{}
	}
	path, err := smtp.ParsePath("<"+address+">", smtp.PathUTF8)
	if err != nil {
		panic(err)
	}
	return path
}

// send returns the first refusal, or what became of the message.
func (v visit) send(p *Post, text string, to ...string) error {
	ctx := context.Background()
	r := &Receiver{Post: p, Submission: v.submission}
	s := &smtp.Session{Identity: lineserver.Identity{ID: "s", User: v.user, RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4}}, LMTP: v.lmtp}
	e := &smtp.Envelope{Session: s, ID: "s-1", From: at(v.from), Params: v.params, Data: strings.NewReader(text)}
	s.Envelope = e
	if err := r.CheckSender(ctx, s, e.From, &e.Params); err != nil {
		return err
	}
	for _, address := range to {
		rcpt := smtp.Recipient{Path: at(address), Params: smtp.RcptParams{Notify: v.notify}}
		if err := r.CheckRcpt(ctx, s, &rcpt); err != nil {
			return err
		}
		e.To = append(e.To, rcpt)
	}
	if v.busy != nil {
		v.busy(r, e)
	}
	return r.ServeSMTP(ctx, e)
}
