package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Users may have a password of their own, in place of that of the settings, and one for each device beside it
// (internal/preferences). The settings stay the administrator's: the user's own counts only as long as they hold the
// password that it took the place of, so that a new one that an administrator sets is the one that opens.

// Preferences are what users have decided. A *preferences.Store is one.
type Preferences interface {
	Of(account domains.Address) (*preferences.Preferences, error)
	// Anew takes up what another server has changed for an account, and reports whether there was anything.
	Anew(ctx context.Context, account domains.Address) (changed bool)
}

// secrets are what an account is checked by at this moment.
type secrets struct {
	stored string                   // the hash of its password; empty: nobody can log in
	p      *preferences.Preferences // nil: its user has decided nothing
	own    bool                     // the password is that of p
}

// secretsOf finds out what an account (nil: there is none) is checked by. What cannot be read is an error, and not the password
// of the settings: that may be the one its user has changed because others know it.
func (c *Credentials) secretsOf(name domains.Address, account *conf.Account) (s secrets, err error) {
	var p *preferences.Preferences
	p, err = c.decided(name) // of whoever there is not as well: it must take as long
	if account == nil || !canLogIn(account) {
		return s, nil
	}
	s.stored, s.p = string(account.Password), p
	if err != nil || p == nil {
		return s, err
	}
	if OwnPassword(account, p) {
		s.own, s.stored = true, p.Password.Hash
	}
	return s, nil
}

// decided is what the user of an account has decided; nil: nothing.
func (c *Credentials) decided(name domains.Address) (*preferences.Preferences, error) {
	if c.kept == nil {
		return nil, nil
	}
	return c.kept.Of(name)
}

// OwnPassword reports whether an account is opened by the password that its user has set.
func OwnPassword(account *conf.Account, p *preferences.Preferences) bool {
	return account != nil && p.Password != nil && p.Password.Replaces == hashOf(account.Password)
}

// OwnPassword is the same of an account by its name.
func (c *Credentials) OwnPassword(name domains.Address, p *preferences.Preferences) bool {
	return OwnPassword(c.dir.Account(name), p)
}

// storedOf is the hash of an account's password, for whoever imitates its cost.
func (c *Credentials) storedOf(name domains.Address, account *conf.Account) string {
	s, err := c.secretsOf(name, account)
	if err != nil {
		return string(account.Password)
	}
	return s.stored
}

// app is the app password that this is; nil: none. It is none for the pages: who has a device is not to change how the account is
// reached. Nothing slows it down, as nobody guesses 130 bits; and it takes as long for names without an account.
func (c *Credentials) app(ctx context.Context, s *secrets, password []byte) *preferences.App {
	if !c.apps || s.stored == "" || sasl.PeerOf(ctx).Service == pagesService {
		return (*preferences.Preferences)(nil).Find(password, time.Now())
	}
	if app := s.p.Find(password, time.Now()); app != nil && app.For(purpose(ctx)) {
		return app
	}
	return nil
}

// purpose is what the client of a context logs in for: who submits mail sends it, and all else fetches it.
func purpose(ctx context.Context) string {
	if sasl.PeerOf(ctx).Service == "smtp" {
		return preferences.OnlySend
	}
	return preferences.OnlyFetch
}

// scramOf are the keys whose salt clients of SCRAM are told.
func (c *Credentials) scramOf(name domains.Address, s *secrets) *sasl.ScramKeys {
	if s.own {
		return parseScram(s.p.Password.Scram)
	}
	if k := c.keys[name]; k != nil {
		return k.scram.Load()
	}
	return nil
}

func parseScram(text string) *sasl.ScramKeys {
	kind, keys, err := sasl.ParseScram(text)
	if text == "" || err != nil || kind != sasl.ScramSHA256 {
		return nil
	}
	return keys
}

// cramOf is the key that answers to CRAM-MD5 are checked by.
func (c *Credentials) cramOf(name domains.Address, s *secrets) []byte {
	if s.own {
		return c.unseal(s.p, "cram", s.p.Password.CRAM)
	}
	if k := c.keys[name]; k != nil {
		return k.cram
	}
	return nil
}

// apopOf is the secret of APOP.
func (c *Credentials) apopOf(name domains.Address, s *secrets) []byte {
	if s.own {
		return c.unseal(s.p, "apop", s.p.Password.APOP)
	}
	if k := c.keys[name]; k != nil {
		return k.apop
	}
	return nil
}

// subject binds what is sealed to one file of preferences and to what it is there, whatever the account is called.
func subject(p *preferences.Preferences, what string) []byte {
	return append([]byte("preferences "+what+":"), p.Key...)
}

// unseal opens what the server's key has sealed of preferences; nil where there is nothing, or it does not open.
func (c *Credentials) unseal(p *preferences.Preferences, what, sealed string) []byte {
	if sealed == "" {
		return nil
	}
	clear, err := c.seal.OpenText(sealed, subject(p, what))
	if err != nil {
		c.log.Warn("a secret that a user has set cannot be opened", "user", p.Account.String(), "err", err)
		return nil
	}
	return clear
}

