package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// Bounds of one reply. RFC 5321 §4.5.3.1.5 allows lines of 512 octets; real
// servers write longer ones.
const (
	maxReplyLine  = 4096
	maxReplyLines = 128
	maxKept       = 4 << 10  // octets kept of a reply to a part of a message
	maxHello      = 16 << 10 // and of one to EHLO
)

// errNoConn is what the zero Client answers.
var errNoConn = fmt.Errorf("%w: it never was connected (make a Client by Dial, by a Dialer, or by NewClient)", ErrClientClosed)

// enter begins a call: from here to leave, the end of ctx interrupts whatever
// waits on the connection.
func (c *Client) enter(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.conn == nil:
		return errNoConn
	case c.closed:
		return ErrClientClosed
	case ctx.Err() != nil:
		return context.Cause(ctx) // nothing was said, nothing is broken
	}
	c.ctx = ctx
	c.call++
	if ctx.Done() != nil {
		call := c.call
		c.stop = context.AfterFunc(ctx, func() { c.interrupt(call) })
	}
	return nil
}

func (c *Client) leave() {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = nil
	c.call++
	if c.cut && !c.closed {
		// The context ended too late to matter to this call, and is not to
		// matter to the next.
		c.cut = false
		c.conn.SetDeadline(time.Time{})
	}
}

// interrupt wakes what waits on the connection, now and until the call ends.
func (c *Client) interrupt(call uint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.call == call {
		c.cut = true
		c.conn.SetDeadline(time.Unix(1, 0))
	}
}

// await and push set the deadlines for the next read and the next writes.
func (c *Client) await(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cut {
		c.conn.SetReadDeadline(time.Now().Add(d))
	}
}

func (c *Client) push(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cut {
		c.conn.SetWriteDeadline(time.Now().Add(d))
	}
}

// exchange sends one command line and reads its reply.
func (c *Client) exchange(op string, d time.Duration, parts ...string) (*Response, error) {
	if err := c.queue(op, parts...); err != nil {
		return nil, err
	}
	if err := c.flush(op); err != nil {
		return nil, err
	}
	return c.reply(op, d)
}

// queue adds a command line to those that flush will send. Whatever a caller
// passes in, it stays one line.
func (c *Client) queue(op string, parts ...string) error {
	start := len(c.out)
	for _, p := range parts {
		c.out = append(c.out, p...)
	}
	for _, b := range c.out[start:] {
		if b < ' ' || b == 0x7f {
			c.out = c.out[:start]
			return &ClientError{Op: op, Err: ErrBadCommand}
		}
	}
	c.show(op, c.out[start:])
	c.out = append(c.out, "\r\n"...)
	return nil
}

// smallBatch is what a server surely reads before it waits for us to read.
const smallBatch = 400

// inStep checks that nothing has arrived that was not asked for. A server that
// answers more often than it is asked would have the answer to one message
// taken for the answer to the next.
func (c *Client) inStep(op string) error {
	if c.r.Buffered() == 0 {
		return nil
	}
	r, err := c.reply(op, c.times.Command)
	if err != nil {
		return err // such as 421, which may come at any time
	}
	e := c.broken(op, ErrProtocol)
	e.Reply = r
	return e
}

// flush sends the commands in one piece.
func (c *Client) flush(op string) error {
	if err := c.inStep(op); err != nil {
		c.out = c.out[:0]
		return err
	}
	c.push(c.times.Command)
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	if err != nil {
		return c.broken(op, err)
	}
	return nil
}

// flushBeside sends the commands while replies are being read: a server may
// stop reading a long batch until it gets rid of its replies (RFC 2920 §3.1
// leaves it to the client to avoid that deadlock). The returned function waits
// for the end of the writing.
func (c *Client) flushBeside(op string) (wait func() error, err error) {
	if len(c.out) <= smallBatch {
		return func() error { return nil }, c.flush(op)
	}
	if err := c.inStep(op); err != nil {
		c.out = c.out[:0]
		return nil, err
	}
	done := make(chan error, 1)
	c.push(c.times.Command)
	go func() {
		_, err := c.conn.Write(c.out)
		done <- err
	}()
	return func() error {
		err := <-done
		c.out = c.out[:0]
		if err != nil {
			return c.broken(op, err)
		}
		return nil
	}, nil
}

// reply reads the reply to op. An error means that the connection is closed;
// 421 is one, for the server is about to do the same, whatever the command was
// (RFC 5321 §3.8).
func (c *Client) reply(op string, d time.Duration) (*Response, error) {
	c.await(d)
	got, err := c.r.ReadReply(maxReplyLine, maxReplyLines)
	return c.said(op, got, err)
}

// said makes a Reply of what was read.
func (c *Client) said(op string, got textual.Reply, err error) (*Response, error) {
	if err != nil && isVerdict(op) && c.decided(&got, err) {
		err = nil
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		e := c.broken(op, err)
		if len(got.Lines) > 0 {
			e.Reply = &Response{Text: legible(strings.Join(got.Lines, "\n"))}
		}
		return nil, e
	}
	r := newReply(got, op)
	c.showReply(op, r)
	if r.Code == 421 {
		c.Close()
		return nil, &ClientError{Op: op, Reply: r}
	}
	return r, nil
}

