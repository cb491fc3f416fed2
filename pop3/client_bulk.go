package pop3

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// window is how many commands may be on their way: enough for a long line to a
// fast server, and few octets.
const window = 100

// RetrAll asks for messages, as many at a time as the server allows
// (PIPELINING, RFC 2449 §6.6), and gives each to take in the order asked for.
// What take leaves unread is skipped. A message that the server refuses comes
// as an *Error and a nil Text. An error of take ends it and is returned; the
// Client is closed then if answers were still to come.
//
// take must not ask the Client for anything else: the answers to come are those
// of the messages asked for, and every other command is ErrBusy. Note the number,
// and call DeleAll behind RetrAll.
func (c *Client) RetrAll(ctx context.Context, numbers []int, take func(number int, t *Text, err error) error) error {
	return c.pipeline(ctx, "RETR", numbers, func(number int, text string, err error) error {
		c.taking = true
		defer func() { c.taking = false }()
		if err != nil {
			return take(number, nil, err)
		}
		return take(number, c.begin(text), nil)
	})
}

// DeleAll marks messages, as many at a time as the server allows. Those that the
// server refuses are in the error, joined; the others are marked.
func (c *Client) DeleAll(ctx context.Context, numbers []int) error {
	var refused []error
	err := c.pipeline(ctx, "DELE", numbers, func(number int, _ string, err error) error {
		if err != nil {
			refused = append(refused, fmt.Errorf("message %d: %w", number, err))
		}
		return nil
	})
	return errors.Join(append(refused, err)...)
}

// pipeline sends a command for each number, and gives the first line of each
// answer to take: its text, or the *Error.
func (c *Client) pipeline(ctx context.Context, verb string, numbers []int, take func(number int, text string, err error) error) error {
	for _, n := range numbers {
		if n < 1 {
			return ErrBadArgument
		}
	}
	ahead, err := c.ahead(ctx)
	if err != nil {
		return err
	}
	stop, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := c.skip(); err != nil {
		return err
	}
	s := c.sender()
	defer s.close()
	sent := 0
	for i, number := range numbers {
		// Filled up when half of it is answered, so that the server always has
		// something to do.
		if sent < len(numbers) && sent-i <= ahead/2 {
			to := min(len(numbers), i+ahead)
			s.send(c.commands(verb, numbers[sent:to]))
			sent = to
		}
		text, err := c.response(verb)
		var refused *Error
		if err != nil && !errors.As(err, &refused) {
			return c.fail(err)
		}
		if err := take(number, text, err); err != nil {
			if sent > i+1 {
				c.fail(err)
			}
			return err
		}
		if err := c.skip(); err != nil {
			return err
		}
	}
	return nil
}

// ahead is how many commands may be sent before their answers.
func (c *Client) ahead(ctx context.Context) (int, error) {
	offered, err := c.Capabilities(ctx)
	var refused *Error
	switch {
	case err != nil && !errors.As(err, &refused):
		return 0, err
	case offered.Has("PIPELINING"):
		return window, nil
	}
	return 1, nil
}

func (c *Client) commands(verb string, numbers []int) []byte {
	var b []byte
	for _, n := range numbers {
		from := len(b)
		b = append(b, verb...)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(n), 10)
		if c.trace != nil {
			c.trace('w', string(b[from:]))
		}
		b = append(b, '\r', '\n')
	}
	return b
}

// sender writes commands while answers are being read: a server may stop
// reading a long batch until it gets rid of its answers, and it is the client
// who has to avoid that deadlock (RFC 2449 §6.6).
type sender struct {
	batches chan []byte
	done    chan struct{}
}

func (c *Client) sender() *sender {
	s := &sender{make(chan []byte), make(chan struct{})}
	go func() {
		defer close(s.done)
		for b := range s.batches {
			c.push()
			if _, err := c.conn.Write(b); err != nil {
				c.fail(fmt.Errorf("pop3: send commands: %w", err)) // which ends the reading
				return
			}
		}
	}()
	return s
}

func (s *sender) send(batch []byte) {
	select {
	case s.batches <- batch:
	case <-s.done:
	}
}

func (s *sender) close() {
	close(s.batches)
	<-s.done
}
