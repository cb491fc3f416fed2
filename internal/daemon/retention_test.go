package daemon

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// put delivers a message that was received some time ago.
func (w *testWorld) put(age time.Duration, text string) {
	w.t.Helper()
	d, err := w.store.Create(context.Background(), mailstore.Meta{Received: time.Now().Add(-age)}, "alice@mail.test")
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := d.Write([]byte(text)); err != nil {
		w.t.Fatal(err)
	}
	if err := d.Commit(context.Background(), nil); err != nil {
		w.t.Fatal(err)
	}
}

// session logs alice in over TLS and plays the rest.
func (w *testWorld) session(script string) {
	w.t.Helper()
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: USER alice@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: +OK\n" + script)
}

func (w *testWorld) files(pattern string) int {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "data", "mail", "mail.test", "alice", pattern))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(found)
}

func TestDeletion(t *testing.T) {
	for _, c := range []struct {
		settings string
		left     int
		pattern  string
	}{
		{`"POP3": {"deletion": "remove"},`, 1, "*/*,S=*"},
		{`"POP3": {"deletion": "trash"},`, 1, "cur/*:2,T"},
		{`"POP3": {"deletion": "move"},`, 1, ".Trash/cur/*"},
		{`"POP3": {"deletion": "move", "deletion_folder": "Deleted"},`, 1, ".Deleted/cur/*"},
	} {
		w := start(t, c.settings)
		w.put(time.Hour, "one\r\n")
		w.put(time.Minute, "second\r\n")
		w.session("C: STAT\nS: +OK 2 13\nC: DELE 1\nS: +OK\nC: QUIT\nS: +OK")
		w.session("C: STAT\nS: +OK 1 8\nC: RETR 1\nS: +OK")
		if n := w.files(c.pattern); n != c.left {
			t.Errorf("%s: %d files %s", c.settings, n, c.pattern)
		}
		w.stop()
	}
}

// TestExpire: what was retrieved goes when it is old enough, and not before;
// what was never retrieved stays.
func TestExpire(t *testing.T) {
	w := start(t, `"POP3": {"expire": "3d"},`)
	w.put(96*time.Hour, "old, read\r\n")
	w.put(95*time.Hour, "old, unread\r\n")
	w.put(time.Hour, "new, read\r\n")
	w.session("C: STAT\nS: +OK 3\nC: RETR 1\nS: +OK\nC: NOOP\nS: old\nS: .\nS: +OK\nC: RETR 3\nS: +OK\nS: new\nS: .\nC: QUIT\nS: +OK")
	w.session("C: STAT\nS: +OK 2\nC: CAPA\nS: +OK\nC: QUIT\nS:")
	if _, err := os.Stat(filepath.Join(w.dir, "data", "mail")); err != nil {
		t.Fatal(err)
	}
	if n := w.files("*/*,S=*"); n != 2 {
		t.Errorf("%d files left, want 2", n)
	}
}

// TestOwnRetention: an account may keep what others remove, and says so.
func TestOwnRetention(t *testing.T) {
	w := start(t, `"Accounts": {"alice@mail.test": {"deletion": "trash", "expire": "2d"}},`)
	w.put(time.Minute, "one\r\n")
	w.session("C: DELE 1\nS: +OK\nC: QUIT\nS: +OK")
	if n := w.files("cur/*:2,T"); n != 1 {
		t.Errorf("%d files are kept, want one", n)
	}
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	// Before the login, the least that anybody has (RFC 2449 §6.7).
	k.capability("EXPIRE 2 USER")
	k.play("C: USER alice@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: +OK")
	k.capability("EXPIRE 2")
}

// capability wants a line in the answer to CAPA.
func (k *talk) capability(want string) {
	k.t.Helper()
	k.play("C: CAPA\nS: +OK")
	found := false
	for line := ""; line != ".\r\n"; {
		var err error
		if line, err = k.r.ReadString('\n'); err != nil {
			k.t.Fatal(err)
		}
		found = found || line == want+"\r\n"
	}
	if !found {
		k.t.Errorf("CAPA does not say %s", want)
	}
}

// TestOthersRetention: what one account loses after two days, another keeps.
func TestOthersRetention(t *testing.T) {
	w := start(t, `"Accounts": {"bob@mail.test": {"expire": "2d"}},`)
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.capability("EXPIRE 2 USER")
	k.play("C: USER alice@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: +OK")
	k.capability("EXPIRE NEVER")
}

// The trash is emptied after a time, and only what was put there.
func TestTrashKeep(t *testing.T) {
	for settings, left := range map[string]int{
		`"POP3": {"deletion": "trash", "trash_keep": "1ms"},`: 1,
		`"POP3": {"deletion": "trash", "trash_keep": "0s"},`:  2,
		`"POP3": {"deletion": "trash"},`:                      2, // thirty days
	} {
		w := start(t, settings)
		w.put(1000*time.Hour, "one\r\n")
		w.put(1000*time.Hour, "second\r\n")
		w.session("C: DELE 1\nS: +OK\nC: QUIT\nS: +OK")
		time.Sleep(5 * time.Millisecond)
		w.session("C: STAT\nS: +OK 1 8\nC: QUIT\nS: +OK")
		if n := w.files("*/*,S=*"); n != left {
			t.Errorf("%s: %d files are left, want %d", settings, n, left)
		}
	}
}