// secret is what a challenge is checked by: that of the password, and those of the devices.
func (c *Credentials) secret(ctx context.Context, name domains.Address, kind sasl.Kind, s *secrets) (found sasl.Secret, ok bool) {
	only := c.onlyApps(s.p)
	switch kind {
	case sasl.CRAMMD5:
		if found.CRAM = c.cramOf(name, s); only && found.CRAM != nil {
			found.CRAM = sasl.MakeCRAM([]byte(rand.Text()))
		}
	case sasl.ScramSHA256:
		if found.SCRAM = c.scramOf(name, s); only && found.SCRAM != nil {
			found.SCRAM = unknown(found.SCRAM)
		}
	case sasl.APOP:
		found.APOP = c.apopOf(name, s)
		return found, found.APOP != nil && !only
	}
	if c.apps && s.p != nil {
		now := time.Now()
		for i := range s.p.Apps {
			app := &s.p.Apps[i]
			other := sasl.Secret{}
			switch {
			case app.Over(now) || !app.For(purpose(ctx)):
			case kind == sasl.CRAMMD5:
				other.CRAM = c.unseal(s.p, "app "+app.ID, app.CRAM)
			case kind == sasl.ScramSHA256:
				other.SCRAM = parseScram(app.Scram)
			}
			found.Others = append(found.Others, other)
		}
	}
	return found, found.CRAM != nil || found.SCRAM != nil
}

// unknown are keys that clients are told the same of, and that no password is of.
func unknown(like *sasl.ScramKeys) *sasl.ScramKeys {
	keys := *like
	keys.StoredKey, keys.ServerKey = make([]byte, len(like.StoredKey)), make([]byte, len(like.ServerKey))
	rand.Read(keys.StoredKey)
	rand.Read(keys.ServerKey)
	return &keys
}

// SetPassword gives the user of an account a password of his own, in p. Who knows the one before is to have been asked for it. The error is
// of Usable, or in words for the user as well.
func (c *Credentials) SetPassword(name domains.Address, p *preferences.Preferences, password []byte) error {
	account := c.dir.Account(name)
	if account == nil || !canLogIn(account) {
		return sasl.ErrDenied
	}
	if err := errors.Join(Usable(password), Strong(password, name)); err != nil {
		return err
	}
	password = sasl.SASLprep(password)
	hash, err := passwd.Hash(password)
	if err != nil {
		return err
	}
	scram, err := c.deriveScram(name, p, password)
	if err != nil {
		return fmt.Errorf("that password cannot be used: %w", err)
	}
	own := &preferences.Password{
		Replaces: hashOf(account.Password), Changed: time.Now().UTC().Truncate(time.Second),
		Hash: hash, Scram: sasl.FormatScram(sasl.ScramSHA256, scram),
	}
	if own.CRAM, err = c.seal.SealText(sasl.MakeCRAM(password), subject(p, "cram")); err != nil {
		return err
	}
	if account.APOP != "" { // who has APOP keeps it
		if own.APOP, err = c.seal.SealText(password, subject(p, "apop")); err != nil {
			return err
		}
	}
	p.Password = own
	return nil
}

// AddApp makes an app password, which is returned to be shown once, in p.
func (c *Credentials) AddApp(name domains.Address, p *preferences.Preferences, d preferences.Device) (password string, err error) {
	password, app, err := p.NewApp(d, time.Now())
	if err != nil {
		return "", err
	}
	scram, err := c.deriveScram(name, p, []byte(password))
	if err != nil {
		return "", err
	}
	app.Scram = sasl.FormatScram(sasl.ScramSHA256, scram)
	app.CRAM, err = c.seal.SealText(sasl.MakeCRAM([]byte(password)), subject(p, "app "+app.ID))
	return password, err
}

// deriveScram makes keys with the salt that all passwords of an account have in common, as a client is told one before it has said
// which it uses: that of the settings, else that of a device, so that no device has to be set up anew.
func (c *Credentials) deriveScram(name domains.Address, p *preferences.Preferences, password []byte) (*sasl.ScramKeys, error) {
	if like := c.saltOf(name, p); like != nil {
		return sasl.DeriveScram(sasl.ScramSHA256, password, like.Salt, like.Iterations)
	}
	return sasl.MakeScram(sasl.ScramSHA256, password, 0)
}

func (c *Credentials) saltOf(name domains.Address, p *preferences.Preferences) *sasl.ScramKeys {
	if k := c.keys[name]; k != nil {
		if like := k.scram.Load(); like != nil {
			return like
		}
	}
	if p == nil {
		return nil
	}
	for _, app := range p.Apps {
		if like := parseScram(app.Scram); like != nil {
			return like
		}
	}
	if p.Password != nil {
		return parseScram(p.Password.Scram)
	}
	return nil
}
