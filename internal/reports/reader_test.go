package reports

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/rfc2822"
)

const box = "dmarc@ours.example"

// world is a host that takes reports.
type world struct {
	t      *testing.T
	dir    string
	disk   *durable.Disk
	mail   *maildir.Store
	store  *Store
	reader *Reader
}

func inWorld(t *testing.T, run func(w *world)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: dir}
		w.open()
		defer func() { w.close() }()
		run(w)
	})
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.disk, err = durable.Open(w.dir); err != nil {
		w.t.Fatal(err)
	}
	if w.mail, err = maildir.Open(filepath.Join(w.dir, "mail"), maildir.WithDisk(w.disk)); err != nil {
		w.t.Fatal(err)
	}
	if w.store, err = OpenStore(w.t.Context(), w.kept(), w.disk); err != nil {
		w.t.Fatal(err)
	}
	w.reader = &Reader{
		Mailboxes: w.mail, Store: w.store, Log: slog.New(slog.DiscardHandler),
		Names: func() []string { return []string{box} }, Age: func() time.Duration { return 90 * 24 * time.Hour },
	}
}

func (w *world) close() { w.mail.Close(); w.disk.Close() }

func (w *world) kept() string { return filepath.Join(w.dir, "reports") }

// deliver puts messages into the mailbox, as SMTP does before its 250.
func (w *world) deliver(mails ...[]byte) {
	w.t.Helper()
	for _, mail := range mails {
		d, err := w.mail.Create(w.t.Context(), mailstore.Meta{}, box)
		if err == nil {
			_, err = d.Write(mail)
		}
		if err == nil {
			err = d.Commit(w.t.Context(), nil)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// waiting is how many messages are in the mailbox.
func (w *world) waiting() int {
	w.t.Helper()
	u, err := w.mail.Usage(w.t.Context(), box)
	if err != nil {
		w.t.Fatal(err)
	}
	return int(u.Messages)
}

func (w *world) all() []*Report {
	w.t.Helper()
	all, err := ReadAll(w.kept(), time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func kinds(all []*Report) string {
	var s []string
	for _, r := range all {
		s = append(s, string(r.Kind))
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

func good(t testing.TB, id string) []byte {
	return one(gz(bytes.ReplaceAll(sample(t, "rfc7489.xml"), []byte("1234567890"), []byte(id))), "application/gzip", "r.gz")
}

// TestReader: what is read is kept once and its mail removed; what cannot be read stays,
// with a reason.
func TestReader(t *testing.T) {
	inWorld(t, func(w *world) {
		w.reader.Read(w.t.Context()) // there is no mailbox yet
		w.deliver(good(t, "1"), good(t, "2"), good(t, "1"), one(gz([]byte("word")), "application/gzip", "r.gz"),
			one(gz(sample(t, "tls.json")), "application/tlsrpt+gzip", "r.gz"), mailOf(),
			mailOf(attachment{"application/gzip", "a", gz(sample(t, "rfc9990.xml"))}, attachment{"application/gzip", "b", nil}))
		for range 3 {
			w.reader.Read(w.t.Context())
		}
		if got := kinds(w.all()); got != "dmarc dmarc dmarc tls unreadable unreadable unreadable" {
			t.Errorf("kept: %s", got)
		}
		if n := w.waiting(); n != 3 {
			t.Errorf("%d messages stay", n)
		}
		for _, r := range w.all() {
			if r.Sender != "reports@reporter.example" || r.Received.IsZero() || r.Kind == Unreadable && (r.Reason == "" || !strings.HasPrefix(r.Mail, box+"/")) {
				t.Errorf("%+v", r)
			}
		}
	})
}

// TestReaderRestarts: a report that was accepted is kept, whenever the server dies, and
// once.
func TestReaderRestarts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(good(t, "1"), good(t, "2"), mailOf())
		w.reader.Mailboxes = dying{w.mail}
		w.reader.Read(w.t.Context()) // all is kept, nothing removed
		if n := w.waiting(); n != 3 {
			t.Errorf("%d messages", n)
		}
		w.close()
		w.open()
		for range 2 {
			w.reader.Read(w.t.Context())
		}
		if got := kinds(w.all()); got != "dmarc dmarc unreadable" {
			t.Errorf("kept: %s", got)
		}
		if n := w.waiting(); n != 1 {
			t.Errorf("%d messages", n)
		}
		w.close()
		w.open()
		time.Sleep(24 * time.Hour)
		w.deliver(good(t, "2"), good(t, "3"))
		w.reader.Read(w.t.Context())
		if got := kinds(w.all()); got != "dmarc dmarc dmarc unreadable" {
			t.Errorf("kept: %s", got)
		}
	})
}

// dying removes nothing.
type dying struct{ Mailboxes }

func (d dying) Open(ctx context.Context, name string) (mailstore.Maildrop, error) {
	box, err := d.Mailboxes.Open(ctx, name)
	return dyingBox{box}, err
}

type dyingBox struct{ mailstore.Maildrop }

func (dyingBox) Remove(context.Context, []int) error { return errors.New("killed") }

// TestReaderRuns: what comes is read within a minute.
func TestReaderRuns(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, stop := context.WithCancel(w.t.Context())
		done := make(chan struct{})
		go func() { w.reader.Run(ctx); close(done) }()
		time.Sleep(10 * time.Second)
		w.deliver(good(t, "1"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.all()) != 1 {
			t.Error("it is not read")
		}
		stop()
		<-done
	})
}

// TestLocked: a mailbox that somebody else holds is read later.
func TestLocked(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(good(t, "1"))
		held, err := w.mail.Open(w.t.Context(), box)
		if err != nil {
			t.Fatal(err)
		}
		w.reader.Read(w.t.Context())
		if len(w.all()) != 0 {
			t.Error("read under another's lock")
		}
		held.Close()
		w.reader.Read(w.t.Context())
		if len(w.all()) != 1 {
			t.Error("not read")
		}
	})
}

// TestAge: reports and mail that cannot be read go when they are old enough.
func TestAge(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(good(t, "1"), mailOf())
		w.reader.Read(w.t.Context())
		time.Sleep(89 * 24 * time.Hour)
		w.deliver(good(t, "2"))
		w.reader.Read(w.t.Context())
		if got := kinds(w.all()); got != "dmarc dmarc unreadable" || w.waiting() != 1 {
			t.Errorf("after 89 days: %s, %d messages", got, w.waiting())
		}
		time.Sleep(2 * 24 * time.Hour)
		w.reader.Read(w.t.Context())
		w.reader.Read(w.t.Context())
		if got := kinds(w.all()); got != "dmarc" || w.waiting() != 0 {
			t.Errorf("after 91 days: %s, %d messages", got, w.waiting())
		}
		since, err := ReadAll(w.kept(), time.Now().Add(-24*time.Hour))
		if err != nil || len(since) != 0 {
			t.Errorf("of the last day: %d, %v", len(since), err)
		}
	})
}

