package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/smtp"
)

// served is a Box behind SMTP and POP3.
func served(t *testing.T, r Receiving) (b *Box, smtpAddr, pop3Addr string) {
	t.Helper()
	b = NewBox(Limits{}, Sorting{})
	r.Hostname, r.Log = "sink.test", slog.New(slog.DiscardHandler)
	in, out := b.Receiver(r), b.Fetcher(Fetching{Hostname: "sink.test", Log: r.Log})
	listen := func(serve func(net.Listener) error, stop func() error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go serve(l)
		t.Cleanup(func() { stop() })
		return l.Addr().String()
	}
	return b, listen(in.Serve, in.Close), listen(out.Serve, out.Close)
}

func send(addr, to, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return smtp.SendMail(ctx, addr, "a@b.test", []string{to}, strings.NewReader(text))
}

// TestFaults: mail fails for whom it is to fail, when, and how often; each rule says how often it struck.
func TestFaults(t *testing.T) {
	f := &Faults{}
	b, addr, _ := served(t, Receiving{Faults: f})
	made, err := b.Make("team")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		inbox, rules, to string
		fails            string // for each try in turn: "x" fails, "." does not
		kept             int
	}{
		{"", "@to stall first 3 to bob@", "bob@x.test", "xxx..", 2},
		{"", "@to stall first 3 to bob@", "carol@x.test", "..", 2},
		{"", "@data reject every 4 to bob@", "bob@x.test", "...x...x", 6},
		{"", "@connect drop first 1 all", "bob@x.test", "x.", 1},
		{"", "@helo reply \"421 4.3.2 Going down\" first 1 all", "bob@x.test", "x.", 1},
		{"", "@from reply \"452 4.3.1 Full\" first 1 from a@b.test", "bob@x.test", "x.", 1},
		{"", "@message reply \"554 5.6.0 No\" header subject *bad*", "bob@x.test", "xx", 0},
		{"", "@message drop first 1 all", "bob@x.test", "x.", 2}, // it was taken, and the client cannot know
		{"", "discard to bob@", "bob@x.test", "..", 0},
		{"team", "@to reject all", made.Address, "xx", 0},
		{"team", "@to reject all", "bob@x.test", "..", 2},
		{"", "", made.Address, "..", 2},
	} {
		t.Run(c.rules+" "+c.to, func(t *testing.T) {
			b.DeleteAll("", nil)
			f.Set("", "")
			f.Set("team", "")
			if err := f.Set(c.inbox, c.rules); err != nil {
				t.Fatal(err)
			}
			for i, want := range c.fails {
				if err := send(addr, c.to, "Subject: bad\r\n\r\n"); (err != nil) != (want == 'x') {
					t.Errorf("try %d: %v", i+1, err)
				}
			}
			if n := find(b, "", "").Total; n != c.kept {
				t.Errorf("%d kept", n)
			}
			_, struck := f.Get(c.inbox)
			want := strings.Count(c.fails, "x")
			if strings.HasPrefix(c.rules, "discard") {
				want = 2
			}
			if got := struckIn(struck); got != want {
				t.Errorf("struck %d times: %v", got, struck)
			}
		})
	}
	if err := f.Set("", "@to stall furst 3 all"); err == nil || !strings.Contains(err.Error(), "rules:1:") {
		t.Errorf("%v", err)
	}
}

func struckIn(all []Struck) (n int) {
	for _, s := range all {
		n += int(s.Times)
	}
	return n
}

