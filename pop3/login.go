package pop3

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// cleartext says why USER and PASS may not be used, or nothing if they may.
func (c *session) cleartext() string {
	s := c.srv
	switch {
	case s.Credentials == nil || s.NoUser || !s.Credentials.Offers(sasl.Password):
		return "USER and PASS are not available"
	case c.pub.TLS == nil && !s.CleartextAuth && s.TLSConfig != nil:
		return "passwords are accepted under TLS only, send STLS first"
	case c.pub.TLS == nil && !s.CleartextAuth:
		return "passwords are accepted under TLS only"
	}
	return ""
}

// user notes the name (RFC 1939 §7). The answer is the same whether there is
// such an account or not.
func (c *session) user(a *args) reply {
	if why := c.cleartext(); why != "" {
		return c.bad(why)
	}
	c.name = string(bytes.TrimSpace(a.rest))
	return ok("send PASS")
}

// pass checks the password, which is everything behind the first space
// (RFC 1939 §7).
func (c *session) pass(a *args) reply {
	if why := c.cleartext(); why != "" {
		return c.bad(why)
	}
	if c.name == "" {
		return c.bad("send USER first")
	}
	name, password := c.name, slices.Clone(a.rest)
	clear(a.rest)
	defer clear(password)
	c.name = ""
	account, err := c.srv.Credentials.Verify(c.ctx, "", name, password)
	if err != nil {
		return c.denied("USER", err)
	}
	return c.login("USER", account)
}

// apop checks the digest of the greeting's timestamp and the shared secret
// (RFC 1939 §7).
func (c *session) apop(a *args) reply {
	if c.timestamp == "" {
		return c.bad("APOP is not available")
	}
	account, err := sasl.VerifyAPOP(c.ctx, c.srv.Credentials, c.timestamp, string(a.v[0]), string(a.v[1]))
	if err != nil {
		return c.denied("APOP", err)
	}
	return c.login("APOP", account)
}

// denied answers a login that failed. All failures of one kind look and take
// the same.
func (c *session) denied(mechanism string, err error) reply {
	var r reply
	var chosen *Error
	switch {
	case errors.As(err, &chosen):
		r = c.refusal("checking a login", err)
	case errors.Is(err, sasl.ErrDenied):
		r = failure(CodeAuth, "authentication failed")
	case errors.Is(err, sasl.ErrMalformed):
		r = failure("", "malformed response")
	case errors.Is(err, sasl.ErrThrottled):
		r = failure(CodeSysTemp, "too many failed logins, try again later")
	default:
		r = failure(CodeSysTemp, "authentication is out of order, try again later")
		if c.ctx.Err() == nil && !errors.Is(err, sasl.ErrUnavailable) {
			c.failed("login could not be checked", err)
		}
	}
	c.tally.FailedLogins++
	if c.tally.FailedBy == nil {
		c.tally.FailedBy = make(map[string]int)
	}
	c.tally.FailedBy[mechanism]++
	c.authErrors++
	if limit := c.srv.conf.limits.AuthErrors; limit >= 0 && c.authErrors >= limit {
		r.end, c.linger = true, true
		c.why = "too many failed logins"
	}
	c.pause(c.srv.conf.limits.FailureDelay)
	return r
}

// pause waits, but not longer than the connection.
func (c *session) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// firstWait is the wait for a maildrop that is in use before it is asked for
// again; each wait is twice the one before.
const firstWait = 20 * time.Millisecond

// login opens the maildrop of an account that has proved who it is.
func (c *session) login(mechanism, account string) reply {
	if c.srv.Backend == nil {
		return c.refusal("opening a maildrop", &Error{Code: CodeSysPerm, Text: "this server has no maildrops"})
	}
	c.pub.User = account
	c.conn.Keep()
	d, err := c.openDrop(account)
	for wait, left := firstWait, c.srv.conf.limits.InUse; errors.Is(err, ErrInUse) && left > 0 && c.ctx.Err() == nil && !c.conn.Stopping(); wait *= 2 {
		wait = min(wait, left)
		c.pause(wait)
		left -= wait
		d, err = c.openDrop(account)
	}
	if err != nil {
		r := c.refusal("opening a maildrop", err)
		c.pub.User = ""
		return r
	}
	c.box.open(d)
	c.state = transaction
	c.tally.Mechanism = mechanism
	c.tally.Messages = c.box.left
	c.timestamp = ""
	c.remark("logged in")
	return ok("messages").with(int64(c.box.left))
}

func (c *session) openDrop(account string) (Drop, error) {
	d, err := c.srv.Backend.Open(c.ctx, &c.pub, account)
	if err == nil && d == nil {
		err = errors.New("backend gave no maildrop")
	}
	return d, err
}

// refusal is the answer to an error of the Backend or the Drop; what the
// client is not told, the log is.
func (c *session) refusal(doing string, err error) reply {
	e, chosen := answerOf(err)
	if !chosen || e.Err != nil {
		if !errors.Is(err, context.Canceled) {
			c.failed(doing+" failed", err)
		}
	}
	return failure(e.Code, e.Text)
}
