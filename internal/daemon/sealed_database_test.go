package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp"
)

// TestSealedTwoServers: two servers with one database. What was there is sealed when the mailbox is, by whichever; what comes to either is sealed, and its owner
// reads all of it at both; a password that was changed by one opens it at the other; a server whose settings do not know of it takes no mail in clear.
func TestSealedTwoServers(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	settings := fmt.Sprintf(`"Store": {"postgres": %q}, `, peertest.DSN(db))
	a := start(t, settings)
	b := start(t, settings)
	deliver := func(w *testWorld, text string) string {
		k := w.dial("127.0.0.1:0")
		defer k.c.Close()
		k.play("S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<x@elsewhere.test>\nS: 250\nC: RCPT TO:<" + alice + ">")
		if answer := k.reply(); !strings.HasPrefix(answer, "250") {
			return answer
		}
		k.play("C: DATA\nS: 354\nC: Subject: " + text + "\\r\\n\\r\\nsecret words\\r\\n.")
		return k.reply()
	}
	if answer := deliver(a, "before"); !strings.HasPrefix(answer, "250") {
		t.Fatal(answer)
	}
	a.seal(testPassword)
	err := a.mailKeys.Change(t.Context(), alice, func(box *mailkeys.Box) error { box.State = mailkeys.Sealed; return nil })
	if err != nil {
		t.Fatal(err)
	}
	peertest.Await(t, "the other server hears of it", func() bool { return strings.HasPrefix(deliver(b, "to who does not know"), "451") })
	other, err := conf.Load(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	said, err := conf.Load(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := other.SetSealed(alice, said.Book().Accounts[alice].Sealed)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "t.conf"), e.Text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*testWorld{a, b} {
		if answer := deliver(w, "after"); !strings.HasPrefix(answer, "250") {
			t.Error(answer)
		}
	}
	peertest.Await(t, "all to be sealed", func() bool {
		c, err := b.boxes.Count(context.Background(), alice)
		return err == nil && c.Plain == 0 && c.Messages >= 3
	})
	for name, w := range map[string]*testWorld{"one": a, "the other": b} {
		if !w.reads(testPassword) {
			t.Errorf("%s does not open it\n%s", name, w.logs)
		}
	}
	box, err := b.mailKeys.Of(alice)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := box.Keyring.Unlock([]byte(testPassword))
	if err != nil {
		t.Fatal(err)
	}
	id, err := b.mailKeys.Begin(t.Context(), alice, keys, []byte("another one"))
	if err != nil {
		t.Fatal(err)
	}
	if !a.reads(testPassword) {
		t.Error("while a password is changed the one from before opens nothing")
	}
	if err := b.mailKeys.Settle(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	if a.reads(testPassword) || b.reads(testPassword) {
		t.Error("a password that was changed still opens the mail")
	}
	if n, err := UnsealMailbox(t.Context(), a.boxes, alice, keys, nil); err != nil || n < 3 {
		t.Error(n, err)
	}
}

// TestSealedSharedQueue: two servers share a queue that is sealed. What one has taken the other sends when it has the same key; one without it does not start, as
// a new key would open nothing, and says where to get it.
func TestSealedSharedQueue(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	var takes atomic.Bool
	takes.Store(true)
	sink, got := sinkServer(t, onlyIf(&takes))
	settings := func(port int) string {
		return fmt.Sprintf(`"Store": {"postgres": %q}, "SMTP": {"relay_from": ["127.0.0.1/32"]}, "Queue": {"seal": true, "retry_first": "1s", "retry_max": "1s", "Routes": [%s]},`,
			dsn, route("far.test", port, `, "tls": "none"`))
	}
	a := start(t, settings(peertest.FreePort(t))) // nobody listens there
	m := &smtp.Outgoing{From: smtp.Path{Local: "bob", Domain: "mail.test"}, To: []smtp.Recipient{{Path: smtp.Path{Local: "friend", Domain: "far.test"}}}}
	text := "Subject: x\r\n\r\nmarked words\r\n"
	if results, err := a.sender(false, false).Send(context.Background(), m, strings.NewReader(text)); err != nil || results[0].Err != nil {
		t.Fatal(err, results)
	}
	dir := confFolder(t, testConf, settings(sink.Port))
	if _, err := New(func() (*conf.Settings, error) { return conf.Load(dir) }, os.Stderr); err == nil || !strings.Contains(err.Error(), "1 messages that wait in the queue are sealed with it") {
		t.Fatalf("a server without the key: %v", err)
	}
	key, err := os.ReadFile(a.state().settings.SecretKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.SecretKeyFile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	startIn(t, dir)
	if here := receive(t, got); !strings.Contains(here, text) {
		t.Errorf("the other host got %q", here)
	}
	a.awaitQueue(0)
}

// TestSealedQueueKeyOfOthers: a server without a key does not join a queue that is sealed, also where nothing waits and no other server runs: what it took would
// be lost with the key it made as soon as the others' takes its place.
func TestSealedQueueKeyOfOthers(t *testing.T) {
	t.Parallel()
	settings := fmt.Sprintf(`"Store": {"postgres": %q}, "Queue": {"seal": true},`, peertest.DSN(peertest.Postgres(t)))
	a := start(t, settings)
	a.stop()
	dir := confFolder(t, testConf, settings)
	d, err := New(func() (*conf.Settings, error) { return conf.Load(dir) }, os.Stderr)
	if err == nil {
		d.closeAll()
	}
	if err == nil || !strings.Contains(err.Error(), "another server has a key on this database: copy its file here") {
		t.Errorf("a server without the key: %v", err)
	}
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.SecretKeyFile); err == nil {
		t.Error("it has made a key")
	}
}

// TestTwoKeysAtOnce: of two servers that begin on an empty database at one moment one makes the key, and the other is left without.
func TestTwoKeysAtOnce(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	db, err := database.Connect(t.Context(), dsn, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	at := func() *conf.Settings { return &conf.Settings{SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")} }
	if _, err := openCluster(t.Context(), at(), db, true); err != nil { // which makes the tables
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(t.Context(), db.In(`delete from $.document`)); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Both find that nothing is sealed, and neither can write.
	if _, err := tx.Exec(t.Context(), db.In(`lock table $.document in share row exclusive mode`)); err != nil {
		t.Fatal(err)
	}
	both := []*conf.Settings{at(), at()}
	var wrong [2]error
	var all sync.WaitGroup
	for i, s := range both {
		all.Go(func() {
			store, err := openCluster(t.Context(), s, db, true)
			if err != nil {
				t.Error(err)
				return
			}
			wrong[i] = store.Wrong()
		})
	}
	peertest.Await(t, "both to write", func() (yes bool) {
		err := tx.QueryRow(t.Context(), `select count(*) = 2 from pg_locks where not granted`).Scan(&yes)
		return err == nil && yes
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	keys := 0
	for i, s := range both {
		_, err := os.Stat(s.SecretKeyFile)
		if (err == nil) != (wrong[i] == nil) {
			t.Errorf("%d: %v, and of its file: %v", i, wrong[i], err)
		}
		if err == nil {
			keys++
		}
	}
	if keys != 1 {
		t.Errorf("%d keys", keys)
	}
}