// TestFirstThree: two clients at once, and exactly three failures.
func TestFirstThree(t *testing.T) {
	f := &Faults{}
	if err := f.Set("", "@to stall first 3 to bob@"); err != nil {
		t.Fatal(err)
	}
	b, addr, _ := served(t, Receiving{Faults: f})
	var mu sync.Mutex
	failed := 0
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			for range 10 {
				if send(addr, "bob@x.test", "\r\n") != nil {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	if n := find(b, "", "").Total; failed != 3 || n != 17 {
		t.Errorf("%d failed, %d kept", failed, n)
	}
}

// TestReply: the last word of the answer is the message's id, the octets come back by POP3, and who may
// fetch what.
func TestReceiveAndFetch(t *testing.T) {
	b, addr, fetch := served(t, Receiving{})
	made, err := b.Make("team")
	if err != nil {
		t.Fatal(err)
	}
	text := "Subject: x\r\n\r\n.dots\r\n..\r\nlong " + strings.Repeat("y", 5000) + "\r\n"
	for i := range 150 {
		if err := send(addr, made.Address, fmt.Sprintf("X-N: %d\r\n", i)+text); err != nil {
			t.Fatal(err)
		}
	}
	d := &pop3.Dialer{User: "team", Password: "wrong", AllowCleartextAuth: true}
	if _, err := d.Dial(t.Context(), fetch); err == nil {
		t.Error("a wrong password opens an inbox that was made")
	}
	d.Password = made.Password
	c, err := d.Dial(t.Context(), fetch)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list, err := c.List(t.Context())
	if err != nil || len(list) != 150 {
		t.Fatal(len(list), err)
	}
	for _, n := range []int{1, 150} { // oldest first
		r, err := c.Retr(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		if _, err := r.WriteTo(&got); err != nil || got.String() != fmt.Sprintf("X-N: %d\r\n", n-1)+text {
			t.Errorf("message %d: %.60q, %v", n, got.String(), err)
		}
	}
	client, err := smtp.Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	m := &smtp.Outgoing{To: []smtp.Recipient{{Path: smtp.Path{Local: "new", Domain: "x.test"}}}}
	results, err := client.Send(t.Context(), m, strings.NewReader("\r\n"))
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results)
	}
	words := strings.Fields(results[0].Reply.Text)
	if _, err := b.Get("new@x.test", words[len(words)-1]); err != nil {
		t.Errorf("%q: %v", results[0].Reply.Text, err)
	}
}

// TestBroken: whatever comes is there with its defects named, or refused at once; never taken and gone, and never to
// come again.
func TestBroken(t *testing.T) {
	b, addr, _ := served(t, Receiving{})
	for i, text := range []string{"", "\r\n", "no header", "Subject: x", ":\r\n\r\n", "From: \xff\xfe\r\n\r\n", strings.Repeat("X: y\r\n", 20000), "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", "Content-Type: multipart/mixed\r\n\r\n", "A: \x00\r\n\r\n", strings.Repeat("z", 100_000)} {
		before := find(b, "", "").Total
		err := send(addr, "a@b.test", text)
		after := find(b, "", "").Total
		var refused *smtp.SendError
		switch {
		case err == nil && after == before+1:
		case errors.As(err, &refused) && refused.Results[0].Reply != nil && refused.Results[0].Reply.Code >= 500 && after == before:
		default:
			t.Errorf("%d: %v, %d became %d", i, err, before, after)
		}
	}
}

// TestEveryRuleCounts: also rules that refuse nothing are counted each time they did something.
func TestEveryRuleCounts(t *testing.T) {
	f := &Faults{}
	b, addr, _ := served(t, Receiving{Faults: f})
	if err := f.Set("", "@to delay 1ms to bob@\n@message tag \"X-Seen: yes\" all\n@message discard to carol@\n@to reject to dave@\n"); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"bob@x.test", "carol@x.test", "bob@x.test", "dave@x.test"} {
		send(addr, to, "Subject: x\r\n\r\n")
	}
	_, struck := f.Get("")
	if got, want := fmt.Sprint(struck), "[{rules:1 2} {rules:2 3} {rules:3 1} {rules:4 1}]"; got != want || find(b, "", "").Total != 2 {
		t.Errorf("%s, %d are there", got, find(b, "", "").Total)
	}
}

// TestRealSize: a rule about the size knows that of the message that came, whatever was said before.
func TestRealSize(t *testing.T) {
	f := &Faults{}
	_, addr, _ := served(t, Receiving{Faults: f})
	if err := f.Set("", "@message reject size >1kB"); err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]string{100: "250", 5000: "554"} {
		got := mailtest.Talk(t, addr, "EHLO c.test", "MAIL FROM:<a@b.test> SIZE=7", "RCPT TO:<a@x.test>", "DATA", "\r\n"+strings.Repeat("x\r\n", size/3)+".")
		if last := got[len(got)-1]; !strings.HasPrefix(last, want) {
			t.Errorf("%d octets: %q", size, last)
		}
	}
}
