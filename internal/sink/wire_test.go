package sink

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

func auth(user, password string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
}

// TestParameters: what clients say beside an address is understood, what nobody knows is refused, and
// odd addresses stay whole.
func TestParameters(t *testing.T) {
	b, addr, _ := served(t, Receiving{})
	for line, want := range map[string]string{
		"MAIL FROM:<a@x.test> SIZE=1 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x AUTH=<>": "250", "MAIL FROM:<a@x.test> FOO=1": "555", "MAIL FROM:<>": "250",
		`MAIL FROM:<"odd user"@x.test>`: "250", `MAIL FROM:<"a@b"@x.test>`: "250", `MAIL FROM:<"a\"b"@x.test>`: "250", "MAIL FROM:<a@x.test> SIZE=99999999999": "552",
	} {
		if got := mailtest.Talk(t, addr, "EHLO c.test", line); !strings.HasPrefix(got[2], want) {
			t.Errorf("%s: %q", line, got)
		}
	}
	for _, odd := range []string{`"odd user"@x.test`, `"a@b"@x.test`, `"a\"b"@x.test`, "a/b@x.test", "a+b@x.test"} {
		got := mailtest.Talk(t, addr, "EHLO c.test", "MAIL FROM:<"+odd+">", "RCPT TO:<"+odd+">", "DATA", "From: "+odd+"\r\nTo: "+odd+"\r\n\r\n.")
		words := strings.Fields(got[len(got)-1])
		m, err := b.Get("", words[len(words)-1])
		if err != nil || m.From != odd || m.Envelope.To[0] != odd || m.Author.Address != odd || len(m.Bcc) != 0 {
			t.Errorf("%s: %q, %v: from %q to %q, author %q, bcc %v", odd, got, err, m.From, m.Envelope.To, m.Author.Address, m.Bcc)
		}
		if n := find(b, b.Name(odd), "").Total; n != 1 {
			t.Errorf("%s: %d in its inbox %q", odd, n, b.Name(odd))
		}
	}
}

// TestEndless: a command or a line without an end is answered, and costs no memory.
func TestEndless(t *testing.T) {
	b, addr, _ := served(t, Receiving{MessageSize: 1 << 20})
	if got := mailtest.Talk(t, addr, "EHLO c.test", "NOOP "+strings.Repeat("x", 1<<20)); !strings.HasPrefix(got[len(got)-1], "500") && got[len(got)-1] != "gone" {
		t.Errorf("command: %.80q", got[len(got)-1])
	}
	got := mailtest.Talk(t, addr, "EHLO c.test", "MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA", strings.Repeat("x", 16<<20)+"\r\n.")
	if last := got[len(got)-1]; !strings.HasPrefix(last, "552") && last != "gone" {
		t.Errorf("line: %.80q", last)
	}
	if n := find(b, "", "").Total; n != 0 {
		t.Errorf("%d were kept", n)
	}
}

