package selfservice

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/quarantine"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Moment is what follows from the settings in force.
type Moment struct {
	Settings    *conf.Settings
	Directory   *accounts.Directory
	Credentials *accounts.Credentials
}

// Needs are what a Service asks of others. All are needed.
type Needs struct {
	Now         func() Moment // it is asked very often
	Preferences *preferences.Store
	MailKeys    *mailkeys.Store
	Turns       *mailkeys.Turns
	Post        *post.Post
	Quarantine  func() *quarantine.Places
	// Certificate is what a client is shown; nil without an error: nothing that anybody believes.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Log         *slog.Logger
}

// Service is what users decide at their pages, and administrators by command for their devices. It implements user.Own. What opens an
// account or leads its mail elsewhere is told by a mail to it, so that whoever did not do it learns of it. Its methods may be called
// concurrently.
type Service struct {
	Needs
	phones phones
}

// New makes a Service.
func New(needs Needs) *Service { return &Service{Needs: needs} }

var _ user.Own = (*Service)(nil)

// endSessions ends the sessions of an account that what has opened them opens no more.
func (o *Service) endSessions(account domains.Address) { o.Now().Credentials.Sessions().Sweep(account) }

// May implements user.Own.
func (o *Service) May(what string) bool { return o.Now().Settings.Web.May(what) }

// Decided implements user.Own.
func (o *Service) Decided(who string) (d user.Decided, err error) {
	account := domains.Address(who)
	d.PasswordPage, d.Elsewhere = o.elsewhere(account)
	p, err := o.Preferences.Of(account)
	if err != nil || p == nil {
		return d, err
	}
	credentials, now := o.Now().Credentials, time.Now()
	if credentials.OwnPassword(account, p) {
		d.Changed = p.Password.Changed
	}
	for _, a := range p.Apps {
		use := credentials.AppUse(account, a.ID)
		d.Apps = append(d.Apps, user.App{ID: a.ID, Device: user.Device(a.Device), Made: a.Made, Used: use.At, Service: use.Service, From: use.Address, Over: a.Over(now)})
	}
	d.OnlyApps = p.OnlyApps
	if f := p.Forward; f != nil {
		d.Forward = &user.Forward{To: f.To, Keep: f.Keep, When: f.Set}
	}
	if f := p.Pending; f != nil && now.Before(f.Until) {
		d.Pending = &user.Forward{To: f.To, Keep: f.Keep, When: f.Until}
	}
	if a := p.Absence; a != nil {
		d.Absence = &user.Absence{Subject: a.Subject, Text: a.Text, From: a.From, Until: a.Until, Active: a.Active(now), Over: a.Over(now)}
	}
	return d, nil
}

// elsewhere reports whether others keep the password of an account, and where its user changes it.
func (o *Service) elsewhere(account domains.Address) (page string, is bool) {
	st := o.Now()
	if st.Directory.Account(account) != nil {
		return "", false
	}
	return st.Directory.Elsewhere().PasswordOf(account)
}

// proves checks that it is the user who asks, by his password. A wrong one counts as a failed login.
func (o *Service) proves(ctx context.Context, who string, from netip.Addr, password string) error {
	name, err := o.Now().Credentials.VerifyUser(ctx, from, who, password)
	if err == nil && name.String() != who {
		err = pages.ErrDenied
	}
	return LoginError(err)
}

// change changes what a user has decided; whatever is wrong with that is his to read.
func (o *Service) change(ctx context.Context, who, field string, change func(p *preferences.Preferences) error) error {
	var wrong error
	err := o.Preferences.Change(ctx, domains.Address(who), func(p *preferences.Preferences) error {
		p.KnownAs = o.Now().Credentials.KnownAs(p.Account)
		wrong = change(p)
		return wrong
	})
	if about := (*preferences.Invalid)(nil); wrong != nil || errors.As(err, &about) {
		return refusedAs(field, err)
	}
	err = notNow(err)
	o.endSessions(domains.Address(who))
	return err
}

// notNow is what keeps a decision from being made now, for its user to read.
func notNow(err error) error {
	for _, why := range []error{preferences.ErrAway, preferences.ErrElsewhere} {
		if errors.Is(err, why) {
			return &user.Refused{Why: why.Error()}
		}
	}
	return err
}

// refusedAs is what is wrong with a decision, for its user to read, about a field unless it says which itself.
func refusedAs(field string, err error) error {
	if about := (*preferences.Invalid)(nil); errors.As(err, &about) {
		field = about.What
	}
	return &user.Refused{Field: field, Why: err.Error()}
}

