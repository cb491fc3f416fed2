package pop3

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// ErrCleartext: the login would give the password away to whoever listens.
// Dialer.AllowCleartextAuth allows it.
var ErrCleartext = errors.New("pop3: password would be sent without TLS")

// Capabilities are the lines of the response to CAPA, as they came.
type Capabilities []string

// Has reports whether the capability of that name, in any case, is there.
func (cs Capabilities) Has(name string) bool {
	return slices.ContainsFunc(cs, func(l string) bool {
		word, _, _ := strings.Cut(l, " ")
		return strings.EqualFold(word, name)
	})
}

// Arguments are those of the capability of that name; nil if there are none.
func (cs Capabilities) Arguments(name string) []string {
	for _, l := range cs {
		if words := strings.Fields(l); len(words) > 0 && strings.EqualFold(words[0], name) {
			return words[1:]
		}
	}
	return nil
}

// maxCapabilities is how many lines of CAPA are accepted.
const maxCapabilities = 1000

// Capabilities asks what the server can do now (RFC 2449 §5). The answer is
// kept until a login or STLS changes it.
func (c *Client) Capabilities(ctx context.Context) (Capabilities, error) {
	if c.capabilities != nil {
		return c.capabilities, nil
	}
	cs := Capabilities{}
	err := c.call(ctx, func() error {
		if _, err := c.exchange("CAPA", "CAPA"); err != nil {
			return err
		}
		return c.lines(maxCapabilities, func(line []byte) error {
			cs = append(cs, string(line))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	c.capabilities = cs
	return cs, nil
}

// lines reads a multi-line response to its end.
func (c *Client) lines(most int, each func(line []byte) error) error {
	for n := 0; ; n++ {
		line, err := c.line()
		switch {
		case err != nil:
			return err
		case len(line) == 1 && line[0] == '.':
			return nil
		case n == most:
			return ErrTooMany
		}
		if err := each(bytes.TrimPrefix(line, []byte{'.'})); err != nil {
			return err
		}
	}
}

// Login logs in with the best that the server offers and the connection
// allows: a SASL mechanism (see sasl.Choose), else USER and PASS. A password is
// not sent in the clear unless the Dialer said so; the error is ErrCleartext.
func (c *Client) Login(ctx context.Context, user, password string) error {
	offered, err := c.Capabilities(ctx)
	var refused *Error
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	mechanisms := offered.Arguments("SASL")
	if m, err := sasl.Choose(mechanisms, user, password, c.tls); err == nil {
		return c.Auth(ctx, m)
	}
	switch {
	case c.sealed():
		return c.User(ctx, user, password)
	case len(mechanisms) == 0 && offered != nil && !offered.Has("USER"):
		return fmt.Errorf("%w: the server has no login for this connection", sasl.ErrNoMechanism)
	}
	return ErrCleartext
}

// sealed reports whether a password may be sent as it is. Without a connection
// nothing is sent at all.
func (c *Client) sealed() bool {
	return c.conn == nil || c.tls != nil || c.cleartextAuth || lineserver.Local(c.conn)
}

// User logs in with USER and PASS (RFC 1939 §7).
func (c *Client) User(ctx context.Context, user, password string) error {
	if !c.sealed() {
		return ErrCleartext
	}
	// Checked first, so that USER is not left hanging.
	if user == "" || strings.ContainsAny(user+password, "\r\n\x00") {
		return ErrBadArgument
	}
	if _, err := c.command(ctx, "USER", user); err != nil {
		return err
	}
	_, err := c.command(ctx, "PASS", password)
	c.capabilities = nil
	return err
}

// APOP logs in with the digest of the greeting's timestamp and the secret that
// client and server share (RFC 1939 §7).
func (c *Client) APOP(ctx context.Context, user, secret string) error {
	from := strings.LastIndexByte(c.greeting, '<')
	to := strings.LastIndexByte(c.greeting, '>')
	if from < 0 || to < from {
		return errors.New("pop3: server does not offer APOP")
	}
	if user == "" || strings.ContainsRune(user, ' ') {
		return ErrBadArgument
	}
	_, err := c.command(ctx, "APOP", user, sasl.APOPDigest(c.greeting[from:to+1], []byte(secret)))
	c.capabilities = nil
	return err
}

// maxInitial is the longest AUTH command (RFC 5034 §4); longer initial
// responses wait for the server's empty challenge.
const maxInitial = 255 - len("\r\n")

// maxChallenges is more than any mechanism has.
const maxChallenges = 16

// Auth logs in with a SASL mechanism (RFC 5034 §4). m must be fresh.
func (c *Client) Auth(ctx context.Context, m sasl.Client) error {
	name, initial, err := m.Start(ctx)
	if err != nil {
		return fmt.Errorf("pop3: %w", err)
	}
	if sasl.IsCleartext(name) && !c.sealed() {
		return ErrCleartext
	}
	line := "AUTH " + name
	if initial != nil {
		text := "="
		if len(initial) > 0 {
			text = base64.StdEncoding.EncodeToString(initial)
		}
		if len(line)+1+len(text) <= maxInitial {
			line += " " + text
			initial = nil
		}
	}
	err = c.call(ctx, func() error { return c.challenges(ctx, m, line, initial) })
	c.capabilities = nil
	if err == nil {
		if err = sasl.Finish(m); err != nil {
			return c.fail(fmt.Errorf("pop3: %w", err))
		}
	}
	return err
}

// challenges sends AUTH and answers challenges until the server is content.
func (c *Client) challenges(ctx context.Context, m sasl.Client, line string, initial []byte) error {
	for range maxChallenges {
		if err := c.send(line); err != nil {
			return err
		}
		challenge, done, err := c.challenge()
		if done || err != nil {
			return err
		}
		if initial != nil {
			line, initial = base64.StdEncoding.EncodeToString(initial), nil
			continue
		}
		response, err := m.Next(ctx, challenge)
		if err != nil {
			// The exchange is cancelled; the server's answer is that.
			if _, refused := c.exchange("AUTH", "*"); refused == nil {
				return fmt.Errorf("%w: cancelled authentication succeeded", ErrMalformed)
			}
			return fmt.Errorf("pop3: %w", err)
		}
		line = base64.StdEncoding.EncodeToString(response)
	}
	return fmt.Errorf("%w: endless authentication", ErrMalformed)
}

// challenge reads a challenge, or the end of the exchange.
func (c *Client) challenge() (challenge []byte, done bool, err error) {
	line, err := c.line()
	if err != nil {
		return nil, false, err
	}
	if len(line) == 0 || line[0] != '+' || len(line) > 1 && line[1] != ' ' {
		if c.trace != nil {
			c.trace('r', string(line))
		}
		return nil, true, c.verdict(line)
	}
	if c.trace != nil {
		c.trace('r', "+ ***")
	}
	text := bytes.TrimSpace(line[1:])
	challenge = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(challenge, text)
	if err != nil {
		return nil, false, fmt.Errorf("%w: challenge: %w", ErrMalformed, err)
	}
	return challenge[:n], false, nil
}

// verdict reads +OK or -ERR from a line.
func (c *Client) verdict(line []byte) error {
	status, text, _ := bytes.Cut(line, []byte{' '})
	switch {
	case strings.EqualFold(string(status), "+OK"):
		return nil
	case strings.EqualFold(string(status), "-ERR"):
		return parseError("AUTH", string(text))
	}
	return fmt.Errorf("%w: %q", ErrMalformed, line[:min(len(line), 80)])
}
