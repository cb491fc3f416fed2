package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// TLSPolicy says what a Dialer does about encryption.
type TLSPolicy int

// The policies. "Verified" means: as TLSConfig says, which without further
// settings is a certificate for the server's name by a known authority.
const (
	// TLSIfOffered encrypts when the server offers STARTTLS, and gives up when
	// it is then not verified.
	TLSIfOffered TLSPolicy = iota
	// TLSRequired gives up without verified encryption by STARTTLS.
	TLSRequired
	// TLSFromStart begins with the handshake, on a port of its own, verified
	// (RFC 8314 §3.3).
	TLSFromStart
	// TLSOpportunistic encrypts when the server offers STARTTLS, whoever the
	// server is: for mail between hosts, where the alternative is no
	// encryption at all (RFC 7435). After a failed handshake, the caller may
	// dial again with TLSNever.
	TLSOpportunistic
	// TLSNever does not encrypt.
	TLSNever
)

// String is the policy's name.
func (p TLSPolicy) String() string {
	return name(int(p), "TLSIfOffered", "TLSRequired", "TLSFromStart", "TLSOpportunistic", "TLSNever")
}

// Dialer makes Clients. The zero value works. Its fields must not change while
// it is in use.
type Dialer struct {
	// Hello is our own name, for EHLO; "" means os.Hostname. Servers that
	// receive mail from anywhere want it to be a name that resolves to our
	// address (RFC 5321 §4.1.4).
	Hello string
	// LMTP: speak LMTP (RFC 2033).
	LMTP bool

	TLS       TLSPolicy
	TLSConfig *tls.Config // nil means the defaults; ServerName "" means the host dialled

	// User and Password, if not empty, authenticate with the best mechanism
	// the server offers (sasl.Choose).
	User, Password string
	// Auth chooses a mechanism instead; cs is nil in the clear.
	Auth func(offered []string, cs *tls.ConnectionState) (sasl.Client, error)
	// AllowCleartextAuth lets Auth choose mechanisms that give the password
	// away to whoever listens. Never needed for servers on this machine.
	AllowCleartextAuth bool

	// LocalAddr is the address to dial from; nil means any.
	LocalAddr net.Addr
	// DialContext, if not nil, makes connections instead of a net.Dialer;
	// LocalAddr is then its own business.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	Timeouts ClientTimeouts
	// NoChunking: use DATA even where BDAT is offered.
	NoChunking bool
	// Send8Bit: give messages with 8-bit octets also to servers that have not
	// said that they are able to carry them. Almost all are.
	Send8Bit bool
	// Trace sees each line, without its ending: dir 'w' for commands, 'r' for
	// replies. Credentials are replaced by "***", messages are not shown.
	Trace func(dir byte, line string)
}

// Dial connects to addr, "host:port" or the path of a Unix socket, and returns
// a Client that is ready to Send: greeted, encrypted and authenticated as d
// says. A refusal on the way is a *ClientError with the server's *Response; the
// connection is closed then.
func (d *Dialer) Dial(ctx context.Context, addr string) (*Client, error) {
	network, host := "tcp", addr
	if len(addr) > 0 && addr[0] == '/' {
		network, host = "unix", "localhost"
	} else if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
	}
	dialing, cancel := context.WithTimeout(ctx, d.Timeouts.orDefaults().Connect)
	defer cancel()
	dial := d.DialContext
	if dial == nil {
		dial = (&net.Dialer{LocalAddr: d.LocalAddr}).DialContext
	}
	conn, err := dial(dialing, network, addr)
	if err != nil {
		return nil, &ClientError{Op: "dial", Err: err}
	}
	return d.Start(ctx, conn, host)
}

// Start is Dial over a connection that was made already. It closes conn on
// error.
func (d *Dialer) Start(ctx context.Context, conn net.Conn, host string) (*Client, error) {
	if conn == nil {
		return nil, &ClientError{Op: "dial", Err: errNoConn}
	}
	c := NewClient(conn, host)
	c.lmtp, c.times, c.trace = d.LMTP, d.Timeouts.orDefaults(), d.Trace
	c.opt = clientOptions{noChunking: d.NoChunking, send8Bit: d.Send8Bit, cleartextAuth: d.AllowCleartextAuth}
	if err := d.start(ctx, c); err != nil {
		var e *ClientError
		if errors.As(err, &e) && e.Reply != nil && c.Usable() {
			c.Quit(ctx) // the server said no politely, and so do we
		}
		c.Close()
		return nil, err
	}
	return c, nil
}

func (d *Dialer) start(ctx context.Context, c *Client) error {
	name := d.Hello
	if name == "" {
		name = localName(c.conn)
	}
	if d.TLS == TLSFromStart {
		if err := c.enter(ctx); err != nil {
			return err
		}
		err := c.encrypt(d.TLSConfig)
		c.leave()
		if err != nil {
			return err
		}
	}
	if err := c.Hello(ctx, name); err != nil {
		return err
	}
	if d.TLS == TLSRequired || (d.TLS == TLSIfOffered || d.TLS == TLSOpportunistic) && c.has("STARTTLS") {
		if err := c.StartTLS(ctx, d.config(c.host)); err != nil {
			return err
		}
		if err := c.Hello(ctx, name); err != nil {
			return err
		}
	}
	switch {
	case d.Auth != nil:
		a, err := d.Auth(c.Mechanisms(), c.tls)
		if err != nil {
			return &ClientError{Op: "AUTH", Err: err}
		}
		if a == nil {
			return nil
		}
		return c.Auth(ctx, a)
	case d.User != "":
		return c.Login(ctx, d.User, d.Password)
	}
	return nil
}

// config is the TLS configuration for STARTTLS.
func (d *Dialer) config(host string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.TLSConfig != nil {
		config = d.TLSConfig.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	if d.TLS == TLSOpportunistic {
		config.InsecureSkipVerify = true
	}
	return config
}

// localName is our name where none was configured: the host's, or its address
// as a literal (RFC 5321 §4.1.3), for EHLO wants one that means something.
func localName(conn net.Conn) string {
	if name, err := os.Hostname(); err == nil && validHelo(name) {
		return name
	}
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		if a.IP.To4() == nil {
			return fmt.Sprintf("[IPv6:%s]", a.IP)
		}
		return fmt.Sprintf("[%s]", a.IP)
	}
	return "localhost"
}

// Dial connects to addr as the zero Dialer does.
func Dial(ctx context.Context, addr string) (*Client, error) {
	return new(Dialer).Dial(ctx, addr)
}

// DialTLS connects to addr, a port that begins with the TLS handshake such as
// 465, and checks the server's certificate as config says; nil is the default.
func DialTLS(ctx context.Context, addr string, config *tls.Config) (*Client, error) {
	d := &Dialer{TLS: TLSFromStart, TLSConfig: config}
	return d.Dial(ctx, addr)
}
