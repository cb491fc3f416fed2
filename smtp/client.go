package smtp

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// Client is the client's end of an SMTP or LMTP connection. It carries any
// number of messages, one after the other; it is not for concurrent use,
// except that Close may be called at any time. Dial, a Dialer and NewClient make
// one; the zero Client has no connection, and says so.
//
// Every method that waits for the server takes a context and obeys the
// timeouts of RFC 5321 §4.5.3.2. When the context ends, when a timeout passes
// and when the server breaks the protocol, the connection is closed, because
// nobody could tell any more which reply answers which command: Usable says so.
// A refusal is not such a case.
type Client struct {
	host  string // the server's name, for its certificate
	lmtp  bool
	times ClientTimeouts
	opt   clientOptions

	trace   func(dir byte, line string)
	traceMu sync.Mutex

	conn net.Conn
	tls  *tls.ConnectionState
	r    textual.Reader
	out  []byte // commands not yet sent

	greeting, hello *Response
	ext             map[string]string
	user            bool         // authenticated
	dirty           bool         // a transaction was begun and not ended
	current         *Transaction // the one that Begin has begun; nil if another was since

	mu     sync.Mutex // guards what follows and the deadlines of conn
	closed bool
	cut    bool // ctx has ended within the call
	call   uint // counts calls and their ends
	ctx    context.Context
	stop   func() bool
}

// clientOptions are settings of a Dialer that concern each message.
type clientOptions struct {
	noChunking, send8Bit, cleartextAuth bool
}

// ClientTimeouts bound each wait for the server. In every field 0 means the
// default, which its tag tells and is the minimum of RFC 5321 §4.5.3.2.
type ClientTimeouts struct {
	Connect   time.Duration `default:"30s"` // for the TCP connection
	Greeting  time.Duration `default:"5m"`
	Command   time.Duration `default:"5m"`  // MAIL, RCPT and all others
	Handshake time.Duration `default:"1m"`  // for TLS
	DataStart time.Duration `default:"2m"`  // from DATA to its 354
	DataBlock time.Duration `default:"3m"`  // to send each piece of a message
	DataEnd   time.Duration `default:"10m"` // from the last dot to the reply
	Quit      time.Duration `default:"30s"` // nothing depends on the answer
}

func (t ClientTimeouts) orDefaults() ClientTimeouts {
	lineserver.Defaults(&t)
	return t
}

// NewClient makes a Client of a connection on which nothing was said yet. host
// is the name by which the server's certificate is checked. Hello comes next.
// A Dialer's Start does it all.
func NewClient(conn net.Conn, host string) *Client {
	c := &Client{host: host, times: ClientTimeouts{}.orDefaults()}
	c.use(conn)
	return c
}

// use makes conn the connection and forgets what was said on the one before
// (RFC 3207 §4.2).
func (c *Client) use(conn net.Conn) {
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	c.r.Tolerant = true // a server that ends its replies with LF is at most impolite
	c.r.Reset(conn)
	c.hello, c.ext, c.user, c.dirty, c.current = nil, nil, false, false, nil
	c.out = c.out[:0]
}

// Hello reads the server's greeting if that was not done, and introduces us as
// name: with EHLO, with HELO to servers that do not know EHLO (RFC 5321
// §3.2), or with LHLO (RFC 2033 §4.1). It may be called again.
func (c *Client) Hello(ctx context.Context, name string) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.leave()
	if err := c.greet(); err != nil {
		return err
	}
	verb := "EHLO"
	if c.lmtp {
		verb = "LHLO"
	}
	reply, err := c.exchange(verb, c.times.Command, verb, " ", name)
	if err != nil {
		return err
	}
	if old := reply.Code; !c.lmtp && (old == 500 || old == 501 || old == 502 || old == 504) {
		if reply, err = c.exchange("HELO", c.times.Command, "HELO ", name); err != nil {
			return err
		}
		verb = "HELO"
	}
	c.dirty, c.current = false, nil
	if reply.Code/100 != 2 {
		return c.refused(verb, reply)
	}
	c.hello, c.ext = reply, map[string]string{}
	if verb != "HELO" {
		c.ext = parseExtensions(reply.Text)
	}
	return nil
}

// greet reads the greeting once.
func (c *Client) greet() error {
	if c.greeting != nil {
		return nil
	}
	reply, err := c.reply("greeting", c.times.Greeting)
	if err != nil {
		return err
	}
	c.greeting = reply
	if reply.Code/100 != 2 {
		return c.refused("greeting", reply)
	}
	return nil
}

