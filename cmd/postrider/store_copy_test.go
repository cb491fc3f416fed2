package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/mailstore/sealed"
)

// contents is all that a store has, by mailbox, folder and unique id: text, flags and time.
func contents(t *testing.T, s foldered) map[string]string {
	t.Helper()
	all := make(map[string]string)
	read := func(where string, m mailstore.Maildrop, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		for i, text := range mailtest.Texts(t, m) {
			d := m.(mailstore.Details)
			all[where+" "+m.UID(i)] = fmt.Sprint(d.Flags(i), d.Received(i).Unix(), " ", text)
		}
	}
	for user, err := range s.Users(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.Open(t.Context(), user)
		read(user, m, err)
		folders, err := s.Folders(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range folders {
			if mailstore.IsFolder(folder) {
				m, err := s.OpenFolder(t.Context(), user, folder)
				read(user+"/"+folder, m, err)
			}
		}
	}
	return all
}

// TestStoreCopySealed: sealed mail is copied as it is, with its keys, there and back: what opened it opens it. Keys that are there already and are others are not
// written over.
func TestStoreCopySealed(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	world := func(name string) (dir string, files *maildir.Store) {
		dir = confDir(t, fmt.Sprintf(`{ "server_name": "mail.test", "data_dir": "data", "mail_dir": "mail", "Store": {"postgres": %q} }`, dsn))
		files, err := maildir.Open(filepath.Join(dir, "mail"), maildir.WithReserve(0))
		if err != nil {
			t.Fatal(name, err)
		}
		return dir, files
	}
	dir, files := world("first")
	ring, _, err := mailkeys.NewKeyring([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	has := func(b *mailkeys.Box) error {
		b.Keyring, b.State = ring, mailkeys.Sealed
		return nil
	}
	const alice = "alice@mail.test"
	if err := mailkeys.New(files).Change(t.Context(), alice, has); err != nil {
		t.Fatal(err)
	}
	s := sealed.New(files, func(user string) (string, error) {
		if user == alice {
			return ring.Recipient(), nil
		}
		return "", nil
	}, nil)
	texts := []string{"Subject: small\r\n\r\n.dot\r\n", "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcde\r\n", 12_000), "Subject: away\r\n\r\n"}
	for i, text := range texts {
		d, err := s.Create(t.Context(), mailstore.Meta{UID: fmt.Sprint("old-", i), Received: time.Unix(1_700_000_000+int64(i), 0)}, alice, "bob@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(d, text)
		if err := d.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	m, err := s.Open(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.(mailstore.Keeper).Move(t.Context(), []int{2}, "Away"), m.Close(), files.Close()); err != nil {
		t.Fatal(err)
	}
	must(t, "", "store", "copy", "-c", dir, "--from", "maildir", "--to", "postgres")
	must(t, "", "store", "copy", "-c", dir, "--from", "maildir", "--to", "postgres")

	back, files := world("back")
	files.Close()
	must(t, "", "store", "copy", "-c", back, "--from", "postgres", "--to", "maildir")
	files, err = maildir.Open(filepath.Join(back, "mail"), maildir.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	box, err := mailkeys.New(files).Of(alice)
	if err != nil || box == nil || box.State != mailkeys.Sealed {
		t.Fatalf("%+v, %v", box, err)
	}
	held, err := daemon.InMaildirs{Store: files}.Count(t.Context(), alice)
	if err != nil || held.Plain != 0 || held.Messages != 3 {
		t.Errorf("%+v, %v", held, err)
	}
	open := func(m mailstore.Maildrop, err error) []string {
		t.Helper()
		keys, err2 := mailkeys.Unlock(box.Keyring, []byte("password"))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		m.(sealed.Unlocker).Unlock(keys)
		return mailtest.Texts(t, m)
	}
	if got := open(sealed.New(files, noRecipient, nil).Open(t.Context(), alice)); len(got) != 2 || got[0] != texts[0] || got[1] != texts[1] {
		t.Errorf("%.100q", got)
	}
	dirOf, err := files.Path(alice)
	if err != nil {
		t.Fatal(err)
	}
	away, err := openSingle(t.Context(), filepath.Join(dirOf, ".Away"))
	if err != nil {
		t.Fatal(err)
	}
	if got := open(away.(*singleDrop).Maildrop, nil); len(got) != 1 || got[0] != texts[2] {
		t.Errorf("%.100q", got)
	}
	other, _, err := mailkeys.NewKeyring([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	if err := mailkeys.New(files).Change(t.Context(), alice, func(b *mailkeys.Box) error { b.Keyring = other; return nil }); err != nil {
		t.Fatal(err)
	}
	files.Close()
	if code, _, errs := command(t, "", "store", "copy", "-c", back, "--from", "postgres", "--to", "maildir"); code != exitError || !strings.Contains(errs, "are not among those which are there already") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

// TestStoreCopy: all mail goes into a database and back, with ids, flags, times and folders; done again it changes nothing, and what one
// that broke off has left in the maildrop goes where it belongs.
func TestStoreCopy(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	dir := confDir(t, fmt.Sprintf(`{ "server_name": "mail.test", "data_dir": "data", "mail_dir": "mail", "Store": {"postgres": %q} }`, peertest.DSN(db)))
	fill := func(s mailstore.Store) {
		for i := range 12 {
			text := fmt.Sprintf("Subject: %d\r\n\r\n.dot\r\nbare\n%s\r\n", i, strings.Repeat("0123456789abcde\r\n", i%3*12_000))
			meta := mailstore.Meta{UID: fmt.Sprint("old-", i), Flags: []string{"", "S", "FR"}[i%3], Received: time.Unix(1_700_000_000+int64(i), 0)}
			d, err := s.Create(t.Context(), meta, []string{"alice@mail.test", "bob@mail.test"}[i%2])
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(d, text)
			if err := d.Commit(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		m, err := s.Open(t.Context(), "alice@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.(mailstore.Keeper).Move(t.Context(), []int{0, 3}, "Sent-2026"); err != nil {
			t.Fatal(err)
		}
	}
	files, err := maildir.Open(filepath.Join(dir, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	fill(files)
	odd := filepath.Join(dir, "mail/mail.test/alice/.Gr&APwA3w-e")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(odd, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	want := contents(t, maildirs{files})
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "", "store", "copy", "-c", dir, "--from", "maildir", "--to", "postgres")
	if code != exitError || !strings.Contains(out, "12 messages of 2 mailboxes copied, 0 messages there already") || !strings.Contains(errs, `"Gr&APwA3w-e" is not copied`) {
		t.Fatalf("exit %d, %q, %q", code, out, errs)
	}
	settings, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := daemon.OpenDatabase(context.Background(), settings)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if got := contents(t, store); !maps.Equal(got, want) {
		t.Errorf("in the database:\n%v\nwant\n%v", got, want)
	}
	if err := os.RemoveAll(odd); err != nil {
		t.Fatal(err)
	}
	if out, _ := must(t, "", "store", "copy", "-c", dir, "--from", "maildir", "--to", "postgres"); !strings.Contains(out, "0 messages of 2 mailboxes copied, 12 messages there already") {
		t.Errorf("again: %s", out)
	}
	if err := os.RemoveAll(filepath.Join(dir, "mail")); err != nil {
		t.Fatal(err)
	}
	half, err := maildir.Open(filepath.Join(dir, "mail")) // a copy that broke off before the folder was filled
	if err != nil {
		t.Fatal(err)
	}
	for at := range want {
		where, uid, _ := strings.Cut(at, " ")
		if where != "alice@mail.test/Sent-2026" {
			continue
		}
		m, err := store.OpenFolder(t.Context(), "alice@mail.test", "Sent-2026")
		if err != nil {
			t.Fatal(err)
		}
		c := copier{ctx: t.Context(), to: maildirs{half}, user: "alice@mail.test"}
		for i := range m.Len() {
			if m.UID(i) == uid {
				d := m.(mailstore.Details)
				if err := c.one(m, i, mailstore.Meta{UID: uid, Flags: d.Flags(i), Received: d.Received(i)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		m.Close()
		break
	}
	half.Close()
	if out, _ := must(t, "", "store", "copy", "-c", dir, "--from", "postgres", "--to", "maildir"); !strings.Contains(out, "11 messages of 2 mailboxes copied") {
		t.Errorf("back: %s", out)
	}
	back, err := maildir.Open(filepath.Join(dir, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if got := contents(t, maildirs{back}); !maps.Equal(got, want) {
		t.Errorf("back in files:\n%v\nwant\n%v", got, want)
	}
	back.Close()
	refusesOther(t, dir)
	for args, text := range map[string]string{
		"store copy --from maildir --to maildir": "the other way round", "store stat": "in a database", "store verify": "in a database",
		"export --format eml alice@mail.test x": "in a database", "user seal alice@mail.test": "",
	} {
		if code, out, errs := command(t, "", append(strings.Fields(args), "-c", dir)...); code == 0 || !strings.Contains(out+errs, text) {
			t.Errorf("%s: exit %d, %s%s", args, code, out, errs)
		}
	}
}

// refusesOther: no command uses a database that the server of these settings would refuse, by what it has seen before. They write nothing
// down themselves.
func refusesOther(t *testing.T, dir string) {
	t.Helper()
	seen := filepath.Join(dir, "data", "postgres.seen")
	if _, err := os.Stat(seen); err == nil {
		t.Error("a command has written down which database it saw")
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(seen), 0o700), os.WriteFile(seen, []byte("system 7 timeline 1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"user add --stdin carl@mail.test", "user remove --mail alice@mail.test", "store copy --from maildir --to postgres", "check"} {
		code, out, errs := command(t, "pass word\n", append(strings.Fields(args), "-c", dir)...)
		if code == exitOK || !strings.Contains(errs, "another database than before") {
			t.Errorf("%s: exit %d, %s%s", args, code, out, errs)
		}
	}
	if err := os.Remove(seen); err != nil {
		t.Fatal(err)
	}
}

// TestDatabaseAway: who cannot see whether there is mail of that name from before gives it to nobody.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	dsn := "postgres://mail@127.0.0.1:1/mail?sslmode=disable"
	dir := confDir(t, fmt.Sprintf(`{ "server_name": "mail.test", "data_dir": "data", "mail_dir": "mail", "Store": {"postgres": %q} }`, dsn))
	must(t, "pass word\n", "user", "add", "-c", dir, "--stdin", "--keep", "bob@mail.test")
	for _, args := range []string{"user add --stdin alice@mail.test", "user rename bob@mail.test alice@mail.test"} {
		code, out, errs := command(t, "pass word\n", append(strings.Fields(args), "-c", dir)...)
		if code == exitOK || !strings.Contains(errs, "cannot be seen") {
			t.Errorf("%s: exit %d, %s%s", args, code, out, errs)
		}
		if s, err := conf.Load(dir); err != nil || len(s.Book().Accounts) != 1 {
			t.Errorf("%s: %v, %d accounts", args, err, len(s.Book().Accounts))
		}
	}
	code, _, errs := command(t, "", "store", "copy", "-c", dir, "--from", "postgres", "--to", "maildir")
	if code == exitOK || !strings.Contains(errs, "is not there") {
		t.Errorf("copied to no folder: exit %d, %s", code, errs)
	}
}

// TestServeDatabase: the built program takes mail into a database and gives it out, octet for octet; two of them share it, and what one has
// removed is gone for the other.
func TestServeDatabase(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	var both []*world
	for range 2 {
		both = append(both, newWorld(t, `"data_dir": "data",`, fmt.Sprintf(`"data_dir": "data", "Store": {"postgres": %q},`, peertest.DSN(db))))
	}
	var sent []string
	for i, w := range both {
		for _, n := range []int{0, 1, 5_000, 40_000} {
			text := fmt.Sprintf("Subject: %d %d\r\n\r\n.dots\r\n..\r\n%s", i, n, strings.Repeat("0123456789abcde\r\n", n))
			bring(t, w.addrs["smtp"], text)
			sent = append(sent, text)
		}
	}
	got := both[1].fetchAll(user)
	if len(got) != len(sent) {
		t.Fatalf("%d messages of %d", len(got), len(sent))
	}
	for i, text := range got {
		if text = untraced(t, text); text != sent[i] {
			t.Errorf("message %d: %s", i, difference(text, sent[i]))
		}
	}
	if left := both[0].fetchAll(user); len(left) != 0 {
		t.Errorf("%d messages are there still", len(left))
	}
	out, errs := must(t, "", "user", "list", "-c", both[0].dir)
	if !strings.Contains(out, user) {
		t.Errorf("user list: %s%s", out, errs)
	}
	refuseCopy(t, db, both[0])
	knowEachOther(t, db, both)
}

// refuseCopy: of two machines made from one image the second does not start while the first lives, and says what to do; which is enough.
func refuseCopy(t *testing.T, db *peertest.Database, first *world) {
	t.Helper()
	id, err := os.ReadFile(filepath.Join(first.dir, "data", "node.id"))
	if err != nil {
		t.Fatal(err)
	}
	copied := newWorldStopped(t, `"data_dir": "data",`, fmt.Sprintf(`"data_dir": "data", "Store": {"postgres": %q},`, peertest.DSN(db)))
	copied.write("data/node.id", string(id))
	file := filepath.Join(copied.dir, "data", "node.id")
	code, _, errs := command(t, "", "serve", "-c", copied.dir)
	if code == exitOK || !strings.Contains(errs, "has the identity of this one") || !strings.Contains(errs, file) || !strings.Contains(errs, first.dir) {
		t.Errorf("exit %d: %s", code, errs)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	copied.start()
	copied.cmd.Process.Signal(os.Interrupt)
	<-copied.ended
	if now, err := os.ReadFile(file); err != nil || string(now) == string(id) {
		t.Errorf("its identity is %q now, %v", now, err)
	}
}

// knowEachOther: two servers on a database show each other, where their settings differ, and who is not heard of any more.
func knowEachOther(t *testing.T, db *peertest.Database, both []*world) {
	t.Helper()
	all := func() (code int, said string) {
		code, out, errs := command(t, "", "status", "--all", "-c", both[0].dir)
		return code, out + errs
	}
	if code, said := all(); code != exitError || strings.Count(said, "OTHER SETTINGS in Accounts\n") != 1 || !strings.Contains(said, both[0].dir) || !strings.Contains(said, both[1].dir) {
		t.Errorf("other settings: exit %d, %s", code, said)
	}
	for _, name := range []string{"mail.conf", "data/secret.key"} {
		text, err := os.ReadFile(filepath.Join(both[0].dir, name))
		if err != nil {
			t.Fatal(err)
		}
		both[1].write(name, string(text))
	}
	must(t, "", "reload", "-c", both[1].dir)
	peertest.Await(t, "the same settings to be seen", func() bool { code, _ := all(); return code == exitOK })
	both[1].cmd.Process.Kill()
	<-both[1].ended
	peertest.SQL(t, db, "update postrider.node set seen = seen - interval '1 minute' where host like '%"+both[1].dir+"%'")
	if code, said := all(); code != exitError || strings.Count(said, "NOT HEARD OF") != 1 || !strings.Contains(said, "1 server of 2") {
		t.Errorf("one is gone: exit %d, %s", code, said)
	}
}

// bring sends a message for the user to a port, in the clear.
func bring(t *testing.T, addr, text string) {
	t.Helper()
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Hello("else.test"), c.Mail("a@else.test"), c.Rcpt(user)); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
