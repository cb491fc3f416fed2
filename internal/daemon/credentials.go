package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/netserve"
)

// secrets are what one account keeps for challenges, read from its settings
// once.
type secrets struct {
	cram  []byte
	scram *sasl.ScramKeys
	apop  []byte
}

// readSecrets opens and parses an account's stored secrets. unseal opens the
// APOP secret; the key behind it is needed only where an account has one.
func readSecrets(address string, a *conf.Account, unseal func(text string, context []byte) ([]byte, error)) (*secrets, error) {
	var s secrets
	var err error
	if a.CRAMMD5 != "" {
		if s.cram, err = sasl.ParseCRAM(string(a.CRAMMD5)); err != nil {
			return nil, fmt.Errorf("account %s: cram_md5: %w", address, err)
		}
	}
	if a.ScramSHA256 != "" {
		kind, keys, err := sasl.ParseScram(string(a.ScramSHA256))
		if err == nil && kind != sasl.ScramSHA256 {
			err = errors.New("not a SCRAM-SHA-256 secret")
		}
		if err != nil {
			return nil, fmt.Errorf("account %s: scram_sha_256: %w", address, err)
		}
		s.scram = keys
	}
	if a.APOP != "" {
		if s.apop, err = unseal(string(a.APOP), apopContext(address)); err != nil {
			return nil, fmt.Errorf("account %s: apop: %w", address, err)
		}
	}
	return &s, nil
}

// apopContext binds a sealed APOP secret to its account, so that it cannot be
// copied to another one.
func apopContext(address string) []byte { return []byte("apop:" + address) }

// credentials answer for one set of accounts. The verifier and the throttle
// live longer than it: a reload must not forgive guesses.
type credentials struct {
	dir      *directory
	secrets  map[string]*secrets // by account
	offers   map[sasl.Kind]bool
	verifier *passwd.Verifier
	throttle *throttle
	decoy    *sasl.Decoy
	doubles  doubles
	log      *slog.Logger
}

func newCredentials(dir *directory, keyFile string) (*credentials, error) {
	// A client takes the strongest mechanism it is offered. It must not be
	// one that its account keeps no secret for: the right password would be
	// refused. So one account without keys (taken over as a bcrypt hash, say)
	// keeps the mechanism from being offered. APOP is chosen by hand and
	// needs one account only.
	c := &credentials{
		dir:     dir,
		secrets: make(map[string]*secrets),
		offers: map[sasl.Kind]bool{
			sasl.Password: true, sasl.CRAMMD5: len(dir.accounts) > 0, sasl.ScramSHA256: len(dir.accounts) > 0,
		},
	}
	var key *seal.Key
	unseal := func(text string, context []byte) ([]byte, error) {
		if key == nil {
			k, err := seal.LoadKey(keyFile)
			if err != nil {
				return nil, err
			}
			key = &k
		}
		return key.OpenText(text, context)
	}
	var problems []error
	for address, account := range dir.accounts {
		s, err := readSecrets(address, account, unseal)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		c.secrets[address] = s
		if account.Password != "" && !account.Disabled {
			c.offers[sasl.CRAMMD5] = c.offers[sasl.CRAMMD5] && s.cram != nil
			c.offers[sasl.ScramSHA256] = c.offers[sasl.ScramSHA256] && s.scram != nil
		}
		c.offers[sasl.APOP] = c.offers[sasl.APOP] || s.apop != nil
	}
	return c, errors.Join(problems...)
}

// Offers implements sasl.Credentials.
func (c *credentials) Offers(kind sasl.Kind) bool { return c.offers[kind] }

// Verify implements sasl.Credentials.
func (c *credentials) Verify(ctx context.Context, authzid, user string, password []byte) (string, error) {
	name, account := c.dir.login(user)
	block := netserve.Block(sasl.PeerOf(ctx).RemoteAddr)
	if !c.throttle.allows(block, name) {
		return "", sasl.ErrThrottled
	}
	// A password that is remembered comes through without a turn, and so
	// without a booking: then there is nothing to settle but where it came from.
	settle := func(v verdict) { c.throttle.remember(block, name, v) }
	is := c.throttle.standing(block, name)
	a := passwd.Attempt{Account: name, Password: password, Like: c.doubles.password(c.decoy, name), Source: block.String(), Known: is.known, Suspect: is.suspect}
	// It is booked when its turn has come: of many guesses made at once, those
	// behind the last that may fail are not worth a hash.
	a.Allowed = func() error {
		booked, ok := c.throttle.book(block, name)
		if !ok {
			return sasl.ErrThrottled
		}
		settle = booked
		return nil
	}
	err := c.check(ctx, account, a)
	if err == nil && !c.mayActAs(name, authzid) {
		err = sasl.ErrDenied
	}
	settle(c.judge(ctx, user, err))
	if err != nil {
		return "", err
	}
	return name, nil
}

