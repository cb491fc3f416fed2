package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// Errors of a Client. All but ErrBadArgument, ErrBusy and ErrSkipped leave the
// connection closed.
var (
	// ErrMalformed: the server's response is none.
	ErrMalformed = errors.New("pop3: malformed response")
	// ErrTooMany: a listing has more lines than the Client accepts.
	ErrTooMany = errors.New("pop3: response too big")
	// ErrClosed: the Client was closed, has failed before, or was not made by a
	// Dialer.
	ErrClosed = errors.New("pop3: client is closed")
	// ErrBadArgument: an argument cannot be sent: it would be more than one
	// line, or a message number below 1. Nothing was sent.
	ErrBadArgument = errors.New("pop3: bad argument")
	// ErrBusy: the command was asked for within RetrAll, whose answers are still
	// to come. Nothing was sent.
	ErrBusy = errors.New("pop3: no command within RetrAll")
	// ErrSkipped: a Text was not read to its end before it was closed or the next
	// command came, and what was left of it is gone.
	ErrSkipped = errors.New("pop3: message was skipped before its end")
)

// Client is the client's end of a POP3 connection. It is not for concurrent
// use, except that Close may be called at any time.
//
// What the server refuses is an *Error, which is ErrInUse, ErrAuth and so on by
// its response code. Any other error closes the connection, because nobody
// could tell any more which response answers which command: an end of the
// context, a timeout, a server that breaks the protocol.
type Client struct {
	timeout       time.Duration
	maxMessages   int
	trace         func(dir byte, line string)
	cleartextAuth bool

	conn         net.Conn
	tls          *tls.ConnectionState
	r            textual.Reader
	greeting     string
	capabilities Capabilities // nil: not asked yet in this state
	text         *Text        // being read
	taking       bool         // the caller's function runs within RetrAll

	mu     sync.Mutex // guards what follows and the deadlines
	err    error      // the connection's end
	closed bool
	cut    error // the context's end
}

// Dial connects to addr, "host:port", without logging in; see Dialer for more.
func Dial(ctx context.Context, addr string) (*Client, error) { return new(Dialer).Dial(ctx, addr) }

// use makes conn the connection and forgets what was said on the one before.
func (c *Client) use(conn net.Conn) {
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	c.r.Tolerant = true // a server that ends its responses with LF is at most impolite
	c.r.Reset(patient{c})
	c.capabilities = nil
}

// patient reads from a Client's connection, each time under a deadline of its
// own.
type patient struct{ c *Client }

// Read implements io.Reader.
func (p patient) Read(b []byte) (int, error) {
	p.c.await()
	return p.c.conn.Read(b)
}

// Greeting is the text of the server's greeting.
func (c *Client) Greeting() string { return c.greeting }

// RemoteAddr and LocalAddr are the connection's ends; nil without one.
func (c *Client) RemoteAddr() net.Addr {
	if c.conn == nil {
		return nil
	}
	return c.conn.RemoteAddr()
}

// LocalAddr is this end of the connection, see RemoteAddr.
func (c *Client) LocalAddr() net.Addr {
	if c.conn == nil {
		return nil
	}
	return c.conn.LocalAddr()
}

// TLS is the state of the connection's TLS; nil in the clear.
func (c *Client) TLS() *tls.ConnectionState { return c.tls }

func (c *Client) greet(ctx context.Context) error {
	return c.call(ctx, func() (err error) {
		c.greeting, err = c.response("")
		return err
	})
}

// Close closes the connection without QUIT: nothing is removed. It may be
// called at any time, and interrupts what is going on.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.conn == nil {
		return nil
	}
	c.closed = true
	if c.err == nil {
		c.err = ErrClosed
	}
	return c.conn.Close()
}

// Quit ends the session: what was marked is removed (RFC 1939 §6), unless the
// error says otherwise. The connection is closed in any case but ErrBusy.
func (c *Client) Quit(ctx context.Context) error {
	_, err := c.command(ctx, "QUIT")
	if !errors.Is(err, ErrBusy) {
		c.Close()
	}
	return err
}

// ended is ErrClosed with its reason.
type ended struct{ why error }

func (e *ended) Error() string {
	return ErrClosed.Error() + ": " + strings.TrimPrefix(e.why.Error(), "pop3: ")
}

func (e *ended) Unwrap() []error { return []error{ErrClosed, e.why} }

