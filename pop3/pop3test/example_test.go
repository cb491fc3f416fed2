package pop3test_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/pop3/pop3test"
)

func Example() {
	s := pop3test.NewServer()
	defer s.Close()
	s.Add("Subject: hello\r\n\r\nHello Bob.\r\n")

	// The code under test, whichever client it uses.
	ctx := context.Background()
	c, err := s.Dialer().Dial(ctx, s.Addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := c.Retr(ctx, 1)
	got, err := io.ReadAll(text)
	fmt.Println(len(got), err)
	c.Dele(ctx, 1)
	c.Quit(ctx)

	fmt.Println(len(s.Messages()), "left")
	// Output:
	// 30 <nil>
	// 0 left
}

// The connection breaks within a message: a good client keeps it on the server.
func ExampleCutMessage() {
	s := pop3test.NewServer(pop3test.CutMessage(100_000))
	defer s.Close()
	s.Add("Subject: hello\r\n\r\n" + strings.Repeat("Hello Bob.\r\n", 10_000))
	ctx := context.Background()
	c, err := s.Dialer().Dial(ctx, s.Addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := c.Retr(ctx, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = io.ReadAll(text)
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF), len(s.Messages()), "left")
	// Output: true 1 left
}

// A client that polls beside another one, and comes back.
func ExampleInUse() {
	s := pop3test.NewServer(pop3test.InUse(1))
	defer s.Close()
	for range 2 {
		_, err := s.Dialer().Dial(context.Background(), s.Addr)
		fmt.Println(err == nil, errors.Is(err, pop3.ErrInUse))
	}
	// Output:
	// false true
	// true false
}
