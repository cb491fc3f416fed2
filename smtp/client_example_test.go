package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/postrider-mail/postrider/smtp"
)

func ExampleSendMail() {
	body := strings.NewReader("From: a@example.com\r\nTo: b@example.org\r\nSubject: hello\r\n\r\nHi!\r\n")
	err := smtp.SendMail(context.Background(), "mx.example.org:25", "a@example.com", []string{"b@example.org"}, body)
	var reply *smtp.Response
	switch {
	case err == nil:
		fmt.Println("on its way")
	case errors.As(err, &reply):
		fmt.Println("the server said:", reply)
	default:
		fmt.Println(err)
	}
}

// Submit to one's own provider, encrypted and authenticated.
func ExampleDialer() {
	d := &smtp.Dialer{
		TLS:  smtp.TLSFromStart,
		User: "me@example.com", Password: os.Getenv("MAIL_PASSWORD"),
	}
	message, err := os.Open("message.eml")
	if err != nil {
		log.Fatal(err)
	}
	defer message.Close()
	err = d.SendMail(context.Background(), "smtp.example.com:465", "me@example.com", []string{"you@example.org"}, message)
	if err != nil {
		log.Fatal(err)
	}
}

// One connection, many messages, and an answer for every recipient.
func ExampleClient_Send() {
	ctx := context.Background()
	c, err := smtp.Dial(ctx, "mx.example.org:25")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Quit(ctx)
	from, _ := smtp.ParseMailbox("news@example.com", 0)
	for _, addr := range []string{"a@example.org", "b@example.org"} {
		to, _ := smtp.ParseMailbox(addr, 0)
		results, err := c.Send(ctx, &smtp.Outgoing{
			From: from,
			To:   []smtp.Recipient{{Path: to, Params: smtp.RcptParams{Notify: smtp.NotifyFailure}}},
		}, strings.NewReader("Subject: news\r\n\r\nNone.\r\n"))
		for _, r := range results {
			switch {
			case r.Err == nil:
				fmt.Println(addr, "accepted:", r.Reply)
			case r.InDoubt:
				fmt.Println(addr, "may or may not have got it:", r.Err)
			default:
				fmt.Println(addr, "refused:", r.Err)
			}
		}
		if err != nil {
			return // the connection is of no more use
		}
	}
}
