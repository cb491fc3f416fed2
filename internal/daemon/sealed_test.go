package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/mailstore"
)

const alice = "alice@mail.test"

// seal seals alice's mailbox with a password, as the command does it.
func (w *testWorld) seal(password string) (recovery string) {
	w.t.Helper()
	ring, recovery, err := sealedmail.NewKeyring([]byte(password))
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.mailKeys.Change(context.Background(), alice, func(b *mailkeys.Box) error {
		b.Keyring = ring
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := conf.Load(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := s.SetSealed(alice, ring.Recipient())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "t.conf"), e.Text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		w.t.Fatal(err)
	}
	return recovery
}

// reads reports whether a password opens the mail, and not the account alone.
func (w *testWorld) reads(password string) bool {
	w.t.Helper()
	k := w.dial("127.0.0.4:0")
	defer k.c.Close()
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: USER " + alice + "\nS: +OK\nC: PASS " + password)
	if !strings.HasPrefix(k.reply(), "+OK") {
		return false
	}
	k.play("C: RETR 1")
	return strings.HasPrefix(k.reply(), "+OK")
}

// TestSealedPages: a password that is changed at the pages opens the mail, and so does one of a device, for as long as it counts.
func TestSealedPages(t *testing.T) {
	t.Parallel()
	w := start(t, withUsers)
	w.seal(testPassword)
	w.put(0, "Subject: x\r\n\r\nsecret words\r\n")
	if !w.reads(testPassword) {
		t.Fatal("the mailbox does not open")
	}
	v := w.user(alice, testPassword)
	if code, page := v.post("/account/password", "do", "change", "old", testPassword, "new", "weak", "again", "weak"); code != 422 {
		t.Error(code, page)
	}
	if box, err := w.mailKeys.Of(alice); err != nil || box.Keyring.Passwords() != 1 {
		t.Error("a password that was refused opens the mail", err)
	}
	if code, page := v.post("/account/password", "do", "change", "old", "wrong", "new", "a better one", "again", "a better one"); code != 422 {
		t.Error(code, page)
	}
	if code, page := v.post("/account/password", "do", "change", "old", testPassword, "new", "a better one", "again", "a better one"); code != 200 {
		t.Error(code, page)
	}
	if !w.reads("a better one") || w.reads(testPassword) {
		t.Error("after a change: the new password must open the mail, the old one nothing")
	}
	if box, err := w.mailKeys.Of(alice); err != nil || box.Keyring.Passwords() != 1 {
		t.Error(err)
	}
	v = w.user(alice, "a better one")
	_, page := v.post("/account/devices", "do", "add", "name", "phone", "password", "a better one")
	app := regexp.MustCompile(` is ([a-z2-7]{26}) `).FindStringSubmatch(page)
	if app == nil || !w.reads(app[1]) {
		t.Fatalf("the password of a device does not open the mail: %s", page)
	}
	_, page = v.see("/account/devices")
	id := regexp.MustCompile(`name="id" value="([a-z2-7]+)"`).FindStringSubmatch(page)
	if id == nil {
		t.Fatal(page)
	}
	if code, page := v.post("/account/devices", "do", "revoke", "id", id[1]); code != 200 {
		t.Error(code, page)
	}
	if w.reads(app[1]) {
		t.Error("a device that was ended still reads")
	}
	_, page = v.post("/account/devices", "do", "add", "name", "printer", "only", "send", "password", "a better one")
	app = regexp.MustCompile(` is ([a-z2-7]{26}) `).FindStringSubmatch(page)
	p, err := w.preferences.Of(alice)
	box, wrong := w.mailKeys.Of(alice)
	if app == nil || err != nil || wrong != nil || len(p.Apps) != 1 {
		t.Fatal(page, err, wrong)
	}
	if _, err := box.Keyring.UnlockApp(p.Apps[0].ID, []byte(app[1])); !errors.Is(err, sealedmail.ErrPassword) {
		t.Error("what sends alone opens the keys of the mail:", err)
	}
}

// TestSealedChangeBrokenOff: whatever of a change was done, the password that opens the account opens the mail.
func TestSealedChangeBrokenOff(t *testing.T) {
	t.Parallel()
	w := start(t, "")
	w.seal(testPassword)
	w.put(0, "Subject: x\r\n\r\nsecret words\r\n")
	box, err := w.mailKeys.Of(alice)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := box.Keyring.Unlock([]byte(testPassword))
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.mailKeys.Begin(t.Context(), alice, keys, []byte("another one"))
	if err != nil || !w.reads(testPassword) {
		t.Error("after the first step the old password does not open the mail:", err)
	}
	if err := w.mailKeys.Settle(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	// The account was not changed: the login says what is wrong, and is none.
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: USER " + alice + "\nS: +OK\nC: PASS " + testPassword + "\nS: -ERR [AUTH] the password is right, but the mail of this sealed mailbox was not sealed with it")
}

// TestSealedOddPasswords: what opens the account opens the mail, whatever octets it has and by whatever mechanism they come.
func TestSealedOddPasswords(t *testing.T) {
	t.Parallel()
	w := start(t, "")
	for _, password := range []string{"100% $HOME 'x' \"y\"", "blank at the end ", "gr\u00fcn \u20ac \U0001F511", "gr\xfcn", "gru\u0308n", "a,b=c;d\\e"} {
		ring, _, err := mailkeys.NewKeyring([]byte(password))
		if err != nil {
			t.Fatal(err)
		}
		err = w.mailKeys.Change(t.Context(), alice, func(b *mailkeys.Box) error {
			b.Keyring = ring
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		k, _ := w.openKey(t.Context(), alice, []byte(password)).(*mailKey)
		if k == nil || k.err != nil {
			t.Errorf("%q: %+v", password, k)
		}
	}
	// As another keyboard writes it: the account opens with both.
	for _, c := range [][2]string{{"gru\u0308n", "gr\u00fcn"}, {"gr\u00fcn", "gru\u0308n"}, {"x\u00a0y", "x y"}} {
		ring, _, err := mailkeys.NewKeyring([]byte(c[0]))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.mailKeys.Change(t.Context(), alice, func(b *mailkeys.Box) error { b.Keyring = ring; return nil }); err != nil {
			t.Fatal(err)
		}
		if k, _ := w.openKey(t.Context(), alice, []byte(c[1])).(*mailKey); k == nil || k.err != nil {
			t.Errorf("%q for %q: %+v", c[1], c[0], k)
		}
		keys, err := mailkeys.Unlock(ring, []byte(c[1]))
		if err != nil {
			t.Fatal(err)
		}
		id, err := w.mailKeys.Begin(t.Context(), alice, keys, []byte("new "+c[0]))
		if err == nil {
			err = w.mailKeys.Settle(t.Context(), alice, id)
		}
		if k, _ := w.openKey(t.Context(), alice, []byte("new "+c[1])).(*mailKey); err != nil || k == nil || k.err != nil {
			t.Errorf("changed: %q for %q: %+v, %v", c[1], c[0], k, err)
		}
	}
}

// TestSealedWhileMailComes: none of the mail that comes while a mailbox is sealed stays in clear, and nobody else notices.
func TestSealedWhileMailComes(t *testing.T) {
	w := start(t, "")
	for i := range 50 {
		w.put(0, fmt.Sprintf("Subject: %d\r\n\r\nsecret words\r\n", i))
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				d, err := w.store.Create(context.Background(), mailstore.Meta{}, alice, "bob@mail.test")
				if err == nil {
					_, _ = d.Write([]byte("Subject: x\r\n\r\nsecret words\r\n"))
					err = d.Commit(context.Background(), nil)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	w.seal(testPassword)
	for range 3 { // two at once are one
		wg.Go(func() { w.sealOld(context.Background()) })
	}
	for i := range 20 {
		if !w.fetches("bob@mail.test", testPassword) {
			t.Error("bob cannot log in", i)
		}
	}
	close(stop)
	wg.Wait()
	w.sealer.forget()
	w.sealOld(context.Background())
	c, err := w.boxes.Count(t.Context(), alice)
	if err != nil || c.Plain != 0 || c.Messages < 50 {
		t.Errorf("%+v, %v", c, err)
	}
	if box, err := w.mailKeys.Of(alice); err != nil || box.State != mailkeys.Sealed {
		t.Errorf("%+v, %v", box, err)
	}
	if strings.Contains(w.logs.String(), "secret words") {
		t.Error("the log has the mail")
	}
}

// TestSealedFolders: mail that was put away is sealed and unsealed as well.
func TestSealedFolders(t *testing.T) {
	w := start(t, `"POP3": {"deletion": "move"},`)
	w.put(0, "Subject: x\r\n\r\nsecret words\r\n")
	w.session("C: DELE 1\nS: +OK\nC: QUIT\nS: +OK")
	w.seal(testPassword)
	w.put(0, "Subject: y\r\n\r\nsecret words\r\n")
	w.session("C: DELE 1\nS: +OK\nC: QUIT\nS: +OK")
	w.sealOld(context.Background())
	if n := w.files(".Trash/cur/*,K=*"); n != 2 {
		t.Errorf("%d files in the trash are sealed", n)
	}
	box, err := w.mailKeys.Of(alice)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := box.Keyring.Unlock([]byte(testPassword))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.mailKeys.Change(t.Context(), alice, func(b *mailkeys.Box) error { b.State = mailkeys.Leaving; return nil }); err != nil {
		t.Fatal(err)
	}
	if n, err := UnsealMailbox(t.Context(), w.boxes, alice, keys, nil); n != 2 || err != nil {
		t.Error(n, err)
	}
	w.sealer.forget()
	w.sealOld(context.Background()) // a server that is told later of it seals nothing anew
	if n := w.files(".Trash/cur/*,K=*"); n != 0 {
		t.Errorf("%d files in the trash are still sealed", n)
	}
}

// meanwhile are mailboxes of which something becomes just before one is opened.
type meanwhile struct {
	Boxes
	do func()
}

// Drop implements Boxes.
func (b meanwhile) Drop(ctx context.Context, user, folder string) (mailstore.SealedDrop, error) {
	b.do()
	return b.Boxes.Drop(ctx, user, folder)
}

// TestSealedLeft: a mailbox that begins to be unsealed while a server seals it is left alone by that from then on.
func TestSealedLeft(t *testing.T) {
	w := start(t, "")
	w.seal(testPassword)
	w.put(0, "Subject: x\r\n\r\nsecret words\r\n")
	box, err := w.mailKeys.Of(alice)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := box.Keyring.Unlock([]byte(testPassword))
	if err != nil {
		t.Fatal(err)
	}
	unseal := meanwhile{w.boxes, func() {
		err := w.mailKeys.Change(context.Background(), alice, func(b *mailkeys.Box) error { b.State = mailkeys.Leaving; return nil })
		if err != nil {
			t.Error(err)
		}
		if n, err := UnsealMailbox(context.Background(), w.boxes, alice, keys.Clone(), nil); err != nil || n != 1 {
			t.Error(n, err)
		}
	}}
	if n, err := w.sealWhile(t.Context(), unseal, alice, box.Keyring.Recipient()); n != 0 || !errors.Is(err, errLeft) {
		t.Error(n, err)
	}
	if n := w.files("new/*,K=*"); n != 0 {
		t.Error("what was unsealed is sealed again")
	}
}

// TestSealedDamage: a damaged message is an answer, and the session goes on, also where the damage is far inside.
func TestSealedDamage(t *testing.T) {
	w := start(t, "")
	w.seal(testPassword)
	long := "Subject: x\r\n\r\n" + strings.Repeat("secret words\r\n", 20_000)
	w.put(0, long)
	w.put(0, "Subject: whole\r\n")
	found, err := filepath.Glob(filepath.Join(w.dir, "data", "mail", "mail.test", "alice", "new", fmt.Sprintf("*,Z=%d,*", len(long))))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-5] ^= 1
	if err := os.WriteFile(found[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	w.session("C: RETR 1\nS: -ERR [SYS/PERM] this message is damaged\nC: STAT\nS: +OK 2\nC: RETR 2\nS: +OK\nS: Subject: whole\nS: .\nC: QUIT\nS: +OK")
	if !strings.Contains(w.logs.String(), filepath.Base(found[0])) {
		t.Error("the log does not name it")
	}
}

// TestSealedAlias: a sealed and another mailbox behind one alias get the same message, each in its form.
func TestSealedAlias(t *testing.T) {
	w := start(t, "")
	w.seal(testPassword)
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO x.test\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<team@mail.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: x\\r\\n\\r\\n-----BEGIN PGP MESSAGE-----\\r\\nsecret words\\r\\n.\nS: 250")
	a, b := w.mailbox(alice), w.mailbox("bob@mail.test")
	if len(a) != 1 || len(b) != 1 || a[0] != b[0] || !strings.Contains(a[0], "secret words") {
		t.Errorf("%q\n%q", a, b)
	}
}

// TestSealedOneStays: a message that cannot be sealed keeps no other one in clear, behind it or in a folder.
func TestSealedOneStays(t *testing.T) {
	w := start(t, `"POP3": {"deletion": "move"},`)
	w.put(0, "Subject: x\r\n\r\nsecret words\r\n")
	w.session("C: DELE 1\nS: +OK\nC: QUIT\nS: +OK")
	odd := filepath.Join(w.dir, "data", "mail", "mail.test", "alice", "new", "1."+strings.Repeat("x", 230))
	if err := os.WriteFile(odd, []byte("Subject: odd\n\nsecret words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.put(0, "Subject: y\r\n\r\nsecret words\r\n")
	w.seal(testPassword)
	w.sealOld(context.Background())
	if n, trash := w.files("new/*,K=*"), w.files(".Trash/cur/*,K=*"); n != 1 || trash != 1 {
		t.Errorf("%d messages are sealed, %d in the folder", n, trash)
	}
	if _, err := os.Stat(odd); err != nil {
		t.Error(err)
	}
}

// TestSealedLineTakenOut: that mail waits, as the line was taken out of the settings by hand, is said by the status.
func TestSealedLineTakenOut(t *testing.T) {
	w := start(t, "")
	before, err := os.ReadFile(filepath.Join(w.dir, "t.conf"))
	if err != nil {
		t.Fatal(err)
	}
	w.seal(testPassword)
	w.sealOld(context.Background())
	if all := w.keyProblems(); len(all) != 0 {
		t.Errorf("%q", all)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "t.conf"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if all := w.keyProblems(); len(all) != 1 || !strings.Contains(all[0], alice) {
		t.Errorf("%q", all)
	}
}

// TestSealedNotice: keys that are broken for three days are told of three times, to somebody who can read it, with no word of the mail that waits.
func TestSealedNotice(t *testing.T) {
	w := start(t, `"postmaster": "bob@mail.test",`)
	w.seal(testPassword)
	told, now := make(keyNotices), time.Now()
	w.tellOfKeys(t.Context(), told, now)
	if n := len(w.mailbox("bob@mail.test")); n != 0 {
		t.Errorf("%d notices of keys that are in order", n)
	}
	keys, err := w.boxes.(InMaildirs).KeysPath(alice)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(keys, keys+".away"); err != nil {
		t.Fatal(err)
	}
	w.dial("127.0.0.1:0").play("S: 220\nC: EHLO client.test\nS: 250\nC: MAIL FROM:<x@far.test>\nS: 250\nC: RCPT TO:<" + alice + ">\nS: 451")
	for hour := range 72 {
		w.tellOfKeys(t.Context(), told, now.Add(time.Duration(hour)*time.Hour))
	}
	all := w.mailbox("bob@mail.test")
	if len(all) != 3 || !strings.Contains(all[0], "Mail for "+alice+" is not taken") {
		t.Errorf("%d notices: %q", len(all), all)
	}
	if err := os.Rename(keys+".away", keys); err != nil {
		t.Fatal(err)
	}
	w.tellOfKeys(t.Context(), told, now.Add(100*time.Hour))
	if n := len(w.mailbox("bob@mail.test")); n != 3 || len(told) != 0 {
		t.Errorf("%d notices after it was mended", n)
	}
}

// TestSealedViewer: the pages that show mail do not show a sealed mailbox as an empty one.
func TestSealedViewer(t *testing.T) {
	w := start(t, `"Web": {"listen": "127.0.0.1:0", "viewer": true},`)
	w.seal(testPassword)
	w.put(0, "Subject: x\r\n\r\nsecret words\r\n")
	v := w.user(alice, testPassword)
	if code, page := v.see("/account/mail/"); code != 403 || !strings.Contains(page, "sealed") || strings.Contains(page, "Nothing has come yet") {
		t.Errorf("%d %s", code, page)
	}
	if code, page := w.user("bob@mail.test", testPassword).see("/account/mail/"); code != 200 {
		t.Errorf("%d %s", code, page)
	}
}