// SetPassword implements user.Own.
func (o *Service) SetPassword(ctx context.Context, who string, from netip.Addr, old, new string, revoke bool) error {
	if _, is := o.elsewhere(domains.Address(who)); is {
		return &user.Refused{Why: "the password of this account is kept elsewhere, and is changed there"}
	}
	if err := o.proves(ctx, who, from, old); err != nil {
		return err
	}
	settle, err := o.rewrap(ctx, who, old, new)
	if err != nil {
		return err
	}
	err = o.change(ctx, who, "new", func(p *preferences.Preferences) error {
		if revoke {
			p.Apps = nil
		}
		return o.Now().Credentials.SetPassword(domains.Address(who), p, []byte(new))
	})
	if err != nil {
		return err
	}
	if err := settle(context.WithoutCancel(ctx)); err != nil { // it opens, and so does the old one
		o.Log.Error("the password before still opens the keys of a sealed mailbox", "user", who, "err", err)
	}
	o.tell(who, "The password was changed", fmt.Sprintf("The password of %s was changed from %s.", who, from))
	return nil
}

// AddApp implements user.Own.
func (o *Service) AddApp(ctx context.Context, who string, from netip.Addr, password string, device user.Device) (app string, err error) {
	if err := o.proves(ctx, who, from, password); err != nil {
		return "", err
	}
	err = o.change(ctx, who, "name", func(p *preferences.Preferences) (err error) {
		if app, err = o.Now().Credentials.AddApp(domains.Address(who), p, preferences.Device(device)); err == nil && device.Only != preferences.OnlySend { // who does not fetch needs no keys of a sealed mailbox
			err = o.wrapApp(ctx, who, password, p.Apps[len(p.Apps)-1].ID, app)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	o.tell(who, "A password for a device was made", fmt.Sprintf("A password for %q was made from %s, which %s mail of %s.", device.Name, from, does(device.Only), who))
	return app, nil
}

// does is what a device does with mail.
func does(only string) string {
	switch only {
	case preferences.OnlyFetch:
		return "fetches"
	case preferences.OnlySend:
		return "sends"
	}
	return "fetches and sends"
}

// SetOnlyApps implements user.Own.
func (o *Service) SetOnlyApps(ctx context.Context, who string, from netip.Addr, password string, only, sure bool) error {
	if err := o.proves(ctx, who, from, password); err != nil {
		return err
	}
	err := o.change(ctx, who, "", func(p *preferences.Preferences) error {
		p.OnlyApps = only
		if only {
			return leftByApps(p, time.Now(), sure)
		}
		return nil
	})
	if err != nil {
		return err
	}
	what := "alone"
	if !only {
		what = "or by the password of the account"
	}
	o.tell(who, "How mail programs log in was changed", fmt.Sprintf("Programs fetch and send mail of %s by passwords for devices %s, as was asked for from %s.", who, what, from))
	return nil
}

// leftByApps says what no program could do any more if the devices' passwords were all that opens an account: a printer that sends is no
// way to mail that has come. Who is sure has devices for one of both alone.
func leftByApps(p *preferences.Preferences, now time.Time, sure bool) error {
	fetches, sends := p.Does(preferences.OnlyFetch, now), p.Does(preferences.OnlySend, now)
	switch {
	case !fetches && !sends:
		return errors.New("make a password for a device first: no program could fetch or send any more")
	case !fetches && !sure:
		return &preferences.Invalid{What: "sure", Why: "The devices that there are only send: no program could fetch mail any more."}
	case !sends && !sure:
		return &preferences.Invalid{What: "sure", Why: "The devices that there are only fetch: no program could send mail any more."}
	}
	return nil
}

// RevokeApp implements user.Own.
func (o *Service) RevokeApp(ctx context.Context, who, id string) (name string, err error) {
	err = o.Preferences.Change(ctx, domains.Address(who), func(p *preferences.Preferences) error {
		if name = p.Revoke(id); name == "" {
			return pages.ErrNotFound
		}
		return nil
	})
	if err == nil {
		o.dropApps(ctx, who)
	}
	o.endSessions(domains.Address(who))
	return name, notNow(err)
}

// AskForward implements user.Own.
func (o *Service) AskForward(ctx context.Context, who string, from netip.Addr, password, to string, keep bool) error {
	path, err := smtp.ParseMailbox(to, smtp.PathUTF8)
	switch {
	case err != nil || path.Domain == "":
		return &user.Refused{Field: "to", Why: "that is no whole address"}
	case o.Now().Directory.IsLocal(path):
		return &user.Refused{Field: "to", Why: "that address is of this server; the administrator can have mail go there"}
	case o.Post.Outbound == nil:
		return &user.Refused{Why: "no mail leaves this server"}
	}
	if err := o.proves(ctx, who, from, password); err != nil {
		return err
	}
	var code string
	if err := o.change(ctx, who, "to", func(p *preferences.Preferences) error {
		code = p.Ask(to, keep, time.Now())
		return nil
	}); err != nil {
		return err
	}
	message, err := o.Message(who, to, "Forwarding to you", fmt.Sprintf(
		"%s wants mail to go on to this address.\n\nIf you agree, the code is %s, to be written at the pages where that was asked for.\nIf you know nothing of it, nothing happens.", who, code))
	if err == nil {
		err = o.Post.TellElsewhere(ctx, path, message)
	}
	if err != nil {
		o.Preferences.Change(ctx, domains.Address(who), func(p *preferences.Preferences) error { p.Pending = nil; return nil })
		return &user.Refused{Field: "to", Why: "no code can be sent there now: " + err.Error()}
	}
	return nil
}

// ConfirmForward implements user.Own.
func (o *Service) ConfirmForward(ctx context.Context, who string, from netip.Addr, code string) (to string, err error) {
	var wrong error
	err = o.Preferences.Change(ctx, domains.Address(who), func(p *preferences.Preferences) error {
		if wrong = p.Confirm(code, time.Now()); wrong == nil {
			to = p.Forward.To
		}
		return nil // a wrong code is counted
	})
	if err == nil && wrong != nil {
		err = &user.Refused{Field: "code", Why: wrong.Error()}
	}
	if err != nil {
		return "", notNow(err)
	}
	o.tell(who, "Mail is forwarded", fmt.Sprintf("Mail for %s goes on to %s, as was asked for from %s.", who, to, from))
	return to, nil
}

// EndForward implements user.Own.
func (o *Service) EndForward(ctx context.Context, who string, from netip.Addr) error {
	was := false
	if err := o.Preferences.Change(ctx, domains.Address(who), func(p *preferences.Preferences) error {
		was = p.Forward != nil
		p.Forward, p.Pending = nil, nil
		return nil
	}); err != nil {
		return notNow(err)
	}
	if was {
		o.tell(who, "Mail is not forwarded any more", fmt.Sprintf("Mail for %s stays here, as was asked for from %s.", who, from))
	}
	return nil
}

// SetAbsence implements user.Own.
func (o *Service) SetAbsence(ctx context.Context, who string, a *user.Absence) error {
	account := domains.Address(who)
	if err := o.change(ctx, who, "text", func(p *preferences.Preferences) error {
		p.Absence = nil
		if a != nil {
			p.Absence = &preferences.Absence{Subject: a.Subject, Text: a.Text, From: a.From, Until: a.Until, Set: time.Now().UTC().Truncate(time.Second)}
		}
		return nil
	}); err != nil {
		return err
	}
	return o.Preferences.Forget(ctx, account)
}

// tell puts a mail about an account into its mailbox. What has been done is done, whether it can be told or not.
func (o *Service) tell(who, subject, text string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	message, err := o.Message(who, who, subject, text+"\n\nIf that was not you, change the password, and tell the administrator of this server.")
	if err == nil {
		err = o.Post.Tell(ctx, domains.Address(who), message)
	}
	if err != nil {
		o.Log.Warn("a user is not told of a change", "user", who, "subject", subject, "err", err)
	}
}

// Message writes a mail of the server's own.
func (o *Service) Message(who, to, subject, text string) ([]byte, error) {
	address := func(a string) rfc2822.Address {
		i := strings.LastIndexByte(a, '@')
		return rfc2822.Address{Local: a[:i], Domain: a[i+1:]}
	}
	_, domain := domains.Address(who).Cut()
	d := rfc2822.Draft{
		From: []rfc2822.Address{{Name: "Postrider", Local: "postmaster", Domain: domain.String()}}, To: []rfc2822.Address{address(to)},
		Subject: subject, Text: text + "\n",
	}
	field, err := rfc2822.NewField("Auto-Submitted", "auto-generated")
	if err != nil {
		return nil, err
	}
	d.Fields = append(d.Fields, field)
	var b bytes.Buffer
	_, err = d.WriteTo(&b)
	return b.Bytes(), err
}

// LoginError is an error of a login in the words of the pages.
func LoginError(err error) error {
	var clock *accounts.ClockError
	switch {
	case errors.As(err, &clock):
		return &pages.ClockError{Off: clock.Off}
	case errors.Is(err, sasl.ErrDenied):
		return pages.ErrDenied
	case errors.Is(err, sasl.ErrThrottled):
		return pages.ErrThrottled
	}
	return err
}
