package pop3

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

// TLSPolicy says what a Dialer does about encryption.
type TLSPolicy int

// The policies. TLS is always verified: as TLSConfig says, which without
// further settings is a certificate for the server's name by a known authority.
const (
	// TLSIfOffered encrypts when the server offers STLS. Without TLS, nothing
	// that gives the password away is sent unless AllowCleartextAuth.
	TLSIfOffered TLSPolicy = iota
	// TLSRequired gives up without STLS.
	TLSRequired
	// TLSFromStart begins with the handshake, on a port of its own (RFC 8314
	// §3.2).
	TLSFromStart
	// TLSNever does not encrypt.
	TLSNever
)

// Dialer makes Clients. The zero value works. Its fields must not change while
// it is in use.
type Dialer struct {
	TLS       TLSPolicy
	TLSConfig *tls.Config // nil means the defaults; ServerName "" means the host dialled

	// User and Password, if not empty, log in as Client.Login does.
	User, Password string
	// Auth logs in with a mechanism of the caller's choice instead; cs is nil
	// in the clear.
	Auth func(offered []string, cs *tls.ConnectionState) (sasl.Client, error)
	// AllowCleartextAuth lets the password cross the network without TLS. It is
	// never needed for servers on this machine.
	AllowCleartextAuth bool

	// LocalAddr is the address to dial from; nil means any.
	LocalAddr net.Addr
	// DialContext, if not nil, makes connections instead of a net.Dialer;
	// LocalAddr is then its own business.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Timeout is the wait for each piece of what the server sends and for each
	// command to leave; default 5 minutes. A context can make it shorter.
	Timeout time.Duration
	// MaxMessages is how many lines of a LIST or UIDL response are accepted;
	// default 1<<20. Unique ids may have 128 octets each, on the average of so many.
	MaxMessages int

	// Trace sees each line, without its ending: dir 'w' for commands, 'r' for
	// responses. Credentials are replaced by "***", multi-line responses are
	// not shown.
	Trace func(dir byte, line string)
}

// Dial connects to addr, "host:port" or the path of a Unix socket, and returns
// a Client: greeted, encrypted and logged in as d says. A refusal on the way is
// an *Error; the connection is closed then.
func (d *Dialer) Dial(ctx context.Context, addr string) (*Client, error) {
	network, host := "tcp", addr
	if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
	} else if len(addr) > 0 && (addr[0] == '/' || addr[0] == '@') {
		network, host = "unix", "localhost"
	}
	dial := d.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: 30 * time.Second, LocalAddr: d.LocalAddr}).DialContext
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("pop3: dial %s: %w", addr, err)
	}
	return d.Start(ctx, conn, host)
}

// Start is Dial over a connection that was made already. host is the name by
// which the server's certificate is checked. It closes conn on error.
func (d *Dialer) Start(ctx context.Context, conn net.Conn, host string) (_ *Client, err error) {
	if conn == nil {
		return nil, errors.New("pop3: Start without a connection")
	}
	c := &Client{timeout: d.Timeout, maxMessages: d.MaxMessages, trace: d.Trace, cleartextAuth: d.AllowCleartextAuth}
	c.timeout, c.maxMessages = cmp.Or(c.timeout, 5*time.Minute), cmp.Or(c.maxMessages, 1<<20)
	c.use(conn)
	defer func() {
		if err != nil {
			c.conn.Close()
		}
	}()
	if d.TLS == TLSFromStart {
		if err := c.secure(ctx, d.config(host)); err != nil {
			return nil, err
		}
	}
	if err := c.greet(ctx); err != nil {
		return nil, err
	}
	if err := d.encrypt(ctx, c, host); err != nil {
		return nil, err
	}
	return c, d.login(ctx, c)
}

func (d *Dialer) config(host string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.TLSConfig != nil {
		config = d.TLSConfig.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	return config
}

// encrypt does STLS where the policy wants it.
func (d *Dialer) encrypt(ctx context.Context, c *Client, host string) error {
	if d.TLS != TLSIfOffered && d.TLS != TLSRequired {
		return nil
	}
	if d.TLS == TLSIfOffered {
		offered, err := c.Capabilities(ctx)
		var refused *Error
		switch {
		case errors.As(err, &refused): // a server older than CAPA
			return nil
		case err != nil:
			return err
		case !offered.Has("STLS"):
			return nil
		}
	}
	return c.StartTLS(ctx, d.config(host))
}

func (d *Dialer) login(ctx context.Context, c *Client) error {
	switch {
	case d.Auth != nil:
		offered, err := c.Capabilities(ctx)
		if err != nil {
			return err
		}
		m, err := d.Auth(offered.Arguments("SASL"), c.tls)
		if err != nil {
			return err
		}
		return c.Auth(ctx, m)
	case d.User != "":
		return c.Login(ctx, d.User, d.Password)
	}
	return nil
}

// StartTLS puts TLS on the connection by STLS (RFC 2595 §4). What was learnt
// before is forgotten. After an error other than a refusal the connection is
// closed.
func (c *Client) StartTLS(ctx context.Context, config *tls.Config) error {
	if c.tls != nil {
		return errors.New("pop3: TLS is active already")
	}
	if _, err := c.command(ctx, "STLS"); err != nil {
		return err
	}
	return c.secure(ctx, config)
}

// secure does the handshake.
func (c *Client) secure(ctx context.Context, config *tls.Config) error {
	over, err := certs.UpgradeClient(ctx, c.conn, c.r.Buffered(), config)
	if err != nil {
		return c.fail(fmt.Errorf("pop3: %w", err))
	}
	state := over.ConnectionState()
	c.use(over)
	c.tls = &state
	return nil
}
