package pop3

import (
	"encoding/base64"
	"errors"
	"io"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// maxResponse is the longest line that answers a challenge, with its CRLF
// (RFC 4954 §4, which RFC 5034 follows but for this number).
const maxResponse = 12288

// offered are the mechanisms for this connection as it is now.
func (c *session) offered() []sasl.Mechanism {
	s := c.srv
	if s.Credentials == nil || s.TLSMode == RequireTLS && c.pub.TLS == nil {
		return nil
	}
	return sasl.Offered(s.Credentials, &c.peer, s.CleartextAuth, s.Mechanisms...)
}

// auth does a SASL exchange (RFC 5034 §4). Without a mechanism it lists them,
// as clients older than CAPA ask.
func (c *session) auth(a *args) reply {
	offered := c.offered()
	if a.n == 0 {
		r := ok("mechanisms")
		r.body = func() error { return c.lines(names(offered)) }
		return r
	}
	mechanism, err := sasl.Find(offered, string(a.v[0]))
	if err != nil {
		return c.bad(c.notOffered(string(a.v[0])))
	}
	var initial []byte
	if a.n > 1 {
		if initial, err = sasl.DecodeResponse(a.v[1]); err != nil {
			return c.bad("initial response is not base64")
		}
	}
	account, err := sasl.Exchange(c.ctx, mechanism.New(c.srv.Credentials), initial, c.ask)
	var instead answered
	switch {
	case errors.As(err, &instead):
		return reply(instead)
	case err != nil:
		return c.denied(mechanism.Name, err)
	}
	return c.login(mechanism.Name, account)
}

// notOffered says why a mechanism cannot be used.
func (c *session) notOffered(name string) string {
	among := c.srv.Mechanisms
	if len(among) == 0 {
		among = sasl.Mechanisms()
	}
	m, err := sasl.Find(among, name)
	switch {
	case c.srv.Credentials == nil:
	case err != nil && !errors.Is(err, sasl.ErrUnknownMechanism):
		return err.Error()
	case err == nil && c.pub.TLS == nil && (m.NeedsTLS || m.Cleartext):
		return "mechanism needs TLS"
	}
	return "mechanism is not available"
}

func names(of []sasl.Mechanism) []string {
	var names []string
	for _, m := range of {
		names = append(names, m.Name)
	}
	return names
}

// answered is the error of an exchange to which there is an answer already.
type answered reply

func (answered) Error() string { return "pop3: answered" }

// ask sends a challenge and reads the response.
func (c *session) ask(challenge []byte) ([]byte, error) {
	text := base64.StdEncoding.EncodeToString(challenge)
	io.WriteString(&c.w, "+ "+text+"\r\n")
	if c.tracing {
		c.trace('w', "+ ***")
	}
	limit := c.srv.conf.limits.Line
	if limit >= 0 {
		limit = max(limit, maxResponse) - 2
	}
	line, err := c.read(limit)
	switch {
	case textualFault(err):
		return nil, answered(c.bad(err.Error()[len("textual: "):]))
	case err != nil:
		c.lost(err)
		return nil, answered{end: true, mute: true}
	}
	if c.tracing {
		c.trace('r', "***")
	}
	if textual.Is(line, "*") {
		return nil, answered(failure("", "authentication cancelled"))
	}
	return sasl.DecodeResponse(line)
}

// stls puts TLS on the connection (RFC 2595 §4). What the client sent behind
// it in the clear would be taken for what it says under TLS, so that ends the
// session; so does a handshake that fails.
func (c *session) stls(*args) reply {
	switch {
	case c.pub.TLS != nil:
		return c.bad("TLS is active already")
	case c.srv.TLSConfig == nil:
		return c.bad("TLS is not available")
	}
	if c.r.Buffered() != 0 {
		c.why = "data behind STLS"
		r := failure("", "data behind STLS")
		r.end = true
		return r
	}
	c.say(ok("begin TLS"))
	gone := reply{end: true, mute: true}
	if err := c.w.flush(); err != nil {
		c.lost(err)
		return gone
	}
	if !c.handshake(c.r.Buffered()) {
		c.cut = true
		return gone
	}
	c.remark("TLS")
	return reply{ok: true, mute: true}
}
