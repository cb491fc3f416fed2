package selfservice

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/quarantine"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"golang.org/x/crypto/bcrypt"
)

const (
	alice = "alice@mail.test"
	right = "correct horse battery staple"
	other = "quite another long secret"
)

var here = netip.MustParseAddr("192.0.2.7")

// house is a Service with what it needs of a server that does not run.
type house struct {
	*Service
	store *maildir.Store
	logs  bytes.Buffer
}

func newHouse(t *testing.T, more string) *house {
	t.Helper()
	dir := t.TempDir()
	quick, err := bcrypt.GenerateFromPassword([]byte(right), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]any{"password": string(quick)})
	if err != nil {
		t.Fatal(err)
	}
	text := `{"server_name": "mail.test", "data_dir": "data", ` + more + `
		"Accounts": {"` + alice + `": ` + string(account) + `, "bob@mail.test": {}}}`
	name := filepath.Join(dir, "mail.conf")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := conf.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	disk, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	kept, err := preferences.Open(t.Context(), filepath.Join(dir, "preferences"), disk)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{}
	if h.store, err = maildir.Open(filepath.Join(dir, "mail"), maildir.WithReserve(0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() })
	log := slog.New(slog.NewTextHandler(&h.logs, nil))
	directory := accounts.NewDirectory(s)
	credentials, err := accounts.New(s, directory, kept, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	turns := mailkeys.NewTurns(2)
	rules := &post.Rules{ServerName: s.ServerName, Directory: directory}
	h.Service = New(Needs{
		Now:         func() Moment { return Moment{Settings: s, Directory: directory, Credentials: credentials} },
		Preferences: kept, MailKeys: mailkeys.New(h.store), Turns: &turns, Log: log,
		Post:        &post.Post{Rules: func() *post.Rules { return rules }, Mailboxes: h.store, Log: log},
		Quarantine:  func() *quarantine.Places { return &quarantine.Places{} },
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
	})
	return h
}

// mail is what alice has.
func (h *house) mail(t *testing.T) []string {
	t.Helper()
	m, err := h.store.Open(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	return mailtest.Texts(t, m)
}

// told fails unless the newest mail of alice has a subject and says all of something.
func (h *house) told(t *testing.T, n int, subject string, says ...string) {
	t.Helper()
	all := h.mail(t)
	if len(all) != n {
		t.Fatalf("%d mails, want %d", len(all), n)
	}
	for _, want := range append(says, "Subject: "+subject+"\r\n", "Auto-Submitted: auto-generated", "From: Postrider <postmaster@mail.test>", "If that was not you") {
		found := false
		for _, text := range all {
			found = found || strings.Contains(text, "Subject: "+subject+"\r\n") && strings.Contains(strings.ReplaceAll(text, "\r\n", " "), strings.ReplaceAll(want, "\r\n", " "))
		}
		if !found {
			t.Errorf("no mail says %q", want)
		}
	}
}

// refused fails unless an error is about a field, for the user to read.
func refused(t *testing.T, err error, field, want string) {
	t.Helper()
	is := (*user.Refused)(nil)
	if !errors.As(err, &is) || is.Field != field || !strings.Contains(is.Why, want) {
		t.Errorf("%#v, want %q of field %s", err, want, field)
	}
}

// TestOwnPassword: who knows the one before sets another, by which he is known from then on, and is told of it.
func TestOwnPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	if err := h.SetPassword(t.Context(), alice, here, "wrong", other, false); !errors.Is(err, pages.ErrDenied) {
		t.Error(err)
	}
	refused(t, h.SetPassword(t.Context(), alice, here, right, "short", false), "new", "")
	if d, err := h.Decided(alice); err != nil || !d.Changed.IsZero() || len(h.mail(t)) != 0 {
		t.Error(d, err)
	}
	if _, err := h.AddApp(t.Context(), alice, here, right, user.Device{Name: "phone"}); err != nil {
		t.Fatal(err)
	}
	if err := h.SetPassword(t.Context(), alice, here, right, other, false); err != nil {
		t.Fatal(err)
	}
	h.told(t, 2, "The password was changed", "The password of alice@mail.test was changed from 192.0.2.7.")
	if d, err := h.Decided(alice); err != nil || d.Changed.IsZero() || len(d.Apps) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if err := h.SetPassword(t.Context(), alice, here, right, "yet another long secret", false); !errors.Is(err, pages.ErrDenied) {
		t.Error("the one before is good:", err)
	}
	if err := h.SetPassword(t.Context(), alice, here, other, right, true); err != nil {
		t.Fatal(err)
	}
	if d, err := h.Decided(alice); err != nil || len(d.Apps) != 0 {
		t.Errorf("devices have theirs still: %+v, %v", d, err)
	}
}