// isVerdict reports whether op is a step at which a message or a recipient is
// taken or refused: what is clear there must not be lost to how it is written.
func isVerdict(op string) bool {
	switch op {
	case "MAIL", "RCPT", "DATA", "BDAT", "message":
		return true
	}
	return false
}

// decided reports whether a reply that breaks the rules says clearly yes or no, and
// makes it one. Of a reply too long to be read the first code counts; what else it
// says is not awaited, and the connection ends. Where codes of one class are mixed,
// the last counts.
func (c *Client) decided(got *textual.Reply, err error) bool {
	switch {
	case errors.Is(err, textual.ErrReplyTooBig) && got.Code != 0:
		c.Close()
		if len(got.Lines) == 0 {
			got.Lines = []string{"(a reply too long to be read)"}
		}
		return true
	case errors.Is(err, textual.ErrMalformedReply) && len(got.Lines) > 1:
		last := len(got.Lines) - 1
		code, text, ok := lastLine(got.Lines[last])
		if ok && code/100 == got.Code/100 {
			got.Code, got.Lines[last] = code, text
			return true
		}
	}
	return false
}

// lastLine takes apart the last line of a reply.
func lastLine(line string) (code int, text string, ok bool) {
	number, text, _ := strings.Cut(line, " ")
	code, err := strconv.Atoi(number)
	return code, text, err == nil && code >= 200 && code < 600
}

// newReply splits the enhanced code (RFC 2034 §4) off the lines that have it.
func newReply(got textual.Reply, op string) *Response {
	r := &Response{Code: got.Code}
	if op != "EHLO" && op != "LHLO" {
		r.Enhanced = enhancedCode(got.Lines[0], got.Code)
	}
	for i, line := range got.Lines {
		if rest, ok := strings.CutPrefix(line, r.Enhanced); ok && r.Enhanced != "" && (rest == "" || rest[0] == ' ') {
			got.Lines[i] = strings.TrimPrefix(rest, " ")
		}
	}
	text := strings.Join(got.Lines, "\n")
	switch op {
	case "MAIL", "RCPT", "DATA", "BDAT", "message":
		text = shortened(text, maxKept) // for each recipient
	case "greeting", "EHLO", "LHLO", "HELO":
		text = shortened(text, maxHello) // for as long as the connection stands
	}
	r.Text = legible(text)
	return r
}

// shortened is a copy of the whole lines of text that fit into n octets, or of
// the beginning of the first: the server chooses how much it says, and we how
// much of it we keep.
func shortened(text string, n int) string {
	if len(text) <= n {
		return text
	}
	if i := strings.LastIndexByte(text[:n+1], '\n'); i >= 0 {
		n = i
	}
	return strings.Clone(text[:n])
}

// enhancedCode is the "5.1.1" that line begins with, or "" if it begins with
// none of the reply's class.
//
//	status-code = class "." subject "." detail     (RFC 3463 §2)
//	subject     = 1*3digit
//	detail      = 1*3digit
func enhancedCode(line string, code int) string {
	word, _, _ := strings.Cut(line, " ")
	class, rest, ok := strings.Cut(word, ".")
	subject, detail, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || len(class) != 1 || int(class[0]-'0') != code/100 || !isNumber(subject) || !isNumber(detail) {
		return ""
	}
	return word
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 3
}

// legible makes what a server said fit to be logged and reported: valid UTF-8
// without control characters but LF.
func legible(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' || c >= 0x7f && c < 0xa0 {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}

// broken closes the connection and says why it cannot be used any more.
func (c *Client) broken(op string, err error) *ClientError {
	c.mu.Lock()
	wasClosed := c.closed
	c.mu.Unlock()
	c.Close()
	switch {
	case c.ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", context.Cause(c.ctx), err)
	case wasClosed:
		err = fmt.Errorf("%w: %w", ErrClientClosed, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("timeout: %w", err)
	case isGarbled(err):
		err = fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return &ClientError{Op: op, Err: err}
}

// refused is the error for a reply that was read well and means no.
func (c *Client) refused(op string, r *Response) *ClientError {
	e := &ClientError{Op: op, Reply: r}
	if r.Code/100 != 4 && r.Code/100 != 5 {
		// 3yz where nothing was to be continued, or 2yz where something was:
		// we are not having the same conversation.
		c.Close()
		e.Err = ErrProtocol
	}
	return e
}

// show passes a command line to the trace. What follows the mechanism of AUTH
// is left out, and so are the responses to challenges, which have the op "AUTH
// response".
func (c *Client) show(op string, line []byte) {
	if c.trace == nil {
		return
	}
	text := string(line)
	switch op {
	case "AUTH":
		if words := strings.SplitN(text, " ", 3); len(words) == 3 {
			text = words[0] + " " + words[1] + " ***"
		}
	case "AUTH response":
		text = "***"
	}
	c.traced('w', text)
}

// showReply passes a reply to the trace, but for challenges.
func (c *Client) showReply(op string, r *Response) {
	switch {
	case c.trace == nil:
	case r.Code == 334 && strings.HasPrefix(op, "AUTH"):
		c.traced('r', "334 ***")
	default:
		c.traced('r', r.Error())
	}
}

func (c *Client) traced(dir byte, line string) {
	c.traceMu.Lock() // chunks are sent and answered at the same time
	defer c.traceMu.Unlock()
	c.trace(dir, line)
}