// ownTLS is TLS with a certificate made now.
func ownTLS(t *testing.T) *tls.Config {
	t.Helper()
	cert, key, err := certs.SelfSigned("sink.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// TestLogins: AUTH is offered, also without TLS; whoever logs in may, and of a list those on it.
func TestLogins(t *testing.T) {
	secure := ownTLS(t)
	for _, c := range []struct {
		name  string
		conf  Receiving
		lines []string
		want  string // of the last answer
	}{
		{"any, none", Receiving{}, []string{"MAIL FROM:<>"}, "250"},
		{"any, any", Receiving{}, []string{auth("who", "ever")}, "235"},
		{"list, right", Receiving{Logins: map[string]string{"u": "p"}}, []string{auth("u", "p")}, "235"},
		{"list, wrong", Receiving{Logins: map[string]string{"u": "p"}}, []string{auth("u", "x")}, "535"},
		{"list, unknown", Receiving{Logins: map[string]string{"u": "p"}}, []string{auth("v", "")}, "5"},
		{"list, none", Receiving{Logins: map[string]string{"u": "p"}}, []string{"MAIL FROM:<>"}, "250"},
		{"required, none", Receiving{RequireAuth: true}, []string{"MAIL FROM:<>"}, "530"},
		{"tls", Receiving{TLSConfig: secure}, []string{"STARTTLS"}, "220"},
		{"tls required", Receiving{TLSConfig: secure, TLSMode: smtp.RequireTLS}, []string{"MAIL FROM:<>"}, "530"},
	} {
		_, addr, _ := served(t, c.conf)
		got := mailtest.Talk(t, addr, append([]string{"EHLO c.test"}, c.lines...)...)
		if last := got[len(got)-1]; !strings.HasPrefix(last, c.want) || c.conf.TLSMode != smtp.RequireTLS && !strings.Contains(got[1], "AUTH") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestSession: what was said is remembered, also where nothing was taken, with every reason and without
// passwords.
func TestSession(t *testing.T) {
	sessions := &Sessions{}
	b, addr, _ := served(t, Receiving{Sessions: sessions, Allowed: regexp.MustCompile("@ok"), Logins: map[string]string{"u": "p"}})
	mailtest.Talk(t, addr, "EHLO c.test", auth("u", "verysecret"), "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA", "QUIT")
	list := sessions.List()
	if len(list) != 1 {
		t.Fatalf("%d sessions", len(list))
	}
	var said strings.Builder
	for _, l := range list[0].Lines {
		fmt.Fprintln(&said, l)
	}
	for _, want := range []string{"C: EHLO c.test", "S: 535", "C: RCPT TO:<b@x.test>", "S: 550 5.7.1", "C: DATA", "C: QUIT"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q was not said: %s", want, &said)
		}
	}
	if strings.Contains(said.String(), base64.StdEncoding.EncodeToString([]byte("\x00u\x00verysecret"))) {
		t.Error("the password is remembered")
	}
	if c, _, _ := b.Counts(); c.Rejected == 0 || c.Accepted != 0 {
		t.Errorf("%+v", c)
	}
}

// TestSorting: inboxes of logins and of a field are apart, as those of addresses are.
func TestSorting(t *testing.T) {
	for _, s := range []string{"recipient", "login", "header:X-Test"} {
		by, err := ParseSorting(s)
		if err != nil {
			t.Fatal(err)
		}
		b := NewBox(Limits{}, by)
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				name := fmt.Sprintf("test%d@x.test", i)
				for range 2 {
					b.DeleteAll(name, nil)
					var sent []string
					for range 20 {
						id := NewID()
						sent = append(sent, id)
						if err := b.Put(t.Context(), id, Envelope{To: []string{name}, User: name, Received: time.Now()}, []byte("X-Test: "+name+"\r\n\r\n")); err != nil {
							t.Error(err)
						}
					}
					if got, _ := b.Wait(t.Context(), name, nil, time.Time{}, 20); !slices.Equal(ids(got), sent) {
						t.Errorf("%s, %s: %d", s, name, len(got))
					}
				}
			})
		}
		wait.Wait()
	}
}

// TestRelease: each recipient is looked at for itself, the bad ones are named in the server's words, and what is sent is the
// message without its Bcc.
func TestRelease(t *testing.T) {
	target, addr, _ := served(t, Receiving{Allowed: regexp.MustCompile("@(ok|fine)")})
	r := &Relay{Address: addr, Dialer: &smtp.Dialer{}, Allowed: regexp.MustCompile(`@(ok|no)\.test$`)}
	raw := "Message-ID: <1@x>\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\nBcc: secret@x.test\r\nSubject: x\r\n\r\n.dot\r\n"
	err := r.Release(t.Context(), "a@b.test", []string{"one@ok.test", "two@no.test", "three@other.test", "no address", "four@ok.test"}, []byte(raw))
	for _, want := range []string{"two@no.test", "not among those that are allowed here", "three@other.test", "no address"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	p := find(target, "", "")
	if len(p.Messages) != 1 || !slices.Equal(p.Messages[0].Envelope.To, []string{"one@ok.test", "four@ok.test"}) || p.Messages[0].From != "a@b.test" {
		t.Fatalf("%+v", p.Messages)
	}
	if got, _ := target.Octets("", p.Messages[0].ID); string(got) != strings.Replace(raw, "Bcc: secret@x.test\r\n", "", 1) {
		t.Errorf("%q", got)
	}
}

// TestWebhook: all of a burst are told, each once, also by way of a receiver that fails at first; what is lost is counted.
func TestWebhook(t *testing.T) {
	var mu sync.Mutex
	told, tries := map[string]int{}, 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries <= 1 {
			http.Error(w, "not yet", http.StatusInternalServerError)
			return
		}
		var m struct{ ID string }
		json.NewDecoder(r.Body).Decode(&m)
		told[m.ID]++
	}))
	defer receiver.Close()
	b := NewBox(Limits{}, Sorting{})
	h := &Webhook{URL: receiver.URL, Log: slog.New(slog.DiscardHandler), Summary: func(m *Message) ([]byte, error) { return json.Marshal(struct{ ID string }{m.ID}) }}
	go h.Serve(t.Context(), b)
	for range 1000 { // until it watches
		b.mu.RLock()
		n := len(b.watch)
		b.mu.RUnlock()
		if n > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	var sent []string
	for range 50 {
		sent = append(sent, put(t, b, "\r\n", "a@x.test"))
	}
	all := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) == len(sent)
	}
	for range 3000 {
		if all() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, id := range sent {
		if told[id] != 1 {
			t.Errorf("%s: told %d times", id, told[id])
		}
	}
	if h.Lost() != 0 {
		t.Errorf("%d lost", h.Lost())
	}
}

