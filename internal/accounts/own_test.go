package accounts

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/domains"
)

const alice = domains.Address("alice@mail.test")

// own are credentials of alice, whose password is "right", with a store of what users decide.
type own struct {
	*Credentials
	t    *testing.T
	s    *conf.Settings
	kept *preferences.Store
	dir  string
}

func newOwn(t *testing.T) *own {
	t.Helper()
	o := &own{t: t, s: settingsOf(t, "alice", "bob"), dir: t.TempDir()}
	disk, err := durable.Open(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	if o.kept, err = preferences.Open(t.Context(), preferences.Dir(o.dir), disk); err != nil {
		t.Fatal(err)
	}
	scram, err := sasl.MakeScram(sasl.ScramSHA256, []byte("right"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob"} {
		a := o.s.Accounts[name+"@mail.test"]
		a.ScramSHA256, a.CRAMMD5 = conf.Secret(sasl.FormatScram(sasl.ScramSHA256, scram)), conf.Secret(sasl.FormatCRAM(sasl.MakeCRAM([]byte("right"))))
	}
	o.reload()
	return o
}

func (o *own) reload() {
	o.t.Helper()
	var err error
	if o.Credentials, err = New(o.s, NewDirectory(o.s), o.kept, o.Credentials, slog.New(slog.DiscardHandler)); err != nil {
		o.t.Fatal(err)
	}
}

// by is the context of a client of a service.
func by(t *testing.T, service string) context.Context {
	return sasl.WithPeer(t.Context(), &sasl.Peer{Service: service, RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)}})
}

func (o *own) opens(service, password string, want bool) {
	o.t.Helper()
	switch who, err := o.Verify(by(o.t, service), "", "alice", []byte(password)); {
	case want && (err != nil || who != alice.String()), !want && !errors.Is(err, sasl.ErrDenied):
		o.t.Errorf("%s with %q: %q %v", service, password, who, err)
	}
}

