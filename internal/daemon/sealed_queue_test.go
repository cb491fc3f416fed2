package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// inClear counts the files below a directory that have these words in clear.
func inClear(t *testing.T, dir, words string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(words)) {
			n++
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// listed is what waits, once it is that many.
func (w *testWorld) listed(n int) (all []queue.View) {
	w.t.Helper()
	for range 600 {
		var err error
		if all, err = w.post.Outbound.Queue().List(context.Background(), queue.Filter{}); err != nil {
			w.t.Fatal(err)
		}
		if len(all) == n {
			return all
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Fatalf("%d messages wait, not %d\n%s", len(all), n, w.logs)
	return nil
}

// onlyIf has a host take no mail for now until it is set to.
func onlyIf(takes *atomic.Bool) func(*smtp.Server) {
	return func(s *smtp.Server) {
		known := s.CheckRcpt
		s.CheckRcpt = func(ctx context.Context, session *smtp.Session, to *smtp.Recipient) error {
			if !takes.Load() {
				return &smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "Later"}
			}
			return known(ctx, session, to)
		}
	}
}

// TestSealedQueue: with Queue.seal no word of what waits is on the disk, an operator sees what he goes by, and it leaves octet for octet; so does what
// waited before, and what waits when the setting is taken back. A bounce quotes the message all the same.
func TestSealedQueue(t *testing.T) {
	var takes atomic.Bool
	sink, got := sinkServer(t, onlyIf(&takes))
	w := startSending(t, `"seal": false, "Routes": [`+route("far.test", sink.Port, `, "tls": "none"`)+"]")
	text := func(n int) string {
		return fmt.Sprintf("Subject: marked %d\r\n\r\nmarked words\r\n", n) + strings.Repeat("more of them\r\n", 10_000*(n%2))
	}
	dir := filepath.Join(w.dir, "data", "queue")
	send := func(n int, to string) {
		t.Helper()
		from := smtp.Path{Local: "bob", Domain: "mail.test"}
		local, domain, _ := strings.Cut(to, "@")
		m := &smtp.Outgoing{From: from, To: []smtp.Recipient{{Path: smtp.Path{Local: local, Domain: domain}}}}
		results, err := w.sender(false, false).Send(context.Background(), m, strings.NewReader(text(n)))
		if err != nil || results[0].Err != nil {
			t.Fatal(err, results)
		}
	}
	send(0, "friend@far.test")
	if inClear(t, dir, "marked words") != 1 {
		t.Fatal("nothing is there, or the search finds nothing")
	}
	w.change(`"seal": false`, `"seal": true`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	send(1, "friend@far.test")
	send(2, "no-such@far.test")
	if n := inClear(t, dir, "marked words"); n != 1 {
		t.Errorf("%d files have a message in clear, of which one was there before", n)
	}
	q := w.post.Outbound.Queue()
	for _, v := range w.listed(3) {
		if n := v.Size; v.Recipients[0].Address == "friend@far.test" && n > 1000 && (n < int64(len(text(1))) || n > int64(len(text(1)))+500) {
			t.Errorf("%+v", v)
		}
	}
	w.change(`"seal": true`, `"seal": false`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	takes.Store(true)
	if _, err := q.Flush(context.Background(), ""); err != nil {
		t.Fatal(err)
	}
	here := receive(t, got) + receive(t, got)
	if !strings.Contains(here, text(0)) || !strings.Contains(here, text(1)) {
		t.Errorf("the other host got %d octets: %.300q", len(here), here)
	}
	if report := w.bounced(); !strings.Contains(report, "Subject: marked 2") || !strings.Contains(report, "marked words") {
		t.Errorf("the report: %q", report)
	}
	w.listed(0)
	if n := inClear(t, dir, "marked words"); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// TestSealedQueueKeyGone: a key that vanishes under the running server is not replaced by another at a reload: what waits, and what comes until the file is
// back, leaves with the one it had.
func TestSealedQueueKeyGone(t *testing.T) {
	var takes atomic.Bool
	sink, got := sinkServer(t, onlyIf(&takes))
	w := startSending(t, `"seal": true, "Routes": [`+route("far.test", sink.Port, `, "tls": "none"`)+"]")
	send := func(words string) {
		t.Helper()
		m := &smtp.Outgoing{From: smtp.Path{Local: "bob", Domain: "mail.test"}, To: []smtp.Recipient{{Path: smtp.Path{Local: "friend", Domain: "far.test"}}}}
		results, err := w.sender(false, false).Send(context.Background(), m, strings.NewReader("Subject: x\r\n\r\n"+words+"\r\n"))
		if err != nil || results[0].Err != nil {
			t.Fatal(err, results)
		}
	}
	send("before it vanished")
	file := w.state().settings.SecretKeyFile
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err == nil || !strings.Contains(err.Error(), "key of the queue") {
		t.Errorf("a reload without the key: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("another key was made in its place")
	}
	send("while it was away")
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	takes.Store(true)
	if _, err := w.post.Outbound.Queue().Flush(context.Background(), ""); err != nil {
		t.Fatal(err)
	}
	if here := receive(t, got) + receive(t, got); !strings.Contains(here, "before it vanished") || !strings.Contains(here, "while it was away") {
		t.Errorf("the other host got %q", here)
	}
}
