package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// Credentials answer for one set of accounts. They implement sasl.Credentials
// and sasl.Guard, and may be used concurrently.
type Credentials struct {
	dir    *Directory
	keys   map[domains.Address]*keys // by account
	offers map[sasl.Kind]bool        // but for SCRAM, see withoutScram
	models models
	derive bool

	admins  map[string]*conf.WebAdmin
	keyFile string // of the key that second factors are sealed with

	kept Preferences // nil: users decide nothing
	apps bool        // app passwords count
	seal seal.Key    // what is sealed of kept

	// withoutScram is how many accounts keep SCRAM from being offered.
	withoutScram atomic.Int64
	log          *slog.Logger

	// What outlives a reload, which must not forgive guesses.
	verifier *passwd.Verifier
	throttle *throttle
	repeats  *repeats
	learnt   *learnt
	decoy    *sasl.Decoy
	codes    *codes
	uses     *uses
	open     *Open
	names    *knownAs
}

// New makes credentials of the settings and their directory, and of what users have decided (nil: nothing). old, if not nil,
// are those before a reload: counted guesses and remembered passwords are handed
// on. The error names every account whose keys cannot be read.
func New(s *conf.Settings, dir *Directory, kept Preferences, old *Credentials, log *slog.Logger) (*Credentials, error) {
	c := &Credentials{dir: dir, log: log, derive: s.Auth.DeriveKeys, admins: s.Web.Admins, keyFile: s.SecretKeyFile,
		kept: kept, apps: s.Web.May(conf.MayAppPasswords)}
	var err error
	if c.keys, err = readAllKeys(dir, s.SecretKeyFile); err != nil {
		return nil, err
	}
	if old == nil {
		c.throttle, c.repeats, c.learnt, c.codes, c.uses = newThrottle(throttleRates(s)), new(repeats), new(learnt), new(codes), new(uses)
		c.open, c.names = new(Open), new(knownAs)
		c.throttle.log = log
		c.verifier = newVerifier(s)
		c.seal, c.decoy, err = newDecoy(s.SecretKeyFile)
	} else {
		c.throttle, c.repeats, c.learnt, c.verifier, c.decoy, c.codes = old.throttle, old.repeats, old.learnt, old.verifier, old.decoy, old.codes
		c.seal, c.uses, c.open, c.names = old.seal, old.uses, old.open, old.names
		c.throttle.setRates(throttleRates(s))
		if c.verifier.RememberFor != s.Auth.CacheTime {
			c.verifier = newVerifier(s)
		}
	}
	if err != nil {
		return nil, err
	}
	c.offer(s.Elsewhere.Scram)
	c.models = newModels(dir, c.keys, c.decoy, c.storedOf)
	c.adoptAll()
	return c, nil
}

// offer finds out which kinds of secret accounts can be checked by. A client takes
// the strongest mechanism it is offered. It must not be one that its account
// keeps no secret for: the right password would be refused. So one account
// without keys (taken over as a bcrypt hash, say) keeps the mechanism from being
// offered; those that others keep do not keep SCRAM from it with scramAnyway. APOP is chosen by hand and needs one account only.
func (c *Credentials) offer(scramAnyway bool) {
	accounts := c.dir.Accounts()
	alone := len(c.dir.elsewhere.domains()) == 0 // those that others keep have no keys
	some := len(accounts) > 0
	c.offers = map[sasl.Kind]bool{sasl.Password: true, sasl.CRAMMD5: some && alone, sasl.ScramSHA256: some && (alone || scramAnyway)}
	for address, account := range accounts {
		k := c.keys[address]
		if canLogIn(account) {
			s, err := c.secretsOf(address, account)
			if err != nil {
				c.log.Error("an account cannot be logged in to: what its user has decided cannot be read", "user", address.String(), "err", err)
			}
			c.offers[sasl.CRAMMD5] = c.offers[sasl.CRAMMD5] && c.cramOf(address, &s) != nil
			if c.scramOf(address, &s) == nil {
				c.withoutScram.Add(1)
			}
		}
		c.offers[sasl.APOP] = c.offers[sasl.APOP] || k.apop != nil
	}
}

func throttleRates(s *conf.Settings) (perBlock, perAccount rate) {
	return over(s.Auth.MaxFailuresPerAddress, s.Auth.FailureWindow), over(s.Auth.MaxFailuresPerAccount, s.Auth.FailureWindow)
}

// newDecoy makes the secrets of accounts that do not exist from the server's
// key, so that a restart does not change them: a salt that changes would tell
// who probes that nobody is there.
func newDecoy(keyFile string) (seal.Key, *sasl.Decoy, error) {
	key, _, err := seal.EnsureKey(keyFile)
	if err != nil {
		return key, nil, fmt.Errorf("secret key: %w", err)
	}
	seed, err := key.Derive("sasl decoy")
	if err != nil {
		return key, nil, fmt.Errorf("secret key: %w", err)
	}
	return key, sasl.NewDecoy(seed), nil
}

