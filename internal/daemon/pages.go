package daemon

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/http"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/desk"
	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/selfservice"
	"github.com/postrider-mail/postrider/internal/web"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// adminPages are what is served below /admin/.
func (d *Daemon) adminPages() http.Handler {
	area := pages.New(pages.Config{
		Name: "admin", Title: "Postrider", Logins: adminLogins{d}, Codes: true, Nobody: d.noAdmin,
		Log: d.log.With("service", "web"),
	})
	d.desk = desk.New(desk.Needs{
		Now: func() desk.Moment {
			st := d.state()
			return desk.Moment{Settings: st.settings, Directory: st.dir, Credentials: st.credentials, Rules: st.rules, Names: st.names}
		},
		Files: &change.Server{Configuration: func() string { return d.Configuration }, Settings: func() *conf.Settings { return d.state().settings }, Probes: probes, ReadAgain: d.Reload},
		Store: d.store, Quota: d.quota, Preferences: d.preferences, MailKeys: d.mailKeys, Quarantine: d.quarantine, Post: d.post, Keys: d.keys, Recent: d.recent,
		Reports: d.reports.Store, TakesReports: func() bool { return len(d.reportMailboxes()) > 0 },
		Resolvers: published.Resolvers,
		Log:       d.log,
	})
	d.closers = append(d.closers, d.desk)
	all := d.desk.Pages()
	all.Overview, all.Flows, all.Devices = overview{d}, d.flows, userDevices{d}
	admin.Add(area, all)
	return area
}

// userDevices are those that users have made passwords for, as administrators see and end them.
type userDevices struct{ d *Daemon }

// Devices implements admin.Devices.
func (u userDevices) Devices(address string) (all []admin.Device, err error) {
	is, err := u.d.service.Decided(domains.CanonicalAddress(address).String())
	for _, a := range is.Apps {
		all = append(all, admin.Device{ID: a.ID, Name: a.Name, Only: a.Only, Until: a.Until, Over: a.Over, Made: a.Made, Used: a.Used, Service: a.Service, From: a.From})
	}
	return all, err
}

// EndDevice implements admin.Devices.
func (u userDevices) EndDevice(ctx context.Context, address, id string) (string, error) {
	return u.d.service.RevokeApp(ctx, domains.CanonicalAddress(address).String(), id)
}

// flows are the traffic of the last n spans of so many minutes each.
func (d *Daemon) flows(n, minutes int) []admin.Traffic {
	all := make([]admin.Traffic, n)
	for i, s := range d.history.Spans(n, minutes) {
		all[i] = admin.Traffic(s)
	}
	return all
}

// userPages are what is served below /account/.
func (d *Daemon) userPages() http.Handler {
	d.service = selfservice.New(selfservice.Needs{
		Now: func() selfservice.Moment {
			st := d.state()
			return selfservice.Moment{Settings: st.settings, Directory: st.dir, Credentials: st.credentials}
		},
		Preferences: d.preferences, MailKeys: d.mailKeys, Turns: &d.keyTurns, Post: d.post, Quarantine: d.quarantine, Log: d.log,
		Certificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := d.state().certificate(hello)
			if errors.Is(err, errNoCertificate) {
				return nil, nil
			}
			return cert, err
		},
	})
	area := pages.New(pages.Config{Name: "account", Title: "Your mail", Logins: userLogins{d}, Log: d.log.With("service", "web")})
	mail := &viewers{d: d}
	user.Add(area, user.Server{Ways: d.ways, Use: d.use, Own: d.service, Mail: mail.serve, MailShown: mail.shown})
	return area
}

// use is what the mailbox of an account holds.
func (d *Daemon) use(ctx context.Context, who string) (user.Use, error) {
	q := d.quota(who)
	use, err := d.store.Usage(ctx, who)
	if err != nil {
		return user.Use{}, err
	}
	u := user.Use{Messages: use.Messages, Octets: use.Octets, MostMessages: q.Messages, MostOctets: q.Octets}
	u.Full, _ = filled(q, use)
	return u, nil
}

// ways are how mail programs reach accounts, and whether they find that by themselves: users are told in either case.
func (d *Daemon) ways() ([]user.Way, bool) {
	st := d.state()
	host := canonical(st.settings.ServerName)
	if st.site != nil && st.site.Mail != nil {
		return waysOf(host, st.site.Mail), true
	}
	return waysOf(host, published.MailSettings(st.settings)), false
}

func waysOf(host string, mail *web.Mail) []user.Way {
	if mail == nil {
		return nil
	}
	way := func(protocol string, p web.Port) user.Way {
		w := user.Way{Protocol: protocol, Host: cmp.Or(p.Host, host), Port: p.Number, Security: "STARTTLS"}
		if p.Implicit {
			w.Security = "SSL/TLS"
		}
		return w
	}
	var all []user.Way
	for _, w := range []user.Way{way("IMAP", mail.IMAP), way("POP3", mail.POP3), way("SMTP", mail.SMTP)} {
		if w.Port > 0 {
			all = append(all, w)
		}
	}
	return all
}

// noAdmin says how to make the first administrator.
func (d *Daemon) noAdmin() string {
	if d.state().credentials.Admins() {
		return ""
	}
	return "There is no administrator yet. On this host, run: postrider admin add NAME"
}

// adminLogins are those of administrators.
type adminLogins struct{ d *Daemon }

// Login implements pages.Logins.
func (l adminLogins) Login(ctx context.Context, v pages.Visitor, name, password, code string) (string, error) {
	err := l.d.state().credentials.VerifyAdmin(ctx, v.Client, name, password, code)
	l.d.metrics.PageLogin(err)
	return name, selfservice.LoginError(err)
}

// Stamp implements pages.Logins.
func (l adminLogins) Stamp(who string) string { return l.d.state().credentials.AdminStamp(who) }

// userLogins are those of accounts for mail.
type userLogins struct{ d *Daemon }

// Login implements pages.Logins.
func (l userLogins) Login(ctx context.Context, v pages.Visitor, name, password, _ string) (string, error) {
	who, err := l.d.state().credentials.VerifyUser(ctx, v.Client, name, password)
	l.d.metrics.PageLogin(err)
	return who.String(), selfservice.LoginError(err)
}

// Stamp implements pages.Logins.
func (l userLogins) Stamp(who string) string {
	return l.d.state().credentials.UserStamp(domains.Address(who))
}
