package accounts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/accounts/openid"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// tokens are those of an OpenID provider.
type tokens struct {
	name     string
	settings conf.OpenID
	lasts    time.Duration
	provider *openid.Provider
	health   health
}

// openTokens makes what settings say of a provider; old's where they say the same.
func openTokens(s *conf.Settings, old *Elsewhere, log *slog.Logger) (*tokens, error) {
	c := s.Elsewhere.OpenID
	if c.Issuer == "" {
		return nil, nil
	}
	if old != nil && old.tokens != nil && reflect.DeepEqual(old.tokens.settings, c) && old.tokens.lasts == s.Elsewhere.CacheTime {
		return old.tokens, nil
	}
	secure, err := clientTLS(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("OpenID: %w", err)
	}
	return &tokens{name: "OpenID " + c.Issuer, settings: c, lasts: s.Elsewhere.CacheTime, provider: openid.New(openid.Config{
		Issuer: c.Issuer, Audiences: c.Audiences, AudienceClaims: c.AudienceClaims, UserClaim: c.UserClaim, EmailVerified: c.EmailVerified, Algorithms: c.Algorithms,
		Introspect: c.Introspect, ClientID: c.ClientID, ClientSecret: string(c.ClientSecret), Remember: s.Elsewhere.CacheTime,
		Transport: transport(secure), Timeout: c.Timeout,
	})}, nil
}

func transport(secure *tls.Config) *http.Transport {
	return &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 8, IdleConnTimeout: idles}
}

// tokenKey is who tokens from a network are counted at in the table of accounts: no address is like it.
func tokenKey(block netip.Prefix) domains.Address { return domains.Address("token " + block.String()) }

// Tokens reports whether tokens are taken.
func (c *Credentials) Tokens() bool { return c.dir.elsewhere != nil && c.dir.elsewhere.tokens != nil }

// Token implements sasl.Tokens. Nobody guesses a signature; what is counted are tokens that the provider has not made, so that none
// are checked without end.
func (c *Credentials) Token(ctx context.Context, authzid, user, token string) (string, error) {
	if !c.Tokens() {
		return "", sasl.ErrDenied
	}
	t := c.dir.elsewhere.tokens
	block := lineserver.Block(sasl.PeerOf(ctx).RemoteAddr)
	// Whose it is is not known yet, and a name that comes with it is nobody's word. But where that one has logged in from there before, only his own
	// failures count, as with passwords: the neighbours behind one address have tokens that are over as well.
	at := tokenKey(block)
	if owner := c.saysToBe(t, token, authzid, user); c.throttle.standing(block, owner).known {
		at = owner
	}
	settle, ok := c.throttle.book(block, at)
	if !ok {
		return "", sasl.ErrThrottled
	}
	account, name, genuine, err := c.whose(ctx, t, token)
	for _, as := range []string{authzid, user} {
		if err != nil {
			break
		}
		var is bool
		if is, err = c.isCalled(ctx, account, as); err == nil && !is {
			err = &sasl.TokenError{Configuration: t.provider.Configuration(), Description: "the token is of another user"}
		}
	}
	v := c.judge(ctx, claimed(account, authzid, user), err)
	if v == right || genuine { // it is too old, say, or of somebody without an account
		v = undecided
	}
	if v == wrong && !c.repeats.add(login{block, at}, c.repeats.tagOf(at, "token", []byte(token))) {
		v = undecided // a program that does not know that its token is over has it tried again and again
	}
	settle(v)
	if err != nil {
		return "", err
	}
	c.throttle.remember(block, account, right)
	c.open.note(ctx, account, c.holds(account, name))
	return account.String(), nil
}

// saysToBe is the account that a client says it is of, or its token; "": it does not say.
func (c *Credentials) saysToBe(t *tokens, token string, names ...string) domains.Address {
	for _, said := range append(names, t.provider.Says(token)) {
		if said == "" {
			continue
		}
		name, account := c.dir.Login(said)
		if account == nil {
			if k := c.dir.elsewhere.Lately(name); k != nil {
				name = k.Address
			}
		}
		return name
	}
	return ""
}

// isCalled reports whether a name, "" for none, is one of an account's: others may know it by several. An error says that it cannot be found out.
func (c *Credentials) isCalled(ctx context.Context, account domains.Address, name string) (bool, error) {
	if c.mayActAs(account, name) {
		return true, nil
	}
	named, _, err := c.holder(ctx, name)
	if errors.Is(err, sasl.ErrDenied) {
		return false, nil
	}
	return named == account, err
}

// claimed is who somebody says that he is, for the log.
func claimed(account domains.Address, names ...string) string {
	for _, n := range names {
		if account == "" {
			account = domains.Address(n)
		}
	}
	return account.String()
}

// whose finds out whose a token is, by which name. genuine is whether the provider has made it.
func (c *Credentials) whose(ctx context.Context, t *tokens, token string) (account, name domains.Address, genuine bool, err error) {
	refuse := func(why string) error {
		return &sasl.TokenError{Configuration: t.provider.Configuration(), Description: why}
	}
	if !t.health.mayAsk() && !t.provider.Serves() {
		return "", "", false, fmt.Errorf("%s: %w: %w", t.name, sasl.ErrUnavailable, errAway)
	}
	user, err := t.provider.Check(ctx, token)
	var refused *openid.Refused
	var away *openid.Unreachable
	isAway := errors.As(err, &away)
	if isAway {
		t.health.answered(c.log, t.name, err, true)
	} else {
		t.health.answered(c.log, t.name, nil, false)
	}
	switch {
	case errors.As(err, &refused):
		return "", "", refused.Genuine, refuse("the token " + refused.Why)
	case errors.Is(err, openid.ErrLater):
		return "", "", false, sasl.ErrThrottled
	case err != nil:
		return "", "", false, fmt.Errorf("check a token: %w: %w", sasl.ErrUnavailable, err)
	}
	account, name, err = c.holder(ctx, user)
	if errors.Is(err, sasl.ErrDenied) {
		err = refuse("the token is of somebody without an account here")
	}
	return account, name, true, err
}

// holder is the account that a name, in its one form, means which was proved otherwise than by a password. The error is sasl.ErrDenied if there is
// none, or why that cannot be found out.
func (c *Credentials) holder(ctx context.Context, user string) (account, name domains.Address, err error) {
	name, own := c.dir.Login(user)
	switch {
	case own != nil && !own.Disabled:
		return name, name, nil
	case own != nil:
		return name, name, sasl.ErrDenied
	}
	k, err := c.dir.Find(ctx, name)
	switch {
	case err != nil:
		return name, name, fmt.Errorf("find the account of %s: %w: %w", name, sasl.ErrUnavailable, err)
	case k == nil || !k.letsOthers(ctx):
		return name, name, sasl.ErrDenied
	}
	return k.Address, name, nil
}

// holds is what a session is open by that was proved otherwise to be the account's that a name means.
func (c *Credentials) holds(account, name domains.Address) string {
	if c.dir.Account(account) != nil {
		return otherwise
	}
	return foundAs(otherwise, name)
}
