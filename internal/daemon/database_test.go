package daemon

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// TestTwoServers: two servers with one database. What one takes the other has in its mailboxes and sends, and what the first had in its queue's
// directory before the mail was in a database leaves, too.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	dsn := peertest.DSN(peertest.Postgres(t))
	dir := t.TempDir()
	before, err := spool.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	e := &queue.Entry{ID: "of-before", Queued: time.Now().UTC(), From: smtp.Path{Local: "bob", Domain: "mail.test"}, To: []queue.Recipient{{Path: smtp.Path{Local: "old", Domain: "far.test"}}}}
	w, err := before.Begin(t.Context(), e, queue.NewState(e))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(w, "Subject: of before\r\n\r\n%s", strings.Repeat("0123456789abcde\r\n", 20_000))
	if err := w.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	before.Close()

	settings := func(port int, more string) string {
		return fmt.Sprintf(`"Store": {"postgres": %q}, "SMTP": {"relay_from": ["127.0.0.1/32"]}, "Queue": {"retry_first": "1s", "retry_max": "1s", "Routes": [%s]}, %s`,
			dsn, route("far.test", port, `, "tls": "none"`), more)
	}
	sink, got := sinkServer(t)
	a := start(t, settings(peertest.FreePort(t), fmt.Sprintf(`"queue_dir": %q,`, dir))) // nobody listens there
	a.dial("127.0.0.1:0").play("S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<bob@mail.test>\nS: 250\nC: RCPT TO:<new@far.test>\nS: 250\n" +
		"C: DATA\nS: 354\nC: Subject: new\\r\\n\\r\\ntext\\r\\n.\nS: 250")
	a.awaitQueue(2)
	b := start(t, settings(sink.Port, ""))
	if mail := b.mailbox("bob@mail.test"); len(mail) != 1 || !strings.Contains(mail[0], "Subject: new") {
		t.Errorf("%q", mail)
	}
	all := map[bool]string{}
	for range 2 {
		select {
		case text := <-got:
			all[strings.Contains(text, "<new@far.test>")] = text
		case <-time.After(time.Minute):
			t.Fatalf("only %d came\n%s\n%s", len(all), a.logs, b.logs)
		}
	}
	if old := all[false]; !strings.HasPrefix(old, "<bob@mail.test> <old@far.test>\n") || len(old) < 320_000 || !strings.Contains(all[true], "Subject: new") {
		t.Errorf("%.200q\n%.200q", old, all[true])
	}
	a.awaitQueue(0)
	select {
	case text := <-got:
		t.Errorf("and once more: %.100q", text)
	default:
	}
}

// awaitQueue waits until there are so many entries in the queue.
func (w *testWorld) awaitQueue(n int) {
	w.t.Helper()
	peertest.Await(w.t, fmt.Sprint(n, " entries in the queue"), func() bool {
		all, err := w.post.Outbound.Queue().List(context.Background(), queue.Filter{})
		return err == nil && len(all) == n
	})
}