// TestDevices: a password for a device is made by who proves himself, named when it is used, and ends alone.
func TestDevices(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	if _, err := h.AddApp(t.Context(), alice, here, "wrong", user.Device{Name: "phone"}); !errors.Is(err, pages.ErrDenied) {
		t.Error(err)
	}
	_, err := h.AddApp(t.Context(), alice, here, right, user.Device{})
	refused(t, err, "name", "")
	if err := h.SetOnlyApps(t.Context(), alice, here, right, true); err == nil {
		t.Error("no program could log in any more")
	}
	for i, c := range []struct{ only, does string }{{"", "fetches and sends mail"}, {preferences.OnlyFetch, "fetches mail"}, {preferences.OnlySend, "sends mail"}} {
		name := "device " + string(rune('A'+i))
		app, err := h.AddApp(t.Context(), alice, here, right, user.Device{Name: name, Only: c.only})
		if err != nil || len(app) < 26 {
			t.Fatal(app, err)
		}
		h.told(t, i+1, "A password for a device was made", `"`+name+`" was made from 192.0.2.7, which `+c.does+" of alice@mail.test.")
	}
	d, err := h.Decided(alice)
	if err != nil || len(d.Apps) != 3 || d.Apps[1].Name != "device B" || d.Apps[1].Only != preferences.OnlyFetch || d.Apps[1].Over || d.OnlyApps {
		t.Fatalf("%+v, %v", d, err)
	}
	if name, err := h.RevokeApp(t.Context(), alice, d.Apps[1].ID); err != nil || name != "device B" {
		t.Error(name, err)
	}
	if _, err := h.RevokeApp(t.Context(), alice, d.Apps[1].ID); !errors.Is(err, pages.ErrNotFound) {
		t.Error("twice:", err)
	}
	if err := h.SetOnlyApps(t.Context(), alice, here, "wrong", true); !errors.Is(err, pages.ErrDenied) {
		t.Error(err)
	}
	for i, c := range []struct {
		only bool
		says string
	}{{true, "by passwords for devices alone, as was asked for from 192.0.2.7"}, {false, "or by the password of the account"}} {
		if err := h.SetOnlyApps(t.Context(), alice, here, right, c.only); err != nil {
			t.Fatal(err)
		}
		if d, err := h.Decided(alice); err != nil || d.OnlyApps != c.only {
			t.Error(d.OnlyApps, err)
		}
		h.told(t, 4+i, "How mail programs log in was changed", c.says)
	}
}

