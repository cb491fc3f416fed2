package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// adminKey is an administrator in the tables of failed logins: no address is like it, so that nobody
// locks out an account by guessing at an administrator of that name.
func adminKey(name string) domains.Address { return domains.Address("admin " + name) }

// VerifyAdmin checks an administrator's password and, where there is a second factor, its code. It is throttled as
// logins for mail are, and takes as long for names that do not exist. The error is
// sasl.ErrDenied, sasl.ErrThrottled, or what kept it from looking.
func (c *Credentials) VerifyAdmin(ctx context.Context, from netip.Addr, name, password, code string) error {
	ctx = withClient(ctx, from)
	block := lineserver.Block(sasl.PeerOf(ctx).RemoteAddr)
	key := adminKey(name)
	if len(name) > 64 { // no table is to hold what strangers make up
		key = adminKey(name[:64])
	}
	settle, ok := c.throttle.book(block, key)
	if !ok {
		return sasl.ErrThrottled
	}
	is := c.throttle.standing(block, key)
	admin := c.admins[name]
	a := passwd.Attempt{
		Account: key.String(), Password: sasl.SASLprep([]byte(password)),
		Source: block.String(), Known: is.known, Suspect: is.suspect,
		Anew: true, // the code is still to be guessed
	}
	if admin != nil {
		a.Stored = string(admin.Password)
	}
	err := c.check(ctx, a)
	if errors.Is(err, passwd.ErrMismatch) {
		err = sasl.ErrDenied
	}
	if err == nil {
		err = c.secondFactor(name, admin, code)
	}
	settle(c.judge(ctx, name, err))
	if err != nil && !errors.Is(err, sasl.ErrDenied) && !errors.Is(err, sasl.ErrThrottled) {
		return fmt.Errorf("check the login of %s: %w", firstWord(name), err)
	}
	return err
}

// ClockError says that name, password and code are right, and that the code counts at another time: one of the
// two clocks is wrong. It is sasl.ErrDenied as well, and counts as a failed login: the code may be guessed, and
// does not count later either. Off is how far the clock that made the code is ahead of this host's, in steps of half a minute.
type ClockError struct{ Off time.Duration }

func (e *ClockError) Error() string { return "the code counts at another time: " + e.Off.String() }

// Unwrap implements errors.
func (*ClockError) Unwrap() error { return sasl.ErrDenied }

// secondFactor checks the code of an administrator who has one.
func (c *Credentials) secondFactor(name string, admin *conf.WebAdmin, code string) error {
	if admin.TOTP == "" {
		return nil
	}
	secret, err := OpenSealed(c.keyFile, string(admin.TOTP), conf.TOTPSubject(name))
	if err != nil {
		return fmt.Errorf("the second factor: %w", err)
	}
	code = strings.ReplaceAll(code, " ", "")
	ok, off := c.codes.take(name, []byte(secret), code, time.Now())
	if off != 0 {
		c.log.Warn("a code was right at another time", "user", name, "off", off)
	}
	switch {
	case off != 0:
		return &ClockError{off}
	case !ok:
		return sasl.ErrDenied
	}
	if c.codes.keep != nil {
		if err := c.codes.keep(); err != nil {
			return fmt.Errorf("the second factor: that the code was used cannot be written down: %w", err)
		}
	}
	return nil
}

// VerifyUser checks the login of an account to the pages for users.
func (c *Credentials) VerifyUser(ctx context.Context, from netip.Addr, user, password string) (domains.Address, error) {
	who, err := c.Verify(withClient(ctx, from), "", user, []byte(password))
	return domains.Address(who), err
}

// pagesService is what clients of the pages talk to.
const pagesService = "web"

// withClient is a login by the pages, for the log and the throttle.
func withClient(ctx context.Context, from netip.Addr) context.Context {
	return sasl.WithPeer(ctx, &sasl.Peer{Service: pagesService, RemoteAddr: &net.TCPAddr{IP: from.AsSlice()}})
}

// Admins reports whether there is anybody who can log in as an administrator.
func (c *Credentials) Admins() bool {
	for _, a := range c.admins {
		if a != nil && a.Password != "" {
			return true
		}
	}
	return false
}

// AdminStamp is something that changes with the secrets of an administrator; empty if he cannot log in.
func (c *Credentials) AdminStamp(name string) string {
	a := c.admins[name]
	if a == nil || a.Password == "" {
		return ""
	}
	return stamp(string(a.Password), string(a.TOTP))
}

// UserStamp is something that changes with the password of an account, as far as that is known here; empty if it cannot log in.
func (c *Credentials) UserStamp(address domains.Address) string {
	a := c.dir.Account(address)
	if a == nil && c.dir.elsewhere.Knows(address.Domain()) {
		return c.stampElsewhere(address)
	}
	s, err := c.secretsOf(address, a)
	if err != nil || s.stored == "" {
		return ""
	}
	return stamp(s.stored)
}

// stampElsewhere is UserStamp of an account that others keep. A place that is away is believed what it said last.
func (c *Credentials) stampElsewhere(address domains.Address) string {
	if c.dir.closed(address) { // whoever keeps it may be away
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), findPatience)
	defer cancel()
	k, name, err := c.findAs(ctx, address)
	if err != nil {
		if k = c.dir.elsewhere.Lately(name); k == nil {
			k = c.dir.elsewhere.Lately(c.KnownAs(address))
		}
	}
	if k == nil || k.Closed || k.Problem != nil || k.Address != address {
		return ""
	}
	return stamp(k.secret())
}

func stamp(secrets ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(secrets, "\n")))
	return hex.EncodeToString(sum[:])
}
