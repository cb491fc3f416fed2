package selfservice

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/web"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// phones are the devices that are to load a profile: one for each user, in memory. A restart forgets them, as ten minutes would. The zero value is ready.
type phones struct {
	mu sync.Mutex
	by map[domains.Address]phone
}

// phone is one of them.
type phone struct {
	user.Phone
	last  string // the last day of its password
	stamp string // of the password that was shown for the link: once another one opens the account, the link opens nothing
}

// phoneLife is how long a link is good.
const phoneLife = 10 * time.Minute

// begin waits for a device, and no longer for the one before.
func (p *phones) begin(account domains.Address, name, last, stamp string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = make(map[domains.Address]phone)
	}
	p.by[account] = phone{user.Phone{Name: name, Token: strings.ToLower(rand.Text()), Until: now.Add(phoneLife)}, last, stamp}
}

// of is what is waited for of a user; nil: nothing.
func (p *phones) of(account domains.Address, now time.Time) *user.Phone {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.by[account]
	if !ok || now.After(one.Until) {
		delete(p.by, account)
		return nil
	}
	return &one.Phone
}

// take ends the waiting for the device that has a token, and returns whose it is.
func (p *phones) take(token string, now time.Time) (account domains.Address, one phone, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, waits := range p.by {
		if now.After(waits.Until) {
			delete(p.by, a)
		} else if subtle.ConstantTimeCompare([]byte(waits.Token), []byte(token)) == 1 {
			account, one, ok = a, waits, true
		}
	}
	delete(p.by, account)
	return account, one, ok
}

// AskPhone implements user.Own.
func (o *Service) AskPhone(ctx context.Context, who string, from netip.Addr, password, name, last string) error {
	if _, _, err := o.mailSettings(); err != nil {
		return err
	}
	stamp := o.Now().Credentials.UserStamp(domains.Address(who)) // before it is proved: one that is changed meanwhile is not that one
	if err := o.proves(ctx, who, from, password); err != nil {
		return err
	}
	if box, err := o.MailKeys.Of(who); err != nil || box != nil {
		return &user.Refused{Field: "name", Why: "this mailbox is sealed: a password that a telephone makes for itself would not open its mail; make one here, which opens it, and type it there"}
	}
	// Whether there can be such a password is seen now, and not by whoever holds the device.
	p, err := o.Preferences.Of(domains.Address(who))
	if err != nil {
		return err
	}
	var trial preferences.Preferences
	if p != nil {
		trial.Apps = slices.Clone(p.Apps)
	}
	if _, _, err := trial.NewApp(preferences.Device{Name: name, Until: last}, time.Now()); err != nil {
		return refusedAs("name", err)
	}
	o.phones.begin(domains.Address(who), name, last, stamp, time.Now())
	return nil
}

// Phone implements user.Own.
func (o *Service) Phone(who string) *user.Phone {
	return o.phones.of(domains.Address(who), time.Now())
}

// SetUp implements user.Own.
func (o *Service) SetUp(ctx context.Context, from netip.Addr, token string) (file user.Profile, err error) {
	account, one, ok := o.phones.take(token, time.Now())
	// A password that was changed ends what was begun with the one before, by whoever knew it; one that is blocked or gone has none.
	if stamp := o.Now().Credentials.UserStamp(account); !ok || stamp == "" || stamp != one.stamp {
		return file, user.ErrGone
	}
	who := account.String()
	host, mail, err := o.mailSettings()
	if err != nil {
		return file, err
	}
	var password string
	err = o.change(ctx, who, "name", func(p *preferences.Preferences) (err error) {
		password, err = o.Now().Credentials.AddApp(account, p, preferences.Device{Name: one.Name, Until: one.last})
		return err
	})
	if err != nil {
		return file, err
	}
	o.Log.Info("a device was set up", "user", who, "app", one.Name, "remote", from.String())
	o.tell(who, "A device was set up", fmt.Sprintf("%q was set up from %s, with a password that fetches and sends mail of %s.", one.Name, from, who))
	_, domain := account.Cut()
	return user.Profile{Name: domain.String() + ".mobileconfig", Type: web.ProfileType, Text: o.signed(host, web.Profile(host, mail, domain, who, password))}, nil
}

// signed is a profile signed with the key of the certificate that the device sees anyway, so that it need not warn of it; as it is where there is none that
// anybody believes. What needs no login is not signed: strangers could have signatures made without end.
func (o *Service) signed(host, profile string) string {
	cert, err := o.Certificate(&tls.ClientHelloInfo{ServerName: host, SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256, tls.ECDSAWithP256AndSHA256}})
	if err == nil && cert != nil {
		var is []byte
		if is, err = web.Signed([]byte(profile), cert, time.Now()); err == nil {
			return string(is)
		}
	}
	if err != nil && !errors.Is(err, web.ErrCannotSign) {
		o.Log.Warn("a profile is not signed", "err", err)
	}
	return profile
}

// mailSettings are the host and the ports that mail programs are told.
func (o *Service) mailSettings() (string, *web.Mail, error) {
	st := o.Now()
	mail := published.MailSettings(st.Settings)
	if mail == nil {
		return "", nil, &user.Refused{Why: "this server takes mail programs from its own host alone"}
	}
	return domains.Canonical(st.Settings.ServerName).String(), mail, nil
}
