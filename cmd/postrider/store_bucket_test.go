package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// bucketSettings are those of a database with a bucket.
func bucketSettings(db *peertest.Database, s3 *peertest.Storage) string {
	return fmt.Sprintf(`"Store": {"postgres": %q, "S3": {"endpoint": %q, "bucket": %q, "prefix": "mail/", "access_key": %q, "secret_key": %q, "above": "64KiB"}}`,
		peertest.DSN(db), s3.Endpoint, s3.Bucket, s3.AccessKey, s3.SecretKey)
}

// largeMessage has some hundred thousand octets.
func largeMessage(n int) string {
	return fmt.Sprintf("Subject: %d\r\n\r\n.dots\r\n%s", n, strings.Repeat(fmt.Sprintf("%d 0123456789abcde\r\n", n), 30_000))
}

// firstObject is the name of an object's file.
func firstObject(t *testing.T, s3 *peertest.Storage) (name string) {
	t.Helper()
	if err := filepath.WalkDir(s3.Folder(), func(path string, d os.DirEntry, err error) error {
		if err == nil && name == "" && d.Type().IsRegular() && strings.HasPrefix(path, filepath.Join(s3.Folder(), "mail")) {
			name = path
		}
		return err
	}); err != nil || name == "" {
		t.Fatalf("no object is there: %v", err)
	}
	return name
}

// TestStoreBucket: a bucket that is wrong is found by "check", which says what of it and no secret; all mail goes into a database with one, and back; what is missing there is found
// by "store verify", which says whose it is.
func TestStoreBucket(t *testing.T) {
	t.Parallel()
	db, s3 := peertest.Postgres(t), peertest.S3(t)
	settings := func(from, to string) string {
		return confDir(t, strings.Replace(`{ "server_name": "mail.test", "data_dir": "data", "mail_dir": "mail", `+bucketSettings(db, s3)+` }`, from, to, 1))
	}
	for from, change := range map[string][2]string{
		s3.Endpoint:              {fmt.Sprint("http://127.0.0.1:", peertest.FreePort(t)), "endpoint"},
		`"bucket": "mail"`:       {`"bucket": "other"`, "bucket"},
		s3.SecretKey:             {"hunter2", "access_key, secret_key"},
		s3.Endpoint + `", "buck`: {`s3.example.net", "buck`, "endpoint"},
		`"prefix": "mail/", `:    {"", ""},
	} {
		code, out, errs := command(t, "", "check", "-c", settings(from, change[0]))
		if said := out + errs; (change[1] != "") != strings.Contains(said, "Store.S3") || !strings.Contains(said, change[1]) || strings.Contains(said, "hunter2") || strings.Contains(said, s3.SecretKey) {
			t.Errorf("%s: exit %d, %s", from, code, said)
		}
	}
	dir := settings("", "")
	files, err := maildir.Open(filepath.Join(dir, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		d, err := files.Create(t.Context(), mailstore.Meta{}, "alice@mail.test", "bob@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(d, largeMessage(n))
		if err := d.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	want := contents(t, maildirs{files})
	files.Close()
	must(t, "", "store", "copy", "-c", dir, "--from", "maildir", "--to", "postgres")
	loaded, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := daemon.OpenDatabase(context.Background(), loaded)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if got := contents(t, store); !maps.Equal(got, want) {
		t.Error("in the database is something else")
	}
	if err := os.RemoveAll(filepath.Join(dir, "mail")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	must(t, "", "store", "copy", "-c", dir, "--from", "postgres", "--to", "maildir")
	back, err := maildir.Open(filepath.Join(dir, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if got := contents(t, maildirs{back}); !maps.Equal(got, want) {
		t.Error("back in files is something else")
	}
	if out, _ := must(t, "", "store", "verify", "-c", dir); !strings.Contains(out, "6 messages with 3.") || !strings.Contains(out, ": 0 problems") {
		t.Errorf("all is well: %s", out)
	}
	if err := os.Remove(firstObject(t, s3)); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{nil, {"--json"}, {"--fix"}} {
		code, out, errs := command(t, "", append([]string{"store", "verify", "-c", dir}, more...)...)
		if code != exitError || strings.Count(out, "@mail.test") != 1 || !strings.Contains(out, "it is not there") {
			t.Errorf("one is missing, %q: exit %d, %s%s", more, code, out, errs)
		}
	}
}

// TestServeBucket: the built program keeps large messages in a bucket. While that is away these are told to come again, and who wants
// them out to try later; small ones come and go.
func TestServeBucket(t *testing.T) {
	t.Parallel()
	db, s3 := peertest.Postgres(t), peertest.S3(t)
	w := newWorld(t, `"data_dir": "data",`, `"data_dir": "data", `+bucketSettings(db, s3)+`,`)
	bring(t, w.addrs["smtp"], largeMessage(1))
	firstObject(t, s3)
	s3.Kill()
	err := tryBring(w.addrs["smtp"], largeMessage(2))
	if err == nil || !strings.HasPrefix(err.Error(), "451 ") {
		t.Errorf("a large message: %v", err)
	}
	small := "Subject: small\r\n\r\nsmall\r\n"
	bring(t, w.addrs["smtp"], small)
	conn, err := tls.Dial("tcp", w.addrs["pop3s"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	pop := &dialogue{t, conn, bufio.NewReader(conn)}
	pop.expect("+OK")
	pop.ask("USER "+user, "+OK")
	pop.ask("PASS "+password, "+OK")
	pop.ask("RETR 1", "-ERR [SYS/TEMP]")
	pop.ask("TOP 1 3", "+OK") // its beginning is in the database
	pop.text()
	pop.ask("RETR 2", "+OK")
	if got := pop.text(); untraced(t, got) != small {
		t.Errorf("the small one: %q", got)
	}
	pop.ask("QUIT", "+OK")
	peertest.Await(t, "the log to say so", func() bool { return strings.Contains(w.log.String(), "the storage of large messages fails") })
	s3.Start(t)
	got := w.fetchAll(user)
	if len(got) != 2 || untraced(t, got[0]) != largeMessage(1) || untraced(t, got[1]) != small {
		t.Errorf("%d messages", len(got))
	}
}

// tryBring is bring for what may be refused.
func tryBring(addr, text string) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Hello("else.test"), c.Mail("a@else.test"), c.Rcpt(user)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return w.Close()
}