func newVerifier(s *conf.Settings) *passwd.Verifier {
	v := &passwd.Verifier{RememberFor: s.Auth.CacheTime}
	if s.Auth.CacheTime == 0 {
		v.Remember = -1
	}
	return v
}

// Offers implements sasl.Credentials.
func (c *Credentials) Offers(kind sasl.Kind) bool {
	return c.offers[kind] && (kind != sasl.ScramSHA256 || c.withoutScram.Load() == 0)
}

// Verify implements sasl.Credentials.
func (c *Credentials) Verify(ctx context.Context, authzid, user string, password []byte) (string, error) {
	name, _ := c.dir.Login(user)
	before, _ := c.decided(name)
	who, err := c.verify(ctx, authzid, user, password)
	if c.kept == nil || !errors.Is(err, sasl.ErrDenied) {
		return who, err
	}
	c.kept.Anew(ctx, name) // it may have been changed at another server a moment ago, and that may have been heard of meanwhile
	if now, _ := c.decided(name); now != before {
		return c.verify(ctx, authzid, user, password)
	}
	return who, err
}

// verify is Verify by what this server knows.
func (c *Credentials) verify(ctx context.Context, authzid, user string, password []byte) (string, error) {
	name, account := c.dir.Login(user)
	block := lineserver.Block(sasl.PeerOf(ctx).RemoteAddr)
	if !c.throttle.allows(block, name) {
		return "", sasl.ErrThrottled
	}
	if c.isElsewhere(name) {
		return c.verifyElsewhere(ctx, authzid, user, name, password)
	}
	secrets, err := c.secretsOf(name, account)
	if err != nil {
		return "", fmt.Errorf("check the password of %s: %w", name, err)
	}
	if app := c.app(ctx, &secrets, password); app != nil && c.mayActAs(name, authzid) {
		c.throttle.remember(block, name, right)
		c.uses.note(ctx, name, app.ID)
		c.open.note(ctx, name, appPrefix+app.ID)
		return name.String(), nil
	}
	stored := secrets.stored
	// The same wrong password again needs no hash, and is no other guess.
	only := c.onlyApps(secrets.p) && sasl.PeerOf(ctx).Service != pagesService
	like := stored
	if only { // what opens the pages and no mail is wrong here, and not there
		like += " for pages"
	}
	place, known := login{block, name}, c.repeats.tagOf(name, like, password)
	if c.repeats.has(place, known) {
		c.judge(ctx, user, sasl.ErrDenied)
		return "", sasl.ErrDenied
	}
	// A password that is remembered comes through without a turn, and so
	// without a booking: then there is nothing to settle but where it came from.
	settle := func(v verdict) { c.throttle.remember(block, name, v) }
	is := c.throttle.standing(block, name)
	a := passwd.Attempt{Account: name.String(), Stored: stored, Password: password, Like: c.models.password(c.decoy, name), Source: block.String(), Known: is.known, Suspect: is.suspect}
	// It is booked when its turn has come: of many guesses made at once, those
	// behind the last that may fail are not worth a hash.
	a.Allowed = func() error {
		if c.repeats.has(place, known) { // many at once of one device
			return sasl.ErrDenied
		}
		booked, ok := c.throttle.book(block, name)
		if !ok {
			return sasl.ErrThrottled
		}
		settle = booked
		return nil
	}
	err = c.check(ctx, a)
	if err == nil && only {
		err = passwd.ErrMismatch
	}
	repeated := false
	if errors.Is(err, passwd.ErrMismatch) {
		repeated = !c.repeats.add(place, known)
		err = sasl.ErrDenied
	}
	if err == nil && !c.mayActAs(name, authzid) {
		err = sasl.ErrDenied
	}
	v := c.judge(ctx, user, err)
	if repeated {
		v = undecided
	}
	settle(v)
	switch {
	case err == nil:
		if !secrets.own {
			c.learn(name, account, secrets.p, password)
		}
		c.open.note(ctx, name, stamp(stored))
		return name.String(), nil
	case errors.Is(err, sasl.ErrDenied), errors.Is(err, sasl.ErrThrottled):
		return "", err
	}
	return "", fmt.Errorf("check the password of %s: %w", name, err)
}

// loginPatience is how long a password waits for its turn to be checked. Then the
// client is told to come back, rather than hold a connection for as long as a
// storm of guesses lasts.
const loginPatience = 30 * time.Second