// parseExtensions reads the lines of an EHLO reply behind the first: keywords
// in any case, each with its parameters (RFC 5321 §4.1.1.1). AUTH= is how
// servers announced AUTH before RFC 2554.
func parseExtensions(text string) map[string]string {
	ext := make(map[string]string)
	_, text, more := strings.Cut(text, "\n")
	for more {
		var line string
		line, text, more = strings.Cut(text, "\n")
		keyword, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		keyword = strings.ToUpper(keyword)
		if mechs, old := strings.CutPrefix(keyword, "AUTH="); old {
			keyword, params = "AUTH", mechs+" "+params
		}
		params = strings.TrimSpace(params)
		if before, twice := ext[keyword]; twice && keyword == "AUTH" {
			params = strings.TrimSpace(before + " " + params)
		}
		if keyword != "" {
			ext[keyword] = params
		}
	}
	return ext
}

// Extension reports whether the server announced a keyword ("SIZE"), and with
// which parameters ("52428800").
func (c *Client) Extension(keyword string) (params string, ok bool) {
	params, ok = c.ext[strings.ToUpper(keyword)]
	return params, ok
}

func (c *Client) has(keyword string) bool {
	_, ok := c.ext[keyword]
	return ok
}

// Greeting is what the server said first, nil before Hello.
func (c *Client) Greeting() *Response { return c.greeting }

// HelloReply is what the server answered to EHLO, HELO or LHLO, nil before.
func (c *Client) HelloReply() *Response { return c.hello }

// TLS is the state of the encryption, nil in the clear.
func (c *Client) TLS() *tls.ConnectionState { return c.tls }

// Authenticated reports whether Auth succeeded on this connection.
func (c *Client) Authenticated() bool { return c.user }

// Host is the server's name as NewClient or Dial got it.
func (c *Client) Host() string { return c.host }

// RemoteAddr is the server's address; nil for the zero Client.
func (c *Client) RemoteAddr() net.Addr {
	if c.conn == nil {
		return nil
	}
	return c.conn.RemoteAddr()
}

// LocalAddr is our address; nil for the zero Client.
func (c *Client) LocalAddr() net.Addr {
	if c.conn == nil {
		return nil
	}
	return c.conn.LocalAddr()
}

// Usable reports whether the connection can still carry commands, as far as is
// known without asking the server; Noop asks it.
func (c *Client) Usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && c.conn != nil
}

// Reset gives up the transaction in progress. Send and Begin do it by themselves
// where needed.
func (c *Client) Reset(ctx context.Context) error {
	err := c.simple(ctx, "RSET", c.times.Command)
	if err == nil {
		c.dirty, c.current = false, nil
	}
	return err
}

// Noop asks the server whether it is still there.
func (c *Client) Noop(ctx context.Context) error { return c.simple(ctx, "NOOP", c.times.Command) }

// Verify asks about a mailbox (VRFY, RFC 5321 §3.5.3). The reply's code
// matters: 252 promises nothing.
func (c *Client) Verify(ctx context.Context, mailbox string) (*Response, error) {
	return c.Command(ctx, "VRFY "+mailbox)
}

// Command sends a command line of the caller's own and returns the reply,
// whatever its code. It is for commands that change nothing the Client keeps
// track of, such as ETRN or XCLIENT's relatives.
func (c *Client) Command(ctx context.Context, line string) (*Response, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	verb, _, _ := strings.Cut(line, " ")
	return c.exchange(verb, c.times.Command, line)
}

// Quit says goodbye and closes the connection, in any case. The error is of
// interest to nobody who has sent his messages.
func (c *Client) Quit(ctx context.Context) error {
	defer c.Close()
	return c.simple(ctx, "QUIT", c.times.Quit)
}

// Close closes the connection at once.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.conn == nil {
		return nil
	}
	c.closed = true
	return c.conn.Close()
}

// simple sends a command that is done when the answer is 2yz.
func (c *Client) simple(ctx context.Context, verb string, d time.Duration) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.leave()
	reply, err := c.exchange(verb, d, verb)
	if err == nil && reply.Code/100 != 2 {
		err = c.refused(verb, reply)
	}
	return err
}

// String names the connection for logs: "mx.example.org [192.0.2.1:25]".
func (c *Client) String() string {
	return fmt.Sprintf("%s [%v]", c.host, c.RemoteAddr())
}