// loginPatience is how long a password waits for its turn to be checked. Then the
// client is told to come back, rather than hold a connection for as long as a
// storm of guesses lasts.
const loginPatience = 30 * time.Second

// check costs the same whether there is such an account or not.
func (c *credentials) check(ctx context.Context, account *conf.Account, a passwd.Attempt) error {
	if account != nil && !account.Disabled {
		a.Stored = string(account.Password)
	}
	patience, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	err := c.verifier.Try(patience, a)
	switch {
	case errors.Is(err, passwd.ErrMismatch):
		return sasl.ErrDenied
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return sasl.ErrThrottled
	}
	return err
}

// mayActAs: an account may act as itself and as nobody else (RFC 4616 §2).
func (c *credentials) mayActAs(name, authzid string) bool {
	if authzid == "" {
		return true
	}
	as, _ := c.dir.login(authzid)
	return as == name
}

// Secret implements sasl.Credentials.
func (c *credentials) Secret(ctx context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	name, account := c.dir.login(user)
	if !c.throttle.allows(netserve.Block(sasl.PeerOf(ctx).RemoteAddr), name) {
		return sasl.Secret{}, "", sasl.ErrThrottled
	}
	// It is made for everybody, so that it takes no longer for those who need it.
	fake := c.decoy.Like(kind, name, c.doubles.secret(c.decoy, name))
	s := c.secrets[name]
	if account == nil || account.Disabled || s == nil {
		return fake, name, nil
	}
	switch {
	case kind == sasl.CRAMMD5 && s.cram != nil:
		return sasl.Secret{CRAM: s.cram}, name, nil
	case kind == sasl.ScramSHA256 && s.scram != nil:
		return sasl.Secret{SCRAM: s.scram}, name, nil
	case kind == sasl.APOP && s.apop != nil:
		return sasl.Secret{APOP: s.apop}, name, nil
	}
	return fake, name, nil
}

// Book implements sasl.Guard.
func (c *credentials) Book(ctx context.Context, user string) (settle func(error), err error) {
	name, _ := c.dir.login(user)
	booked, ok := c.throttle.book(netserve.Block(sasl.PeerOf(ctx).RemoteAddr), name)
	if !ok {
		return nil, sasl.ErrThrottled
	}
	return func(err error) { booked(c.judge(ctx, user, err)) }, nil
}

// judge says what a login counts as, and writes down what the operator should
// know of: only a wrong answer is a guess, not a client that broke off or a
// failure of our own.
func (c *credentials) judge(ctx context.Context, user string, err error) verdict {
	peer := sasl.PeerOf(ctx)
	switch {
	case err == nil:
		return right
	case errors.Is(err, sasl.ErrDenied):
		c.log.Warn("login failed", "service", peer.Service, "remote", peer.RemoteAddr, "user", user)
		return wrong
	case !errors.Is(err, sasl.ErrThrottled) && !errors.Is(err, sasl.ErrMalformed) && ctx.Err() == nil:
		c.log.Error("login could not be checked", "service", peer.Service, "user", user, "err", err)
	}
	return undecided
}

// live answers with the accounts of the moment, so that a session which began
// before a reload knows of it.
type live struct{ d *Daemon }

// Offers implements sasl.Credentials.
func (l live) Offers(kind sasl.Kind) bool { return l.d.state().credentials.Offers(kind) }

// Verify implements sasl.Credentials.
func (l live) Verify(ctx context.Context, authzid, user string, password []byte) (string, error) {
	return l.d.state().credentials.Verify(ctx, authzid, user, password)
}

// Secret implements sasl.Credentials.
func (l live) Secret(ctx context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	return l.d.state().credentials.Secret(ctx, kind, user)
}

// Book implements sasl.Guard.
func (l live) Book(ctx context.Context, user string) (settle func(error), err error) {
	return l.d.state().credentials.Book(ctx, user)
}
