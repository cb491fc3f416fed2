package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// startTogether starts a server on a database, with a secret key.
func startTogether(t *testing.T, dsn, key, extra string) *testWorld {
	t.Helper()
	world := strings.Replace(testConf, `"DKIM": {"sign": false}`, `"DKIM": {"sign": true}`, 1)
	world = strings.Replace(world, `"POP3": {"login_delay": "0s"}`, `"POP3": {"login_delay": "0s", "cleartext_auth": true}`, 1)
	return startWith(t, world, fmt.Sprintf(`"Store": {"postgres": %q}, "secret_key_file": %q, "Queue": {"forward": true}, %s`, dsn, key, extra))
}

// TestTogether: what belongs to all servers on a database is the same at each of them: keys that mail is signed with, what rewritten senders
// are made with, who has guessed too often, and who was told to come again.
func TestTogether(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	key := filepath.Join(t.TempDir(), "secret.key")
	extra := `"Auth": {"max_failures_per_address": 4}, "Verify": {"Greylist": {"on": true}},`
	a := startTogether(t, dsn, key, extra)
	a.eventually("a key", func() bool { return len(a.keys.Keys()) > 0 })
	b := startTogether(t, dsn, key, extra)
	c := startTogether(t, dsn, filepath.Join(t.TempDir(), "other.key"), extra)

	t.Run("DKIM", func(t *testing.T) {
		if err := b.keys.Revoke(t.Context(), "mail.test", a.keys.Keys()[0].Selector); err != nil {
			t.Fatal(err)
		}
		all := func(w *testWorld) (text string) {
			if err := w.keys.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
			for _, k := range w.keys.Keys() {
				text += fmt.Sprintln(k.Selector, k.Phase, k.Public)
			}
			return text
		}
		a.eventually("the key's successor", func() bool { return strings.Count(all(a), "\n") == 2 })
		if is := all(b); is != all(a) || !strings.Contains(is, " revoked ") || !strings.Contains(is, " announced ") {
			t.Errorf("%s\n%s", all(a), is)
		}
		if files, _ := filepath.Glob(filepath.Join(a.dir, "data", "dkim", "*")); len(files) > 0 {
			t.Errorf("keys are in files: %q", files)
		}
		c.eventually("a key of its own", func() bool { return len(c.keys.Keys()) > 0 })
		if c.keys.Keys()[0].Public == a.keys.Keys()[0].Public {
			t.Error("a server with another secret key reads the others' keys")
		}
		if p := strings.Join(c.togetherProblems(), "\n"); !strings.Contains(p, "another secret key") || len(a.togetherProblems())+len(b.togetherProblems()) > 0 {
			t.Errorf("%q", p)
		}
	})
	t.Run("SRS", func(t *testing.T) {
		srs, err := a.newSRS(a.state().settings)
		if err != nil {
			t.Fatal(err)
		}
		path, err := srs.Forward(smtp.Path{Local: "ann", Domain: "far.test"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for w, want := range map[*testWorld]error{a: nil, b: nil, c: fmt.Errorf("forged")} {
			other, err := w.newSRS(w.state().settings)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := other.Reverse(path, time.Now()); (err == nil) != (want == nil) || err == nil && back.Local != "ann" {
				t.Errorf("%v: %v", back, err)
			}
		}
		b.greeted().play("C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<" + path.Local + "@mail.test>\nS: 250")
		b.greeted().play("C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<" + strings.Replace(path.Local, "=far.test", "=near.test", 1) + "@mail.test>\nS: 550")
	})
	t.Run("LockOut", func(t *testing.T) {
		for i, w := range []*testWorld{a, b, a, b} {
			k := w.dial("127.0.0.4:0")
			k.play("S: +OK\nC: USER nobody" + fmt.Sprint(i) + "@mail.test\nS: +OK\nC: PASS wrong\nS: -ERR [AUTH]")
		}
		for _, w := range []*testWorld{a, b, c} {
			w.eventually("a lock-out", func() bool {
				all := w.state().credentials.Lockouts()
				return len(all) == 1 && all[0].Address == "127.0.0.1/32"
			})
		}
		if !b.state().credentials.Unlock("127.0.0.1") {
			t.Error("nothing is unlocked")
		}
		for _, w := range []*testWorld{a, b, c} {
			w.eventually("no lock-out", func() bool { return len(w.state().credentials.Lockouts()) == 0 })
		}
	})
	t.Run("Greylist", func(t *testing.T) {
		table := func(w *testWorld) func(want bool) bool {
			g := w.verifier.Greylist()
			return func(want bool) bool {
				_, ok := g.Try("far.test", "ann bob", comeAgain(w.state().settings), time.Now().Add(time.Hour))
				return ok == want
			}
		}
		if _, ok := a.verifier.Greylist().Try("far.test", "ann bob", comeAgain(a.state().settings), time.Now()); ok {
			t.Fatal("nobody is told to come again")
		}
		b.eventually("the attempt", func() bool { _, waiting := b.verifier.Greylist().Len(); return waiting == 1 })
		if !table(b)(true) {
			t.Error("who was told so by one server is told so by another, too")
		}
		a.eventually("the sender", func() bool { known, _ := a.verifier.Greylist().Len(); return known == 1 })
	})
}

// TestTogetherLater: what one server learns of other hosts the others know, and who has just fetched his mail from one fetches it from no other
// so soon.
func TestTogetherLater(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	key := filepath.Join(t.TempDir(), "secret.key")
	world := strings.Replace(testConf, `"POP3": {"login_delay": "0s"}`, `"POP3": {"login_delay": "1h", "cleartext_auth": true}`, 1)
	var worlds []*testWorld
	for range 2 {
		worlds = append(worlds, startWith(t, world, fmt.Sprintf(`"Store": {"postgres": %q}, "secret_key_file": %q,`, dsn, key)))
	}
	a, b := worlds[0], worlds[1]
	known, other := a.post.Outbound.Cache(), b.post.Outbound.Cache()
	for _, kind := range []string{"sts", "seen", "tlsrpt"} {
		if err := known.Put(t.Context(), kind, "far.test", []byte("about "+kind)); err != nil {
			t.Fatal(err)
		}
		if text, ok := other.Get(kind, "far.test"); ok != (kind != "tlsrpt") || ok && string(text) != "about "+kind {
			t.Errorf("%s: %q %v", kind, text, ok)
		}
	}
	if err := other.Delete(t.Context(), "sts", "far.test"); err != nil {
		t.Fatal(err)
	}
	if text, ok := other.Get("sts", "far.test"); ok {
		t.Errorf("%q", text)
	}

	for i, w := range worlds { // counts for reports come together
		text, err := w.gathers().Update(t.Context(), "tlsrpt", "2026-01-01", func(text []byte) ([]byte, error) { return fmt.Appendf(text, "%d ", i), nil })
		if err != nil || i == 1 && string(text) != "0 1 " {
			t.Errorf("%q %v", text, err)
		}
	}
	if a.gathers().Server() == b.gathers().Server() {
		t.Error("two servers are one")
	}
	if err := b.gathers().Delete(t.Context(), "tlsrpt", "2026-01-01"); err != nil {
		t.Error(err)
	}

	login := func(w *testWorld) *talk {
		k := w.dial("127.0.0.4:0")
		k.play("S: +OK\nC: USER alice@mail.test\nS: +OK\nC: PASS " + testPassword)
		return k
	}
	login(a).play("S: +OK\nC: QUIT\nS: +OK")
	b.eventually("the login", func() bool {
		b.logins.mu.Lock()
		defer b.logins.mu.Unlock()
		return len(b.logins.last) == 1
	})
	login(b).play("S: -ERR [LOGIN-DELAY]")
}

// TestTogetherBegins: what a server had for itself is what all have once it is the first on a database; and what the second had rewritten
// itself it still knows.
func TestTogetherBegins(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	dir := t.TempDir()
	key := filepath.Join(dir, "secret.key")
	made := func(data string) string {
		k, _, err := seal.EnsureKey(filepath.Join(data, "srs.key"))
		if err != nil {
			t.Fatal(err)
		}
		secret, err := k.Derive("srs")
		if err != nil {
			t.Fatal(err)
		}
		return string(secret)
	}
	var worlds []*testWorld
	var own []string
	for i := range 2 {
		data := filepath.Join(dir, fmt.Sprint("data", i))
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		own = append(own, made(data))
		world := strings.Replace(testConf, `"data_dir": "data"`, fmt.Sprintf(`"data_dir": %q`, data), 1)
		worlds = append(worlds, startWith(t, world, fmt.Sprintf(`"Store": {"postgres": %q}, "secret_key_file": %q, "Queue": {"forward": true},`, dsn, key)))
	}
	for i, w := range worlds {
		srs, err := w.newSRS(w.state().settings)
		if err != nil || string(srs.Key) != own[0] || srs.Domain != domains.Name("mail.test") {
			t.Fatalf("%d: %v %v", i, srs, err)
		}
		if i == 1 && (len(srs.OldKeys) != 1 || string(srs.OldKeys[0]) != own[1]) {
			t.Error("the second does not know what it has made")
		}
	}
}

// TestTogetherDecides: what a user decides at one server holds at the other: a password that was changed opens there at once, and the one from before no
// more; a device that was ended is refused, and its session ends; mail is forwarded; who is gone leaves nothing to whoever gets the name.
func TestTogetherDecides(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	dsn := peertest.DSN(db)
	key := filepath.Join(t.TempDir(), "secret.key")
	a := startTogether(t, dsn, key, "")
	b := startTogether(t, dsn, key, "")
	const alice = "alice@mail.test"
	home := netip.MustParseAddr("127.0.0.1")
	login := func(w *testWorld, password, answer string) *talk {
		t.Helper()
		k := w.dial("127.0.0.4:0")
		k.play("S: +OK\nC: USER alice@mail.test\nS: +OK\nC: PASS " + password + "\nS: " + answer)
		return k
	}
	done := func(k *talk) { k.play("C: QUIT\nS: +OK") }
	done(login(b, testPassword, "+OK"))

	app, err := a.service.AddApp(t.Context(), alice, home, testPassword, user.Device{Name: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	phone := login(b, app, "+OK")
	const changed = "three horses in a boat"
	if err := a.service.SetPassword(t.Context(), alice, home, testPassword, changed, false); err != nil {
		t.Fatal(err)
	}
	phone.play("C: NOOP\nS: +OK")
	done(phone)
	done(login(b, changed, "+OK"))
	login(b, testPassword, "-ERR")

	phone = login(b, app, "+OK")
	is, err := b.preferences.Of(alice)
	if err != nil || is == nil || len(is.Apps) != 1 {
		t.Fatalf("%+v %v", is, err)
	}
	if _, err := a.service.RevokeApp(t.Context(), alice, is.Apps[0].ID); err != nil {
		t.Fatal(err)
	}
	phone.play("S: -ERR [SYS/TEMP] what this session logged in by")
	login(b, app, "-ERR")

	if err := b.preferences.Change(t.Context(), alice, func(p *preferences.Preferences) error {
		p.Forward = &preferences.Forward{To: "alice@far.test"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	a.eventually("forwarding", func() bool {
		p, err := a.preferences.Lately(alice)
		return err == nil && p != nil && p.Forward != nil && p.Forward.To == "alice@far.test"
	})

	db.Kill() // what was known last opens and is obeyed, and nothing is changed
	for password, want := range map[string]error{changed: nil, testPassword: sasl.ErrDenied} {
		if _, err := a.state().credentials.VerifyUser(t.Context(), home, alice, password); !errors.Is(err, want) {
			t.Errorf("%q: %v", password, err)
		}
	}
	var refused *user.Refused
	if err := a.service.SetAbsence(t.Context(), alice, &user.Absence{Text: "I am away."}); !errors.As(err, &refused) || !strings.Contains(refused.Why, "cannot be changed now") {
		t.Errorf("%v", err)
	}
	if p, err := a.preferences.Of(alice); err != nil || p == nil || p.Forward == nil || p.Absence != nil {
		t.Errorf("%+v %v", p, err)
	}
}
