package smtptest_test

import (
	"context"
	"errors"
	"fmt"
	netsmtp "net/smtp"
	"strings"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/smtptest"
)

func Example() {
	s := smtptest.NewServer()
	defer s.Close()

	// The code under test, whichever client it uses.
	err := netsmtp.SendMail(s.Addr, nil, "ann@example.net", []string{"bob@example.com"}, []byte("Subject: hello\r\n\r\nHello Bob.\r\n"))
	if err != nil {
		fmt.Println(err)
	}

	m, err := s.Next(context.Background())
	fmt.Println(m.From, m.To, len(m.Data), err)
	// Output: ann@example.net [bob@example.com] 30 <nil>
}

// A sender that is told to come back later, and does.
func ExampleGreylist() {
	s := smtptest.NewServer(smtptest.Greylist(1))
	defer s.Close()
	for range 2 {
		err := s.Dialer().SendMail(context.Background(), s.Addr, "ann@example.net", []string{"bob@example.com"}, strings.NewReader("Hello."))
		fmt.Println(err == nil, errors.Is(err, smtp.ErrGreylisted))
	}
	fmt.Println(len(s.Messages()), "message")
	// Output:
	// false true
	// true false
	// 1 message
}

// The connection breaks behind the dot: a good sender knows that it knows
// nothing.
func ExampleCut() {
	s := smtptest.NewServer(smtptest.Cut("message"))
	defer s.Close()
	err := s.Dialer().SendMail(context.Background(), s.Addr, "ann@example.net", []string{"bob@example.com"}, strings.NewReader("Hello."))
	fmt.Println(errors.Is(err, smtp.ErrInDoubt))
	// Output: true
}

// Any reply at any step.
func ExampleSay() {
	s := smtptest.NewTLSServer(smtptest.Say("MAIL", smtp.ErrBadSender.Textf("Not from you")))
	defer s.Close()
	_, err := s.Dialer().Dial(context.Background(), s.Addr)
	fmt.Println(err)
	err = s.Dialer().SendMail(context.Background(), s.Addr, "ann@example.net", []string{"bob@example.com"}, strings.NewReader("Hello."))
	var said *smtp.Response
	fmt.Println(errors.As(err, &said) && strings.HasPrefix(said.Text, "Not from you"))
	// Output:
	// <nil>
	// true
}

// Tests that share a server, each with an inbox of its own; and one recipient alone has trouble.
func ExampleServer_Inbox() {
	s := smtptest.NewServer(smtptest.Fault{At: "RCPT", Of: "<full@example.com>", Reply: smtp.ErrMailboxFull})
	defer s.Close()
	for _, to := range []string{"ann@example.com", "full@example.com", "bob@example.com"} {
		err := s.Dialer().SendMail(context.Background(), s.Addr, "me@example.net", []string{to}, strings.NewReader("Hello "+to+".\r\n"))
		fmt.Println(to, err == nil)
	}
	m, err := s.Inbox("Bob@example.com").Next(context.Background())
	fmt.Println(strings.TrimSpace(string(m.Data)), err, len(s.Inbox("full@example.com").Messages()))
	// Output:
	// ann@example.com true
	// full@example.com false
	// bob@example.com true
	// Hello bob@example.com. <nil> 0
}