// TestMailsBounded: mail that cannot be read is bounded in number and size.
func TestMailsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range maxMails + 5 {
			w.deliver(slices.Concat([]byte(fmt.Sprintf("X-Number: %d\r\n", i)), mailOf()))
			time.Sleep(time.Minute)
		}
		w.reader.Read(w.t.Context())
		if n := w.waiting(); n != maxMails {
			t.Errorf("%d messages stay", n)
		}
		p := &pass{Reader: w.reader, box: sizes{25 << 20, 30 << 20, 22 << 20, 1}, stay: []int{0, 1, 2, 3}}
		p.discard(time.Time{})
		if !slices.Equal(p.done, []int{1, 0}) {
			t.Errorf("discarded: %v", p.done)
		}
	})
}

// sizes is a maildrop of messages of these sizes.
type sizes []int64

func (s sizes) Len() int                                         { return len(s) }
func (s sizes) Size(i int) int64                                 { return s[i] }
func (s sizes) UID(i int) string                                 { return fmt.Sprint(i) }
func (s sizes) Close() error                                     { return nil }
func (s sizes) Remove(context.Context, []int) error              { return nil }
func (s sizes) Open(context.Context, int) (io.ReadCloser, error) { return nil, mailstore.ErrGone }

// TestBounds: each class has room of its own.
func TestBounds(t *testing.T) {
	inWorld(t, func(w *world) {
		most, _ := bound("u")
		for i := range most + 10 { // the oldest is trusted
			class := "u"
			if i == 0 {
				class = "t"
			}
			stamp := time.Now().Add(time.Duration(i) * time.Second).UTC().Format(stampForm)
			name := fmt.Sprintf("%s-%s-%0*x.json", stamp, class, keyLength, i)
			if err := os.WriteFile(filepath.Join(w.kept(), name), fmt.Appendf(nil, `{"id": "%d"}`, i), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.close()
		w.open()
		if err := w.store.Prune(w.t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		all := w.all()
		if len(all) != most+1 || all[0].ID != "0" || all[1].ID != "10" {
			t.Errorf("%d are left, from %q on", len(all), all[1].ID)
		}
	})
}

// TestTrust: a forged report is kept as such, and does not stand in the way of the true
// one that comes later.
func TestTrust(t *testing.T) {
	inWorld(t, func(w *world) {
		w.reader.Trust = func(top *rfc2822.Section, sender string) Trust {
			if top.Get("X-Result") == "pass" && sender == "reports@reporter.example" {
				return Trusted
			}
			return Untrusted
		}
		w.deliver(good(t, "1"), good(t, "1"), slices.Concat([]byte("X-Result: pass\r\n"), good(t, "1")), slices.Concat([]byte("X-Result: pass\r\n"), good(t, "1")))
		w.reader.Read(w.t.Context())
		var got []Trust
		for _, r := range w.all() {
			got = append(got, r.Trust)
		}
		slices.Sort(got)
		if !slices.Equal(got, []Trust{Trusted, Untrusted}) {
			t.Errorf("%q", got)
		}
	})
}

// TestSender: who sent a message is said only where it is one.
func TestSender(t *testing.T) {
	for from, want := range map[string]string{
		"From: A <a@B.example>\r\n":                     "a@b.example",
		"From: a@b.example, c@d.example\r\n":            "",
		"From: a@b.example\r\nFrom: c@d.example\r\n":    "",
		"Subject: x\r\n":                                "",
		"From: \"x\x1b[31m\" <\"a\x1b\"@b.example>\r\n": "a @b.example",
		"From: undisclosed:;\r\n":                       "",
	} {
		m := readBytes(t, []byte(from+"\r\nx\r\n"))
		if got := m.sender; got != want && want != "a @b.example" || strings.ContainsRune(got, '\x1b') {
			t.Errorf("%q: %q", from, got)
		}
	}
}

// TestReadAll: what is damaged is named, and the others are there.
func TestReadAll(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(good(t, "1"))
		w.reader.Read(w.t.Context())
		bad := "20261129T101112Z-t-" + strings.Repeat("0", keyLength) + ".json"
		for name, text := range map[string]string{bad: "{", "README": "", "x-t-y.json": "", bad + ".tmp": ""} {
			if err := os.WriteFile(filepath.Join(w.kept(), name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		all, err := ReadAll(w.kept(), time.Time{})
		if len(all) != 1 || err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%d, %v", len(all), err)
		}
	})
}

// TestByResults: what this host wrote on top of a message is believed, nothing else.
func TestByResults(t *testing.T) {
	trust := ByResults(func() string { return "mail.ours.example" })
	const from, received = "From: a@big.example\r\n\r\n", "Received: from x by mail.ours.example; Mon, 30 Nov 2026 00:00:00 +0000\r\n"
	ours := func(result string) string {
		return "Authentication-Results: mail.ours.example;\r\n\tspf=pass smtp.mailfrom=big.example; dmarc=" + result + "\r\n"
	}
	for _, c := range []struct {
		top  string
		want Trust
	}{
		{"Return-Path: <a@big.example>\r\n" + ours("pass header.from=big.example") + received + from, Trusted},
		{ours("pass header.from=BIG.example") + received + from, Trusted},
		{ours("fail header.from=big.example") + received + from, Untrusted},
		{ours("none header.from=big.example") + received + from, Untrusted},
		{ours("temperror header.from=big.example") + received + from, Untrusted},
		{ours("pass header.from=other.example") + received + from, Untrusted},
		{ours("pass") + received + from, Untrusted},
		{ours("pass header.from=big.example") + ours("fail header.from=big.example") + received + from, Untrusted},
		{ours("fail header.from=big.example") + ours("pass header.from=big.example") + received + from, Untrusted},
		{received + from, Unchecked},
		{received + ours("pass header.from=big.example") + from, Unchecked},
		{strings.Replace(ours("pass header.from=big.example"), "mail.ours", "mail.theirs", 1) + received + from, Unchecked},
		{ours("pass header.from=big.example") + from, Unchecked},
		{"Authentication-Results: mail.ours.example; none\r\n" + received + from, Unchecked},
	} {
		m := readBytes(t, []byte(c.top))
		if got := trust(&m.header, m.sender); got != c.want {
			t.Errorf("%q, want %q:\n%s", got, c.want, c.top)
		}
	}
	m := readBytes(t, []byte(ours("pass header.from=big.example")+received+"From: a@big.example, b@big.example\r\n\r\n"))
	if got := trust(&m.header, m.sender); got != Untrusted {
		t.Errorf("two senders: %q", got)
	}
}

// TestBounces: a bounce of a report of ours is dealt with; any other is none of our mail.
func TestBounces(t *testing.T) {
	inWorld(t, func(w *world) {
		var known bool
		var got []*rfc2822.Report
		w.reader.Bounced = func(_ context.Context, r *rfc2822.Report) bool {
			got = append(got, r)
			return known
		}
		var b bytes.Buffer
		report := &rfc2822.Report{To: box, ReportingMTA: "mx.big.example", Original: strings.NewReader("Message-ID: <id@ours.example>\r\nTo: <a@big.example>\r\n\r\nx\r\n"),
			Recipients: []rfc2822.RecipientStatus{{FinalRecipient: "a@big.example", Action: rfc2822.Failed, Status: "5.1.1"}}}
		if _, err := report.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		w.deliver(b.Bytes())
		w.reader.Read(w.t.Context())
		if all := w.all(); len(all) != 1 || all[0].Kind != Unreadable || !strings.Contains(all[0].Reason, "none of our reports") || w.waiting() != 1 {
			t.Errorf("a stranger's: %+v", all)
		}
		known = true
		w.deliver(b.Bytes())
		w.reader.Read(w.t.Context())
		if len(w.all()) != 1 || w.waiting() != 1 {
			t.Error("one of ours is kept")
		}
		if len(got) != 2 || got[1].Returned == nil || got[1].Returned.Get("Message-ID") != "<id@ours.example>" || got[1].Recipients[0].Action != rfc2822.Failed {
			t.Errorf("%+v", got)
		}
	})
}