// fail closes the connection because of err, and returns it.
func (c *Client) fail(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut != nil {
		err = fmt.Errorf("pop3: %w", c.cut)
	}
	if c.err == nil {
		c.err = &ended{err}
	}
	if !c.closed {
		c.closed = true
		c.conn.Close()
	}
	return err
}

// call runs f, which talks to the server, under ctx. Errors other than *Error
// end the connection.
func (c *Client) call(ctx context.Context, f func() error) error {
	stop, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := c.skip(); err != nil {
		return err
	}
	err = f()
	var refused *Error
	if err != nil && !errors.As(err, &refused) && !errors.Is(err, ErrBadArgument) {
		return c.fail(err)
	}
	return err
}

// skip reads what is left of a message.
func (c *Client) skip() error {
	if c.text == nil {
		return nil
	}
	return c.text.drain()
}

// enter lets the end of ctx interrupt the connection, until stop.
func (c *Client) enter(ctx context.Context) (stop func() bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return nil, c.err
	case c.conn == nil:
		return nil, ErrClosed
	case c.taking:
		return nil, ErrBusy
	case ctx.Err() != nil:
		return nil, fmt.Errorf("pop3: %w", context.Cause(ctx)) // nothing was said
	case ctx.Done() == nil:
		return func() bool { return true }, nil
	}
	return context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cut = context.Cause(ctx)
		c.conn.SetDeadline(time.Unix(1, 0))
	}), nil
}

// await and push give the next read and the next write their time, unless the
// context has ended.
func (c *Client) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut == nil {
		c.conn.SetReadDeadline(time.Now().Add(c.timeout))
	}
}

func (c *Client) push() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut == nil {
		c.conn.SetWriteDeadline(time.Now().Add(c.timeout))
	}
}

// command sends a command and reads its response's first line, of which it
// returns the text.
func (c *Client) command(ctx context.Context, words ...string) (text string, err error) {
	err = c.call(ctx, func() error {
		text, err = c.exchange(words[0], strings.Join(words, " "))
		return err
	})
	return text, err
}

func (c *Client) exchange(verb, line string) (string, error) {
	if err := c.send(line); err != nil {
		return "", err
	}
	return c.response(verb)
}

// send sends one line, whatever a caller has put into it.
func (c *Client) send(line string) error {
	if strings.ContainsAny(line, "\r\n\x00") {
		return ErrBadArgument
	}
	if c.trace != nil {
		c.trace('w', shown(line))
	}
	c.push()
	_, err := io.WriteString(c.conn, line+"\r\n")
	if err != nil {
		return fmt.Errorf("pop3: send command: %w", err)
	}
	return nil
}

// shown is a line of the client's as its transcript has it.
func shown(line string) string {
	switch verb, _, _ := strings.Cut(line, " "); verb {
	case "PASS", "APOP", "AUTH", "USER", "CAPA", "STLS", "STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "RSET", "NOOP", "QUIT", "UTF8":
		return redact(line)
	}
	return "***" // the answer to a challenge
}

// maxLine is the longest line accepted outside of messages. RFC 2449 §4 allows
// 512 octets; challenges may be longer.
const maxLine = 12288

// line reads a line. It is valid until the next read.
func (c *Client) line() ([]byte, error) {
	line, err := c.r.ReadLine(maxLine)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("pop3: read response: %w", err)
	}
	return line, nil
}

// response reads the first line of a response (RFC 2449 §3), and returns its
// text; -ERR is an *Error.
func (c *Client) response(verb string) (string, error) {
	line, err := c.line()
	if err != nil {
		return "", err
	}
	if c.trace != nil {
		c.trace('r', string(line))
	}
	status, text := textual.Cut(line)
	switch {
	case textual.Is(status, "+OK"):
		return string(text), nil
	case textual.Is(status, "-ERR"):
		return "", parseError(verb, string(text))
	}
	return "", fmt.Errorf("%w: %q", ErrMalformed, line[:min(len(line), 80)])
}

// parseError takes the response code out of the text of -ERR (RFC 2449 §8).
func parseError(verb, text string) *Error {
	e := &Error{Command: verb, Text: text}
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if code, rest, ok := strings.Cut(rest, "]"); ok {
			e.Code, e.Text = Code(strings.ToUpper(code)), strings.TrimSpace(rest)
		}
	}
	return e
}
