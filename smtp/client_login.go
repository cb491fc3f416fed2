package smtp

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// Login authenticates with a password, by the strongest of the mechanisms that the
// server offers (see sasl.Choose), of those named if any are. A server that does not
// know one after all, or finds it too weak (504, 534: RFC 4954 §4, §6), is asked by the
// next; a password that it says is wrong is sent once. Without TLS passwords are sent
// as Auth sends them.
func (c *Client) Login(ctx context.Context, user, password string, mechanisms ...string) error {
	offered := c.Mechanisms()
	if len(mechanisms) > 0 {
		offered = slices.DeleteFunc(offered, func(m string) bool {
			return !slices.ContainsFunc(mechanisms, func(named string) bool { return strings.EqualFold(named, m) })
		})
	}
	var refused error // by the one before
	for {
		a, err := c.choose(offered, user, password)
		if err != nil {
			if refused != nil {
				return refused
			}
			return &ClientError{Op: "AUTH", Err: err}
		}
		err = c.Auth(ctx, a)
		mechanism, tryNext := mechanismRefused(err)
		if !tryNext || !c.Usable() {
			return err
		}
		refused = err
		offered = slices.DeleteFunc(offered, func(m string) bool { return m == mechanism || m+"-PLUS" == mechanism })
	}
}

// choose is sasl.Choose, which never sends a password in the clear: to this host, or
// where the caller wants it, it may be.
func (c *Client) choose(offered []string, user, password string) (sasl.Client, error) {
	a, err := sasl.Choose(offered, user, password, c.tls)
	if err == nil || c.tls != nil || !(c.opt.cleartextAuth || isLocal(c.conn)) {
		return a, err
	}
	for _, m := range offered {
		switch m {
		case "PLAIN":
			return sasl.PlainClient("", user, password), nil
		case "LOGIN":
			return sasl.LoginClient(user, password), nil
		}
	}
	return nil, err
}

// mechanismRefused is the mechanism that the server refused, and whether that was all
// it refused.
func mechanismRefused(err error) (mechanism string, ok bool) {
	var e *ClientError
	if !errors.As(err, &e) || e.Reply == nil {
		return "", false
	}
	mechanism, ok = strings.CutPrefix(e.Op, "AUTH ")
	return mechanism, ok && (e.Reply.Code == 504 || e.Reply.Code == 534)
}