// challenge logs in by a mechanism that keeps the password to itself.
func (o *own) challenge(mechanism, password string) error {
	o.t.Helper()
	all, err := sasl.Named(mechanism)
	if err != nil {
		o.t.Fatal(err)
	}
	client := sasl.CRAMMD5Client("alice", password)
	if mechanism != "CRAM-MD5" {
		if client, err = sasl.ScramClient(mechanism, "", "alice", password, nil); err != nil {
			o.t.Fatal(err)
		}
	}
	_, initial, err := client.Start(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	_, err = sasl.Exchange(by(o.t, "pop"), all[0].New(o.Credentials), initial, func(c []byte) ([]byte, error) { return client.Next(o.t.Context(), c) })
	return err
}

func (o *own) set(password string) {
	o.t.Helper()
	if err := o.kept.Change(o.t.Context(), alice, func(p *preferences.Preferences) error { return o.SetPassword(alice, p, []byte(password)) }); err != nil {
		o.t.Fatal(err)
	}
}

func (o *own) addApp(name string) (password string) {
	o.t.Helper()
	if err := o.kept.Change(o.t.Context(), alice, func(p *preferences.Preferences) (err error) {
		password, err = o.AddApp(alice, p, preferences.Device{Name: name})
		return err
	}); err != nil {
		o.t.Fatal(err)
	}
	return password
}

// TestOwnPassword: it opens in place of that of the settings, by every mechanism and at once, until an administrator sets another one.
func TestOwnPassword(t *testing.T) {
	o := newOwn(t)
	o.opens("pop", "right", true)
	before := o.UserStamp(alice)
	o.set("my own one")
	check := func(when string) {
		t.Helper()
		for _, service := range []string{"pop", "smtp", "web"} {
			o.opens(service, "right", false)
			o.opens(service, "my own one", true)
		}
		for _, mechanism := range []string{"SCRAM-SHA-256", "CRAM-MD5"} {
			if err := o.challenge(mechanism, "my own one"); err != nil {
				t.Errorf("%s: %s: %v", when, mechanism, err)
			}
			if err := o.challenge(mechanism, "right"); !errors.Is(err, sasl.ErrDenied) {
				t.Errorf("%s: %s with the old one: %v", when, mechanism, err)
			}
		}
		if o.UserStamp(alice) == before {
			t.Errorf("%s: sessions go on", when)
		}
	}
	check("at once")
	o.reload()
	check("after a reload")
	o.Credentials = nil
	o.reload()
	check("after a restart")
	hash, err := passwd.Hash([]byte("the administrator's"))
	if err != nil {
		t.Fatal(err)
	}
	*o.s.Accounts["alice@mail.test"] = conf.Account{Password: conf.Secret(hash)}
	o.reload()
	o.opens("pop", "the administrator's", true)
	o.opens("pop", "my own one", false)
	if err := o.kept.Change(t.Context(), alice, func(p *preferences.Preferences) error { return o.SetPassword(alice, p, []byte("short")) }); err == nil || !strings.Contains(err.Error(), "fewer than") {
		t.Error("a short one:", err)
	}
	if err := o.kept.Change(t.Context(), "nobody@mail.test", func(p *preferences.Preferences) error {
		return o.SetPassword("nobody@mail.test", p, []byte("long enough"))
	}); err == nil {
		t.Error("for nobody")
	}
}

// TestAppPasswords: each fetches and sends, by every mechanism, and opens no page; a password that is changed leaves them, a revoked one is
// none at once; when each was used last is known over a restart.
func TestAppPasswords(t *testing.T) {
	o := newOwn(t)
	phone, laptop := o.addApp("phone"), o.addApp("laptop")
	check := func(when string) {
		t.Helper()
		for _, password := range []string{phone, laptop} {
			o.opens("pop", password, true)
			o.opens("smtp", password, true)
			o.opens("web", password, false)
			for _, mechanism := range []string{"SCRAM-SHA-256", "CRAM-MD5"} {
				if err := o.challenge(mechanism, password); err != nil {
					t.Errorf("%s: %s: %v", when, mechanism, err)
				}
			}
		}
	}
	check("at once")
	o.opens("pop", "right", true)
	o.set("my own one")
	check("after another password")
	o.opens("pop", "my own one", true)
	if !o.Offers(sasl.ScramSHA256) || !o.Offers(sasl.CRAMMD5) {
		t.Error("they keep mechanisms from others")
	}
	if _, err := o.Verify(by(t, "pop"), "bob", "alice", []byte(phone)); !errors.Is(err, sasl.ErrDenied) {
		t.Error("as bob:", err)
	}
	if _, err := o.Verify(by(t, "pop"), "", "bob", []byte(phone)); !errors.Is(err, sasl.ErrDenied) {
		t.Error("into bob's:", err)
	}
	p, err := o.kept.Of(alice)
	if err != nil {
		t.Fatal(err)
	}
	memory, err := o.Memory()
	if err != nil {
		t.Fatal(err)
	}
	o.Credentials = nil
	o.reload()
	if err := o.Recall(memory); err != nil {
		t.Fatal(err)
	}
	for _, app := range p.Apps {
		if use := o.AppUse(alice, app.ID); use.At.IsZero() || use.Address != "192.0.2.7" || use.Service != "pop3" {
			t.Errorf("%s: %+v", app.Name, use)
		}
	}
	check("after a restart")

	o.s.Web.UserMay = []string{conf.MayPassword}
	o.reload()
	o.opens("pop", phone, false)
	if err := o.challenge("SCRAM-SHA-256", phone); !errors.Is(err, sasl.ErrDenied) {
		t.Error("SCRAM where they do not count:", err)
	}
	o.opens("pop", "my own one", true)
	o.s.Web.UserMay = conf.New().Web.UserMay
	o.reload()
	if err := o.kept.Change(t.Context(), alice, func(p *preferences.Preferences) error { p.Revoke(p.Apps[0].ID); return nil }); err != nil {
		t.Fatal(err)
	}
	o.opens("pop", laptop, true)
	o.opens("pop", phone, false)
	if err := o.challenge("SCRAM-SHA-256", phone); !errors.Is(err, sasl.ErrDenied) {
		t.Error("revoked:", err)
	}
	o.s.Accounts["alice@mail.test"].Disabled = true
	o.reload()
	o.opens("pop", laptop, false)
}

// TestAppsOfOldAccount: where the settings have no keys for SCRAM, the devices and the password have one salt all the same.
func TestAppsOfOldAccount(t *testing.T) {
	o := newOwn(t)
	o.s.Accounts["alice@mail.test"].ScramSHA256 = ""
	o.Credentials = nil
	o.reload()
	phone, laptop := o.addApp("phone"), o.addApp("laptop")
	o.opens("pop", "right", true) // makes keys
	for _, password := range []string{phone, laptop, "right"} {
		if err := o.challenge("SCRAM-SHA-256", password); err != nil {
			t.Errorf("%.5s: %v", password, err)
		}
	}
	o.set("my own one")
	for _, password := range []string{phone, laptop, "my own one"} {
		if err := o.challenge("SCRAM-SHA-256", password); err != nil {
			t.Errorf("%.5s: %v", password, err)
		}
	}
}

// TestForgottenPassword: what was learnt of a password of the user's own opens nothing once it is forgotten.
func TestForgottenPassword(t *testing.T) {
	o := newOwn(t)
	o.s.Accounts["alice@mail.test"].ScramSHA256 = ""
	o.Credentials = nil
	o.reload()
	o.set("my own one")
	o.opens("pop", "my own one", true)
	if err := o.kept.Remove(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	o.opens("pop", "my own one", false)
	if err := o.challenge("SCRAM-SHA-256", "my own one"); !errors.Is(err, sasl.ErrDenied) {
		t.Error(err)
	}
}

// TestGuessedApps: guesses at app passwords count as guesses at the password do, and who is locked out is so for the right one too.
func TestGuessedApps(t *testing.T) {
	o := newOwn(t)
	o.s.Auth.MaxFailuresPerAddress = 3
	o.Credentials = nil
	o.reload()
	phone := o.addApp("phone")
	for i := range 3 {
		if _, err := o.Verify(by(t, "pop"), "", "alice", []byte(strings.Repeat(string(rune('a'+i)), 26))); !errors.Is(err, sasl.ErrDenied) {
			t.Error(err)
		}
	}
	if _, err := o.Verify(by(t, "pop"), "", "alice", []byte(phone)); !errors.Is(err, sasl.ErrThrottled) {
		t.Error(err)
	}
}

// TestUnreadablePreferences: nobody gets in by the password of the settings that its user may have changed, and that is no wrong password.
func TestUnreadablePreferences(t *testing.T) {
	o := newOwn(t)
	o.set("my own one")
	files, err := os.ReadDir(preferences.Dir(o.dir))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(filepath.Join(preferences.Dir(o.dir), files[0].Name()), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"right", "my own one"} {
		if _, err := o.Verify(by(t, "pop"), "", "alice", []byte(password)); err == nil || errors.Is(err, sasl.ErrDenied) || errors.Is(err, sasl.ErrThrottled) {
			t.Errorf("%s: %v", password, err)
		}
	}
	if err := o.challenge("SCRAM-SHA-256", "right"); err == nil || errors.Is(err, sasl.ErrDenied) {
		t.Error(err)
	}
	if o.UserStamp(alice) != "" {
		t.Error("a session goes on")
	}
	o.reload()
	if _, err := o.Verify(by(t, "pop"), "", "bob", []byte("right")); err != nil {
		t.Error("others:", err)
	}
}

// TestOnlyApps: once the user says so, the password opens the pages and no mail, by whatever mechanism, while app passwords do; a program
// that goes on with the password keeps nobody out of the pages. Where app passwords do not count it does not either.
func TestOnlyApps(t *testing.T) {
	o := newOwn(t)
	app := o.addApp("phone")
	only := func(on bool) {
		if err := o.kept.Change(t.Context(), alice, func(p *preferences.Preferences) error { p.OnlyApps = on; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	only(true)
	for range 30 {
		o.opens("pop", "right", false)
	}
	o.opens("smtp", "right", false)
	o.opens("web", "right", true)
	o.opens("pop", app, true)
	o.opens("web", app, false)
	for _, mechanism := range []string{"SCRAM-SHA-256", "CRAM-MD5"} {
		if err := o.challenge(mechanism, "right"); !errors.Is(err, sasl.ErrDenied) {
			t.Errorf("%s: %v", mechanism, err)
		}
		if err := o.challenge(mechanism, app); err != nil {
			t.Errorf("%s with the one of the device: %v", mechanism, err)
		}
	}
	if o.Opens(alice, stamp(o.storedOf(alice, o.Credentials.dir.Account(alice)))) {
		t.Error("a session that the password has opened goes on")
	}
	o.apps = false
	o.opens("pop", "right", true)
	o.opens("pop", app, false)
	o.apps = true
	only(false)
	o.opens("pop", "right", true)
}

// TestLastDay: an app password opens nothing once its last day has passed, by whatever mechanism, and a session that it has opened ends.
func TestLastDay(t *testing.T) {
	o := newOwn(t)
	app := o.addApp("phone")
	end := func(day string) (id string) {
		if err := o.kept.Change(t.Context(), alice, func(p *preferences.Preferences) error { p.Apps[0].Until, id = day, p.Apps[0].ID; return nil }); err != nil {
			t.Fatal(err)
		}
		return id
	}
	now := time.Now()
	id := end(now.AddDate(0, 0, 1).Format(time.DateOnly))
	o.opens("pop", app, true)
	if !o.Opens(alice, "app:"+id) || o.Opens(alice, "app:x") {
		t.Error("before it")
	}
	end(now.AddDate(0, 0, -1).Format(time.DateOnly))
	o.opens("pop", app, false)
	for _, mechanism := range []string{"SCRAM-SHA-256", "CRAM-MD5"} {
		if err := o.challenge(mechanism, app); !errors.Is(err, sasl.ErrDenied) {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
	if o.Opens(alice, "app:"+id) {
		t.Error("a session that it has opened goes on")
	}
}

// TestChangedMeanwhile: what changes while a password is checked ends the session that it opens.
func TestChangedMeanwhile(t *testing.T) {
	o := newOwn(t)
	var told []string
	ended := 0
	sessions := o.Sessions()
	sessions.Opens = func(domains.Address, string) bool { return false }
	sessions.Ended = func(session string, account domains.Address) { told = append(told, session+" "+account.String()) }
	ctx := sasl.WithPeer(t.Context(), &sasl.Peer{Service: "pop", Session: "s1", RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)}})
	sessions.Begin("s1", func() error { ended++; return nil })
	sessions.Begin("s2", func() error { t.Error("nobody has logged in there"); return nil })
	if _, err := o.Verify(ctx, "", "alice", []byte("right")); err != nil {
		t.Fatal(err)
	}
	if ended != 1 || len(told) != 1 || told[0] != "s1 "+alice.String() {
		t.Error(ended, told)
	}
	if n := sessions.Sweep("bob@example.test"); n != 0 {
		t.Error("of another account:", n)
	}
	if n := sessions.Sweep(""); n != 0 || ended != 1 { // it may take a while to say why
		t.Error("it is ended twice:", n, ended)
	}
	sessions.Begin("s1", func() error { ended++; return nil })
	sessions.note(ctx, alice, "x")
	sessions.Done("s1")
	if n := sessions.Sweep(""); n != 0 || ended != 2 {
		t.Error("after its end:", n, ended)
	}
}

// TestDeviceForOne: a device that fetches or sends alone does that by every mechanism, and nothing else; its session goes on.
func TestDeviceForOne(t *testing.T) {
	o := newOwn(t)
	add := func(only string) (password string) {
		t.Helper()
		if err := o.kept.Change(t.Context(), alice, func(p *preferences.Preferences) (err error) {
			password, err = o.AddApp(alice, p, preferences.Device{Name: "for " + only, Only: only})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return password
	}
	fetches, sends := add(preferences.OnlyFetch), add(preferences.OnlySend)
	o.opens("pop", fetches, true)
	o.opens("smtp", fetches, false)
	o.opens("smtp", sends, true)
	o.opens("pop", sends, false)
	o.opens("web", sends, false)
	for _, mechanism := range []string{"CRAM-MD5", "SCRAM-SHA-256"} { // of POP3
		if err := o.challenge(mechanism, fetches); err != nil {
			t.Error(mechanism, err)
		}
		if err := o.challenge(mechanism, sends); !errors.Is(err, sasl.ErrDenied) {
			t.Error(mechanism, "by what sends:", err)
		}
	}
	err := o.kept.Change(t.Context(), alice, func(p *preferences.Preferences) error {
		_, err := o.AddApp(alice, p, preferences.Device{Name: "x", Only: "read"})
		return err
	})
	if wrong := (*preferences.Invalid)(nil); !errors.As(err, &wrong) || wrong.What != "only" {
		t.Error(err)
	}
}

// TestScramBesideOthers: SCRAM is offered beside accounts that others keep only where the settings say so; CRAM-MD5 never.
func TestScramBesideOthers(t *testing.T) {
	o := newOwn(t)
	if !o.Offers(sasl.ScramSHA256) || !o.Offers(sasl.CRAMMD5) {
		t.Fatal("it is not offered at all")
	}
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("bob:{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.s.Elsewhere.PasswdFiles = []conf.PasswdFile{{File: users, Domains: []string{"example.com"}}}
	for _, anyway := range []bool{false, true} {
		o.s.Elsewhere.Scram = anyway
		e, err := OpenElsewhere(o.s, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(o.s, NewDirectory(o.s).Beside(e), o.kept, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if c.Offers(sasl.ScramSHA256) != anyway || c.Offers(sasl.CRAMMD5) || !c.Offers(sasl.Password) {
			t.Error(anyway, c.Offers(sasl.ScramSHA256), c.Offers(sasl.CRAMMD5))
		}
		if _, who, err := c.Secret(by(t, "pop"), sasl.ScramSHA256, "bob@example.com"); err != nil || who != "bob@example.com" {
			t.Errorf("one without keys is told apart: %q, %v", who, err)
		}
	}
}

// TestStampOfBlockedDomain: the pages of an account that others keep end when its domain is blocked, also while who keeps it is away.
func TestStampOfBlockedDomain(t *testing.T) {
	o := newOwn(t)
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("bob:{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.s.Elsewhere.PasswdFiles = []conf.PasswdFile{{File: users, Domains: []string{"example.org"}}}
	e, err := OpenElsewhere(o.s, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stamp := func(blocked bool) string {
		t.Helper()
		o.s.Domains = map[string]*conf.Domain{"example.org": {Disabled: blocked}}
		c, err := New(o.s, NewDirectory(o.s).Beside(e), o.kept, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return c.UserStamp("bob@example.org")
	}
	there := stamp(false)
	if there == "" || stamp(true) != "" {
		t.Fatal("while it is there")
	}
	if err := os.Remove(users); err != nil {
		t.Fatal(err)
	}
	if stamp(false) != there || stamp(true) != "" {
		t.Errorf("while it is away: %q, blocked %q", stamp(false), stamp(true))
	}
}

// decidedElsewhere is what users decide on several servers: whenever it is asked anew something was changed a moment ago, which somebody else has heard of first.
type decidedElsewhere struct {
	*preferences.Store
	changes func()
}

func (d *decidedElsewhere) Anew(context.Context, domains.Address) bool {
	if d.changes != nil {
		d.changes()
	}
	return false
}

// TestChangedElsewhere: a password that was changed at another server while it was checked here opens; one that is wrong is refused all the same.
func TestChangedElsewhere(t *testing.T) {
	t.Parallel()
	o := newOwn(t)
	d := &decidedElsewhere{Store: o.kept}
	var err error
	if o.Credentials, err = New(o.s, NewDirectory(o.s), d, nil, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	d.changes = func() {
		d.changes = nil
		if err := o.kept.Change(t.Context(), alice, func(p *preferences.Preferences) error {
			return o.SetPassword(alice, p, []byte("three horses"))
		}); err != nil {
			t.Error(err)
		}
	}
	o.opens("pop3", "three horses", true)
	o.opens("pop3", "right", false)
	o.opens("pop3", "wrong", false)
}