// answering answers each request with the next code, and with the last of them from there on.
type answering struct {
	mu    sync.Mutex
	codes []int
	asked int
	told  map[string]int
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	code := a.codes[min(a.asked, len(a.codes)-1)]
	a.asked++
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if code == 200 {
		a.told[string(text)]++
	}
	return &http.Response{StatusCode: code, Status: strconv.Itoa(code), Header: http.Header{"Location": {"http://127.0.0.1:1/"}}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// TestWebhookTries: a receiver that fails several times is told in the end, once; one that never takes a message costs that
// message and no other; what waits too long is counted; nobody is told but who was named.
func TestWebhookTries(t *testing.T) {
	for name, c := range map[string]struct {
		codes       []int
		asked, told int
		lost        uint64
		after       time.Duration
	}{
		"twice 500":       {[]int{500, 500, 200}, 5, 3, 0, 3 * time.Second},
		"four times":      {[]int{500, 503, 404, 302, 200}, 7, 3, 0, 15 * time.Second},
		"one never":       {[]int{500, 500, 500, 500, 500, 200}, 7, 2, 1, 15 * time.Second},
		"leads elsewhere": {[]int{307}, 15, 0, 3, 45 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answering{codes: c.codes, told: make(map[string]int)}
				b := NewBox(Limits{}, Sorting{})
				h := &Webhook{URL: "http://hook.test/", Log: slog.New(slog.DiscardHandler), Transport: a, Summary: func(m *Message) ([]byte, error) { return []byte(m.ID), nil }}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				go h.Serve(ctx, b)
				synctest.Wait()
				for range 3 {
					put(t, b, "\r\n", "a@x.test")
				}
				time.Sleep(c.after - time.Millisecond)
				synctest.Wait()
				a.mu.Lock()
				if a.asked == c.asked {
					t.Errorf("all of it too soon")
				}
				a.mu.Unlock()
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				a.mu.Lock()
				defer a.mu.Unlock()
				if a.asked != c.asked || len(a.told) != c.told || h.Lost() != c.lost {
					t.Errorf("asked %d times, told %v, lost %d", a.asked, a.told, h.Lost())
				}
				for id, n := range a.told {
					if n != 1 {
						t.Errorf("%s: told %d times", id, n)
					}
				}
			})
		})
	}
}

// TestWebhookLost: what a receiver that hangs leaves no room for is counted.
func TestWebhookLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBox(Limits{Messages: 10}, Sorting{})
		h := &Webhook{URL: "http://hook.test/", Log: slog.New(slog.DiscardHandler), Transport: hanging{}, Summary: func(m *Message) ([]byte, error) { return nil, nil }}
		ctx, stop := context.WithCancel(t.Context())
		go h.Serve(ctx, b)
		synctest.Wait()
		for i := range hookQueue + 8 {
			b.mu.Lock()
			b.happened(Event{Kind: Arrived, Message: &Message{}})
			b.mu.Unlock()
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if h.Lost() != 7 { // one is being told
			t.Errorf("%d are lost", h.Lost())
		}
		stop()
	})
}

// hanging never answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// full keeps messages on a disk that has no room.
type full struct{ memory }

func (full) put(context.Context, *Message, []byte) error {
	return &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
}

// TestDiskFull: a message that finds no room is to come again, and is not there.
func TestDiskFull(t *testing.T) {
	b, addr, _ := served(t, Receiving{})
	put(t, b, "\r\n", "a@x.test")
	b.keep = full{}
	got := mailtest.Talk(t, addr, "EHLO c.test", "MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA", "\r\n.")
	if last := got[len(got)-1]; !strings.HasPrefix(last, "452") || find(b, "", "").Total != 1 {
		t.Errorf("%q, %d there", last, find(b, "", "").Total)
	}
}
