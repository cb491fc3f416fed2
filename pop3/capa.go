package pop3

import (
	"strconv"
	"strings"
	"time"
)

// capa tells what is true in this state (RFC 2449 §5).
func (c *session) capa(*args) reply {
	r := ok("capabilities")
	r.body = func() error { return c.lines(c.capabilities()) }
	return r
}

func (c *session) capabilities() []string {
	l := []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"}
	before := c.state == authorization
	if before {
		l = append(l, c.logins()...)
	}
	l = append(l, c.policy().capabilities(before)...)
	if c.srv.UTF8 {
		l = append(l, "UTF8 USER")
	}
	if !before {
		switch name := c.srv.Implementation; name {
		case "":
			l = append(l, "IMPLEMENTATION Postrider")
		case "-":
		default:
			l = append(l, "IMPLEMENTATION "+name)
		}
	}
	return l
}

// logins are the capabilities of the AUTHORIZATION state.
func (c *session) logins() (l []string) {
	waitForTLS := c.srv.TLSMode == RequireTLS && c.pub.TLS == nil
	if !waitForTLS && c.cleartext() == "" {
		l = append(l, "USER")
	}
	if offered := names(c.offered()); len(offered) > 0 {
		l = append(l, "SASL "+strings.Join(offered, " "))
	}
	if c.pub.TLS == nil && c.srv.TLSConfig != nil {
		l = append(l, "STLS")
	}
	if c.trusted {
		l = append(l, "XCLIENT ADDR PORT SESSION")
	}
	return l
}

func (c *session) policy() Policy {
	if d, ok := c.box.drop.(Expiring); ok {
		return d.Policy()
	}
	return c.srv.Policy
}

// capabilities are p's. Before the login, what may differ for the account says
// so with "USER" (RFC 2449 §6.5, §6.7).
func (p Policy) capabilities(before bool) (l []string) {
	user := ""
	if before && p.PerUser {
		user = " USER"
	}
	expire := "NEVER"
	switch {
	case p.Expire < 0:
		expire = "0"
	case p.Expire > 0:
		// Rounded down: a message that stays longer than told is no lie.
		expire = strconv.FormatInt(int64(p.Expire/(24*time.Hour)), 10)
	}
	if p.LoginDelay > 0 {
		seconds := (p.LoginDelay + time.Second - 1) / time.Second
		l = append(l, "LOGIN-DELAY "+strconv.FormatInt(int64(seconds), 10)+user)
	}
	return append(l, "EXPIRE "+expire+user)
}

// lines is a body of these lines.
func (c *session) lines(lines []string) error {
	for _, line := range lines {
		b := appendText(c.w.short(maxReply), line, maxReply-2)
		c.w.done(append(b, '\r', '\n'))
	}
	c.w.done(append(c.w.short(maxReply), ".\r\n"...))
	return c.w.err
}

// utf8 switches to UTF-8 (RFC 6856 §2). Names and passwords are octets before
// and after; what it changes is which messages the client is given.
func (c *session) utf8(*args) reply {
	if !c.srv.UTF8 {
		return c.bad("UTF8 is not available")
	}
	c.pub.UTF8 = true
	return ok("UTF8 enabled")
}
