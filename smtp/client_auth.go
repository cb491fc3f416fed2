package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

// StartTLS encrypts the connection (RFC 3207). The server's certificate must
// fit config, or the host of NewClient where config names none; nil is the
// default configuration. Everything the server said before is forgotten, so
// that Hello comes next. After any error but a refusal the connection is
// closed: there is no going on in the clear.
func (c *Client) StartTLS(ctx context.Context, config *tls.Config) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.leave()
	if c.tls != nil {
		return &ClientError{Op: "STARTTLS", Err: errors.New("smtp: TLS is active already")}
	}
	if !c.has("STARTTLS") {
		return &ClientError{Op: "STARTTLS", Err: fmt.Errorf("%w: STARTTLS", ErrUnsupported)}
	}
	reply, err := c.exchange("STARTTLS", c.times.Command, "STARTTLS")
	if err != nil {
		return err
	}
	if reply.Code/100 != 2 {
		return c.refused("STARTTLS", reply)
	}
	return c.encrypt(config)
}

// encrypt does the handshake.
func (c *Client) encrypt(config *tls.Config) error {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = c.host
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.times.Handshake)
	defer cancel()
	c.await(c.times.Handshake + time.Second) // later than ctx, whose error says more
	c.push(c.times.Handshake + time.Second)
	conn, err := certs.UpgradeClient(ctx, c.conn, c.r.Buffered(), config)
	if err != nil {
		return c.broken("TLS", err)
	}
	c.use(conn)
	state := conn.ConnectionState()
	c.tls = &state
	return nil
}

// Auth authenticates (RFC 4954). a must be fresh: it is good for one exchange.
// Mechanisms that send the password itself, or a bearer token, are refused
// with ErrCleartext unless the connection is encrypted or does not leave the
// machine.
func (c *Client) Auth(ctx context.Context, a sasl.Client) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.leave()
	ctx = sasl.WithPeer(ctx, &sasl.Peer{Service: "smtp", Hostname: c.host, RemoteAddr: c.conn.RemoteAddr(), TLS: c.tls})
	mech, initial, err := a.Start(ctx)
	if err != nil {
		return &ClientError{Op: "AUTH", Err: err}
	}
	if sasl.IsCleartext(mech) && c.tls == nil && !c.opt.cleartextAuth && !isLocal(c.conn) {
		return &ClientError{Op: "AUTH", Err: ErrCleartext}
	}
	if !c.has("AUTH") {
		return &ClientError{Op: "AUTH", Err: fmt.Errorf("%w: AUTH", ErrUnsupported)}
	}
	reply, held, err := c.authStart(mech, initial)
	for err == nil && reply.Code == 334 {
		reply, err = c.authAnswer(ctx, a, reply, held)
		held = nil
	}
	op := "AUTH " + mech
	switch {
	case err != nil:
		if e := (*ClientError)(nil); errors.As(err, &e) {
			e.Op = op
		}
		return err
	case reply.Code/100 != 2:
		return c.refused(op, reply)
	}
	if err := sasl.Finish(a); err != nil {
		return c.broken(op, err) // the server did not prove who it is
	}
	c.user = true
	return nil
}

// authStart sends AUTH, with the initial response if there is one and if it
// fits into the line (RFC 4954 §4: 12288 octets); otherwise it is held until
// the server has sent an empty challenge.
func (c *Client) authStart(mech string, initial []byte) (r *Response, held []byte, err error) {
	switch {
	case initial == nil:
		r, err = c.exchange("AUTH", c.times.Command, "AUTH ", mech)
	case len(initial) == 0:
		r, err = c.exchange("AUTH", c.times.Command, "AUTH ", mech, " =")
	case base64.StdEncoding.EncodedLen(len(initial)) > maxAuthLine-len("AUTH  \r\n")-len(mech):
		held = initial
		r, err = c.exchange("AUTH", c.times.Command, "AUTH ", mech)
	default:
		r, err = c.exchange("AUTH", c.times.Command, "AUTH ", mech, " ", base64.StdEncoding.EncodeToString(initial))
	}
	return r, held, err
}

// authAnswer answers a challenge. If the mechanism does not like it, the
// exchange is cancelled.
func (c *Client) authAnswer(ctx context.Context, a sasl.Client, challenge *Response, held []byte) (*Response, error) {
	response := held
	var err error
	if held == nil {
		var text []byte
		if text, err = base64.StdEncoding.DecodeString(strings.TrimSpace(challenge.Text)); err == nil {
			response, err = a.Next(ctx, text)
		}
	}
	if err == nil {
		return c.exchange("AUTH response", c.times.Command, base64.StdEncoding.EncodeToString(response))
	}
	cancelled := &ClientError{Op: "AUTH", Err: err}
	reply, err := c.exchange("AUTH response", c.times.Command, "*")
	if err != nil {
		return nil, err
	}
	if reply.Code/100 != 5 && reply.Code/100 != 4 {
		c.Close()
		cancelled.Err = errors.Join(cancelled.Err, ErrProtocol)
	}
	return nil, cancelled
}

// Mechanisms are the names of the mechanisms the server offers for Auth.
func (c *Client) Mechanisms() []string {
	return strings.Fields(strings.ToUpper(c.ext["AUTH"]))
}

// isLocal reports whether what conn carries stays on this machine.
func isLocal(conn net.Conn) bool {
	switch a := conn.RemoteAddr().(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}
