package daemon

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// submitting is a session of alice's, who has logged in.
func (w *testWorld) submitting() *talk {
	w.t.Helper()
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO client.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO client.test\nS: 250\nC: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00"+testPassword)) + "\nS: 235")
	return k
}

// TestWishes: what users may ask of the time their mail takes, and of who gets it, is
// carried to the next hop, or is answered as it must be where that cannot be.
func TestWishes(t *testing.T) {
	given := make(chan *smtp.Envelope, 10)
	able, _ := sinkServer(t, func(s *smtp.Server) {
		s.Extensions = smtp.Extensions{DeliverBy: true, Priority: true, RRVS: true, DSN: true}
		s.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			_, err := io.Copy(io.Discard, e.Data)
			given <- e
			return err
		})
	})
	plain, got := sinkServer(t)
	w := startSending(t, `"Routes": [`+route("far.test", able.Port, "")+`, `+route("plain.test", plain.Port, "")+`]`)

	w.greeted().play("C: MAIL FROM:<a@far.test> HOLDFOR=60\nS: 555\nC: MAIL FROM:<a@far.test> BY=60;N\nS: 555\nC: MAIL FROM:<a@far.test> MT-PRIORITY=9\nS: 555")
	k := w.submitting()
	words := k.announced()
	for _, word := range []string{"FUTURERELEASE", "DELIVERBY", "MT-PRIORITY", "RRVS"} {
		if !words[word] {
			t.Errorf("%s is missing in %v", word, words)
		}
	}

	k.play(`
		C: MAIL FROM:<alice@mail.test> BY=3600;R MT-PRIORITY=4
		S: 250
		C: RCPT TO:<friend@far.test> RRVS=2020-01-01T00:00:00Z;R
		S: 250
		C: RCPT TO:<bob@mail.test> RRVS=2020-01-01T00:00:00Z;R
		S: 550 5.7.19
		C: RCPT TO:<bob@mail.test> RRVS=2020-01-01T00:00:00Z;C
		S: 250
		C: DATA
		S: 354
		C: Subject: one\r\n\r\nx\r\n.
		S: 250`)
	select {
	case e := <-given:
		p, r := e.Params, e.To[0].Params
		if p.Priority != 4 || p.By == nil || !p.By.Return || time.Until(p.By.By) > time.Hour || time.Until(p.By.By) < 50*time.Minute {
			t.Errorf("the next hop got %+v, %v", p, p.By)
		}
		if !r.RRVSReject || !r.RRVS.Equal(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("the next hop got %+v", r)
		}
	case <-time.After(forEver):
		t.Fatal("nothing arrived")
	}

	// What may not be forgotten does not go where it would be.
	k.play("C: MAIL FROM:<alice@mail.test> BY=3600;R\nS: 250\nC: RCPT TO:<friend@plain.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: two\\r\\n\\r\\nx\\r\\n.\nS: 250")
	if report := flat(w.waitFor("alice@mail.test", 1)[0]); !strings.Contains(report, "Status: 5.3.3") {
		t.Errorf("the report says %s", report)
	}
	k.play("C: MAIL FROM:<alice@mail.test> BY=3600;N MT-PRIORITY=-2\nS: 250\nC: RCPT TO:<friend@plain.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: three\\r\\n\\r\\nx\\r\\n.\nS: 250")
	receive(t, got)
}

// TestHeldMail: mail waits in the queue until its sender wants it to go, and only so
// long as anybody may ask for; mail that stays here is not held and says so.
func TestHeldMail(t *testing.T) {
	t.Parallel()
	sink, got := sinkServer(t)
	w := startSending(t, `"Routes": [`+route("far.test", sink.Port, "")+`]`)
	k := w.submitting()
	k.play(`
		C: MAIL FROM:<alice@mail.test> HOLDFOR=2678401
		S: 501
		C: MAIL FROM:<alice@mail.test> HOLDUNTIL=` + time.Now().AddDate(0, 2, 0).UTC().Format(time.RFC3339) + `
		S: 501
		C: MAIL FROM:<alice@mail.test> HOLDFOR=3600
		S: 250
		C: RCPT TO:<bob@mail.test>
		S: 550 5.3.3
		C: RCPT TO:<friend@far.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: later\r\n\r\nx\r\n.
		S: 250
		C: MAIL FROM:<alice@mail.test> HOLDFOR=1
		S: 250
		C: RCPT TO:<friend@far.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: soon\r\n\r\nx\r\n.
		S: 250`)
	if m := receive(t, got); !strings.Contains(m, "Subject: soon") {
		t.Errorf("what is to wait for an hour has left: %s", m)
	}
	waitFor(t, func() bool { return w.post.Outbound.Queue().Counters().Entries == 1 })
	all, err := w.post.Outbound.Queue().List(context.Background(), queue.Filter{})
	if err != nil || len(all) != 1 || time.Until(all[0].HoldUntil) < 50*time.Minute || all[0].Recipients[0].Attempts != 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	x, err := w.post.Outbound.Queue().Explain(context.Background(), all[0].ID)
	if why := fmt.Sprint(x.Why); err != nil || !strings.Contains(why, "No attempt was made yet") || !strings.Contains(why, "held until") {
		t.Errorf("%s, %v", why, err)
	}
}