// TestForwarding: addresses that cannot be, or that nobody may have mail sent to, are refused before anything is sent.
func TestForwarding(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	for _, c := range []struct{ to, field, want string }{
		{"nobody", "to", "no whole address"}, {"", "to", "no whole address"}, {"a b@far.test", "to", "no whole address"},
		{"bob@mail.test", "to", "is of this server"}, {"friend@far.test", "", "no mail leaves this server"},
	} {
		refused(t, h.AskForward(t.Context(), alice, here, right, c.to, true), c.field, c.want)
	}
	_, err := h.ConfirmForward(t.Context(), alice, here, "123456")
	refused(t, err, "code", "")
	if err := h.EndForward(t.Context(), alice, here); err != nil || len(h.mail(t)) != 0 {
		t.Error("nothing was to be told:", err)
	}
	var code string
	ask := func() {
		if err := h.Preferences.Change(t.Context(), alice, func(p *preferences.Preferences) error {
			code = p.Ask("friend@far.test", true, time.Now())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	d, err := h.Decided(alice)
	if err != nil || d.Forward != nil || d.Pending == nil || d.Pending.To != "friend@far.test" || !d.Pending.Keep || !d.Pending.When.After(time.Now()) {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = h.ConfirmForward(t.Context(), alice, here, code+"0")
	refused(t, err, "code", "")
	if to, err := h.ConfirmForward(t.Context(), alice, here, code); err != nil || to != "friend@far.test" {
		t.Fatal(to, err)
	}
	h.told(t, 1, "Mail is forwarded", "Mail for alice@mail.test goes on to friend@far.test, as was asked for from 192.0.2.7.")
	if d, err := h.Decided(alice); err != nil || d.Pending != nil || d.Forward == nil || d.Forward.To != "friend@far.test" || !d.Forward.Keep {
		t.Errorf("%+v, %v", d, err)
	}
	ask() // another one, which never comes
	if err := h.EndForward(t.Context(), alice, here); err != nil {
		t.Error(err)
	}
	h.told(t, 2, "Mail is not forwarded any more", "Mail for alice@mail.test stays here")
	if d, err := h.Decided(alice); err != nil || d.Forward != nil || d.Pending != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestAbsence: it is kept as it is written, and shown as being over when it is.
func TestAbsence(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	refused(t, h.SetAbsence(t.Context(), alice, &user.Absence{}), "text", "")
	today := time.Now().Format(time.DateOnly)
	a := &user.Absence{Subject: "away", Text: "Back soon.", From: today, Until: time.Now().AddDate(0, 0, 3).Format(time.DateOnly)}
	if err := h.SetAbsence(t.Context(), alice, a); err != nil {
		t.Fatal(err)
	}
	d, err := h.Decided(alice)
	if err != nil || d.Absence == nil || d.Absence.Text != a.Text || d.Absence.Subject != a.Subject || d.Absence.From != a.From || d.Absence.Until != a.Until || !d.Absence.Active || d.Absence.Over {
		t.Errorf("%+v, %v", d.Absence, err)
	}
	if err := h.Preferences.Change(t.Context(), alice, func(p *preferences.Preferences) error { p.Absence.From, p.Absence.Until = "", "2020-01-02"; return nil }); err != nil {
		t.Fatal(err)
	}
	if d, err := h.Decided(alice); err != nil || d.Absence.Active || !d.Absence.Over {
		t.Errorf("%+v, %v", d.Absence, err)
	}
	if err := h.SetAbsence(t.Context(), alice, nil); err != nil {
		t.Error(err)
	}
	if d, err := h.Decided(alice); err != nil || d.Absence != nil {
		t.Errorf("%+v, %v", d.Absence, err)
	}
}

// TestSealedMailbox: passwords open the keys of a sealed mailbox as soon as they open the account, and no longer.
func TestSealedMailbox(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	if err := h.MailKeys.Change(t.Context(), alice, func(b *mailkeys.Box) (err error) {
		b.Keyring, _, err = mailkeys.NewKeyring([]byte(right))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	opens := func(password string) bool {
		box, err := h.MailKeys.Of(alice)
		if err != nil || box == nil {
			t.Fatal(box, err)
		}
		p, err := h.Preferences.Of(alice)
		if err != nil {
			t.Fatal(err)
		}
		if p != nil {
			for _, a := range p.Apps {
				ids = append(ids, a.ID) // also those that are revoked later
			}
		}
		keys, err := mailkeys.Unlock(box.Keyring, []byte(password))
		for _, id := range ids {
			if err != nil {
				keys, err = box.Keyring.UnlockApp(id, []byte(password))
			}
		}
		if err == nil {
			keys.Forget()
		}
		return err == nil
	}
	app, err := h.AddApp(t.Context(), alice, here, right, user.Device{Name: "phone"})
	if err != nil || !opens(app) {
		t.Fatal("a device does not open its mail:", err)
	}
	sends, err := h.AddApp(t.Context(), alice, here, right, user.Device{Name: "printer", Only: preferences.OnlySend})
	if err != nil || opens(sends) {
		t.Error("what only sends opens the mail:", err)
	}
	refused(t, h.SetPassword(t.Context(), alice, here, right, "short", false), "new", "")
	if opens("short") || !opens(right) {
		t.Error("a password that was refused opens the mail")
	}
	if err := h.SetPassword(t.Context(), alice, here, right, other, false); err != nil {
		t.Fatal(err)
	}
	if opens(right) || !opens(other) || !opens(app) {
		t.Error("what opens the mail after a change:", opens(right), opens(other), opens(app))
	}
	d, err := h.Decided(alice)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.RevokeApp(t.Context(), alice, d.Apps[0].ID); err != nil || opens(app) {
		t.Error("a device that was ended opens the mail:", err)
	}
	// The keys are others' than the password's: nothing is changed.
	if err := h.MailKeys.Change(t.Context(), alice, func(b *mailkeys.Box) (err error) {
		b.Keyring, _, err = mailkeys.NewKeyring([]byte("of a restored mailbox"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	refused(t, h.SetPassword(t.Context(), alice, here, other, right, false), "", "was not sealed with it")
	if err := h.SetPassword(t.Context(), alice, here, right, other, false); !errors.Is(err, pages.ErrDenied) {
		t.Error("it was changed all the same:", err)
	}
	refused(t, h.AskPhone(t.Context(), alice, here, other, "phone", ""), "name", "this mailbox is sealed")
}

// TestTelephone: a link makes one password for one telephone, as long as the password that asked for it is the account's.
func TestTelephone(t *testing.T) {
	t.Parallel()
	closed := newHouse(t, `"Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}],`)
	refused(t, closed.AskPhone(t.Context(), alice, here, right, "phone", ""), "", "from its own host alone")

	h := newHouse(t, `"Listeners": [{"address": "0.0.0.0:995", "protocol": "pop3", "tls": "implicit"}, {"address": "0.0.0.0:465", "protocol": "submission", "tls": "implicit"}],`)
	if err := h.AskPhone(t.Context(), alice, here, "wrong", "phone", ""); !errors.Is(err, pages.ErrDenied) {
		t.Error(err)
	}
	refused(t, h.AskPhone(t.Context(), alice, here, right, "", ""), "name", "")
	refused(t, h.AskPhone(t.Context(), alice, here, right, "phone", "yesterday"), "until", "")
	if h.Phone(alice) != nil {
		t.Error("one is waited for")
	}
	asked := 0
	ask := func() string {
		t.Helper()
		asked++
		if err := h.AskPhone(t.Context(), alice, here, right, fmt.Sprint("phone ", asked), ""); err != nil {
			t.Fatal(err)
		}
		return h.Phone(alice).Token
	}
	if _, err := h.SetUp(t.Context(), here, "nonsense"); !errors.Is(err, user.ErrGone) {
		t.Error(err)
	}
	token := ask()
	file, err := h.SetUp(t.Context(), here, token)
	if err != nil || file.Name != "mail.test.mobileconfig" || !strings.Contains(file.Text, alice) {
		t.Fatalf("%+v, %v", file, err)
	}
	h.told(t, 1, "A device was set up", `"phone 1" was set up from 192.0.2.7`)
	if _, err := h.SetUp(t.Context(), here, token); !errors.Is(err, user.ErrGone) || h.Phone(alice) != nil {
		t.Error("twice:", err)
	}
	token = ask()
	if err := h.SetPassword(t.Context(), alice, here, right, other, false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SetUp(t.Context(), here, token); !errors.Is(err, user.ErrGone) {
		t.Error("a link outlives the password that made it:", err)
	}
	if d, err := h.Decided(alice); err != nil || len(d.Apps) != 1 {
		t.Errorf("%+v, %v", d.Apps, err)
	}
	// A certificate that cannot be read is no reason to give nothing.
	h.Needs.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("no such file") }
	if text := h.signed("mail.test", "profile"); text != "profile" || !strings.Contains(h.logs.String(), "a profile is not signed") {
		t.Error(text)
	}
}

// TestDeviceCommands: what administrators ask about devices through the control socket.
func TestDeviceCommands(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	mux := http.NewServeMux()
	h.Commands(mux)
	ask := func(name, body string) (d Devices, said string) {
		r := httptest.NewRequest("POST", "/devices/"+name, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		text, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		json.Unmarshal(text, &d)
		return d, string(text)
	}
	for _, name := range []string{"list", "add", "end"} {
		if _, said := ask(name, `{"account": "nobody@mail.test", "device": {"name": "x"}}`); !strings.Contains(said, "there is no account nobody@mail.test") {
			t.Errorf("%s: %s", name, said)
		}
	}
	if _, said := ask("list", `{"account": "alice@mail.test"}`); !strings.Contains(said, `"devices":[]`) {
		t.Error(said)
	}
	made, said := ask("add", `{"account": "Alice@mail.test", "device": {"name": "printer", "only": "`+preferences.OnlySend+`"}}`)
	if len(made.Password) < 26 || len(made.Devices) != 1 || made.Devices[0].Name != "printer" || made.Devices[0].Made.IsZero() || made.Devices[0].Over {
		t.Error(said)
	}
	h.told(t, 1, "A password for a device was made", `An administrator has made a password for "printer", which sends mail of alice@mail.test.`)
	if d, said := ask("add", `{"account": "alice@mail.test", "device": {"name": ""}}`); d.Password != "" || len(d.Devices) != 0 {
		t.Error(said)
	}
	if _, said := ask("end", `{"account": "alice@mail.test", "device": {"name": "telephone"}}`); !strings.Contains(said, `has no device \"telephone\"`) && !strings.Contains(said, `has no device "telephone"`) {
		t.Error(said)
	}
	ask("add", `{"account": "alice@mail.test", "device": {"name": "phone"}}`)
	ask("add", `{"account": "alice@mail.test", "device": {"name": "tablet"}}`)
	if d, said := ask("end", `{"account": "alice@mail.test", "device": {"name": "phone"}}`); d.Ended != 1 || len(d.Devices) != 2 {
		t.Error(said)
	}
	if d, said := ask("end", `{"account": "alice@mail.test"}`); d.Ended != 2 || len(d.Devices) != 0 {
		t.Error(said)
	}
	may := newHouse(t, `"Web": {"user_may": []},`)
	mux = http.NewServeMux()
	may.Commands(mux)
	if _, said := ask("add", `{"account": "alice@mail.test", "device": {"name": "x"}}`); !strings.Contains(said, "by the settings (Web.user_may)") {
		t.Error(said)
	}
}

// TestWords: what keeps a user from something, in the words of the pages.
func TestWords(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]error{sasl.ErrDenied: pages.ErrDenied, sasl.ErrThrottled: pages.ErrThrottled, mailstore.ErrNoSpace: mailstore.ErrNoSpace} {
		if got := LoginError(err); !errors.Is(got, want) {
			t.Errorf("%v: %v", err, got)
		}
	}
	if LoginError(nil) != nil || junkError(nil) != nil {
		t.Error("nothing is wrong")
	}
	for err, want := range map[error]string{mailstore.ErrLocked: "reads that mailbox at this moment", mailstore.ErrOverQuota: "your mailbox is full", quarantine.ErrUnsafe: "The postmaster can release it"} {
		refused(t, junkError(err), "", want)
	}
	if err := junkError(mailstore.ErrNoSpace); !errors.Is(err, mailstore.ErrNoSpace) {
		t.Error(err)
	}
}