// check costs the same whether there is such an account or not.
func (c *Credentials) check(ctx context.Context, a passwd.Attempt) error {
	patience, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	err := c.verifier.Try(patience, a)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return sasl.ErrThrottled
	}
	return err
}

// mayActAs: an account may act as itself and as nobody else (RFC 4616 §2).
func (c *Credentials) mayActAs(name domains.Address, authzid string) bool {
	if authzid == "" {
		return true
	}
	as, _ := c.dir.Login(authzid)
	return as == name
}

// Secret implements sasl.Credentials.
func (c *Credentials) Secret(ctx context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	name, account := c.dir.Login(user)
	if !c.throttle.allows(lineserver.Block(sasl.PeerOf(ctx).RemoteAddr), name) {
		return sasl.Secret{}, "", sasl.ErrThrottled
	}
	// It is made for everybody, so that it takes no longer for those who need it.
	fake := c.decoy.Like(kind, name.String(), c.models.secret(c.decoy, name))
	if account == nil || account.Disabled || c.keys[name] == nil {
		return fake, name.String(), nil
	}
	secrets, err := c.secretsOf(name, account)
	if err != nil {
		return sasl.Secret{}, "", err
	}
	found, ok := c.secret(ctx, name, kind, &secrets)
	if !ok {
		return fake, name.String(), nil
	}
	by := stamp(secrets.stored)
	found.Proven = func() { c.open.note(ctx, name, by) }
	for i := range found.Others {
		id := secrets.p.Apps[i].ID
		found.Others[i].Proven = func() {
			c.uses.note(ctx, name, id)
			c.open.note(ctx, name, appPrefix+id)
		}
	}
	return found, name.String(), nil
}

// Book implements sasl.Guard.
func (c *Credentials) Book(ctx context.Context, user string) (settle func(error), err error) {
	name, _ := c.dir.Login(user)
	booked, ok := c.throttle.book(lineserver.Block(sasl.PeerOf(ctx).RemoteAddr), name)
	if !ok {
		return nil, sasl.ErrThrottled
	}
	return func(err error) { booked(c.judge(ctx, user, err)) }, nil
}

// judge says what a login counts as, and writes a wrong one down, once: the
// servers do not. Only a wrong answer is a guess, not a client that broke off or
// a failure of our own, which is the server's to log.
func (c *Credentials) judge(ctx context.Context, user string, err error) verdict {
	switch {
	case err == nil:
		return right
	case errors.Is(err, sasl.ErrDenied):
		peer := sasl.PeerOf(ctx)
		attrs := []any{"session", peer.Session, "service", serviceOf(peer), "remote", peer.RemoteAddr, "user", firstWord(user)}
		var token *sasl.TokenError
		if errors.As(err, &token) {
			attrs = append(attrs, "why", token.Description)
		}
		c.log.Warn("login failed", attrs...)
		return wrong
	}
	return undecided
}

// firstWord is what the log has of a name: no account's has a blank in it, and a second
// word may be the password. Nor is any as long as strangers can make one.
func firstWord(user string) string {
	if len(user) > longestLogin {
		user = user[:longestLogin] + "***"
	}
	if name, more, _ := strings.Cut(user, " "); strings.TrimSpace(more) != "" {
		return name + " ***"
	}
	return user
}

// serviceOf is what a client talks to, as the settings call it. Who logs in by SMTP
// submits mail: nothing else of it asks for passwords.
func serviceOf(peer *sasl.Peer) string {
	switch peer.Service {
	case "smtp":
		return string(conf.ProtocolSubmission)
	case "pop":
		return string(conf.ProtocolPOP3)
	}
	return peer.Service
}

// Live answers with the credentials of the moment, so that a session which
// began before a reload knows of it. It implements what Credentials do.
type Live func() *Credentials

// Offers implements sasl.Credentials.
func (l Live) Offers(kind sasl.Kind) bool { return l().Offers(kind) }

// Verify implements sasl.Credentials.
func (l Live) Verify(ctx context.Context, authzid, user string, password []byte) (string, error) {
	return l().Verify(ctx, authzid, user, password)
}

// Secret implements sasl.Credentials.
func (l Live) Secret(ctx context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	return l().Secret(ctx, kind, user)
}

// Token implements sasl.Tokens.
func (l Live) Token(ctx context.Context, authzid, user, token string) (string, error) {
	return l().Token(ctx, authzid, user, token)
}

// Certificate implements sasl.Certificates.
func (l Live) Certificate(ctx context.Context, authzid string) (string, error) {
	return l().Certificate(ctx, authzid)
}

// Book implements sasl.Guard.
func (l Live) Book(ctx context.Context, user string) (settle func(error), err error) {
	return l().Book(ctx, user)
}
