package post

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// keepLog makes the log of p one that can be read.
func keepLog(p *Post) *bytes.Buffer {
	var log bytes.Buffer
	p.Log = slog.New(slog.NewTextHandler(&log, nil))
	return &log
}

// TestCopies: each copy and each recipient is a line, and their number is bounded by
// the message's own work, whatever its aliases.
func TestCopies(t *testing.T) {
	many := accounts.Targets{}
	for i := range 50 {
		many.Mailboxes = append(many.Mailboxes, domains.At(fmt.Sprintf("u%d", i), "mail.test"))
	}
	dir := village{"all@mail.test": many, "all+x@mail.test": many, "u7@mail.test": {Mailboxes: []domains.Address{"u7@mail.test"}}}
	p, _ := newPost(t, dir)
	log := keepLog(p)
	r := &Receiver{Post: p}
	s := &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4}}}
	e := &smtp.Envelope{Session: s, ID: "s-1", From: smtp.Path{Local: "a", Domain: "far.test"}, Data: strings.NewReader("Message-ID:\r\n <m@far.test>\r\n\r\nx\r\n")}
	s.Envelope = e
	for _, to := range []string{"All", "all+x", "u7", "All", "U7"} {
		rcpt := smtp.Recipient{Path: smtp.Path{Local: to, Domain: "mail.test"}}
		if err := r.CheckRcpt(context.Background(), s, &rcpt); err != nil {
			t.Fatal(err)
		}
		e.To = append(e.To, rcpt)
	}
	if err := r.ServeSMTP(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "msg=delivered"); n != 50+4 {
		t.Errorf("%d lines for 50 copies and 4 recipients whose copies are there already", n)
	}
	for _, want := range []string{
		"msg=delivered service=smtp session=s id=s-1 from=a@far.test message_id=<m@far.test> user=\"\" remote=192.0.2.1:4 to=All@mail.test mailbox=u49@mail.test octets=",
		"to=all+x@mail.test mailbox=u0@mail.test", "to=u7@mail.test mailbox=u7@mail.test", "to=U7@mail.test mailbox=u7@mail.test",
		"recipients=5 mailboxes=50 elsewhere=0 full=0",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no line with %s in\n%s", want, log)
		}
	}
}

// filling are mailboxes of which one is full by the time that a message comes.
type filling struct {
	Mailboxes
	full string
}

func (f filling) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	if slices.Contains(users, f.full) {
		return nil, &mailstore.Refused{Mailboxes: map[string]error{f.full: mailstore.ErrOverQuota}}
	}
	return f.Mailboxes.Create(ctx, m, users...)
}

// TestOneCopyOneLine: the only copy of a message for one recipient is one line; whatever
// that line cannot say is summed up in another.
func TestOneCopyOneLine(t *testing.T) {
	two := accounts.Targets{Mailboxes: []domains.Address{"alice@mail.test", "bob@mail.test"}}
	for _, c := range []struct {
		name  string
		to    []string
		lmtp  bool
		full  string // a mailbox without room
		lines string
	}{
		{"one recipient", []string{"alice"}, false, "", "delivered"},
		{"one by LMTP", []string{"alice"}, true, "", "delivered"},
		{"two mailboxes", []string{"alice", "bob"}, false, "", "delivered, delivered, message accepted"},
		{"an alias of two", []string{"both"}, false, "", "delivered, delivered, message accepted"},
		{"two names of one mailbox", []string{"alice", "Alice"}, false, "", "delivered, delivered, message accepted"},
		{"one of two refused", []string{"alice", "bob"}, true, "bob@mail.test", "delivered, message accepted"},
		{"all refused", []string{"bob"}, true, "bob@mail.test", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPost(t, village{"alice@mail.test": {Mailboxes: two.Mailboxes[:1]}, "bob@mail.test": {Mailboxes: two.Mailboxes[1:]}, "both@mail.test": two})
			log := keepLog(p)
			r := &Receiver{Post: p}
			s := &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4}}, LMTP: c.lmtp}
			e := &smtp.Envelope{Session: s, ID: "s-1", From: smtp.Path{Local: "a", Domain: "far.test"}, Data: strings.NewReader("Subject: x\r\n\r\nx\r\n")}
			s.Envelope = e
			for _, to := range c.to {
				rcpt := smtp.Recipient{Path: smtp.Path{Local: to, Domain: "mail.test"}}
				if err := r.CheckRcpt(context.Background(), s, &rcpt); err != nil {
					t.Fatal(err)
				}
				e.To = append(e.To, rcpt)
			}
			p.Mailboxes = filling{p.Mailboxes, c.full}
			if err := r.ServeSMTP(context.Background(), e); err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, m := range regexp.MustCompile(`msg="?([a-z ]+)"? service=`).FindAllStringSubmatch(log.String(), -1) {
				lines = append(lines, m[1])
			}
			service := "service=smtp "
			if c.lmtp {
				service = "service=lmtp "
			}
			if strings.Count(log.String(), " service=") != strings.Count(log.String(), service) {
				t.Errorf("by another service: %s", log)
			}
			if got := strings.Join(lines, ", "); got != c.lines {
				t.Errorf("got %s, want %s", got, c.lines)
			}
		})
	}
}

// overSocket submits a message as a program of this host does, and returns the answer and its text.
func overSocket(t *testing.T, p *Post, query, message string) (status, text string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pr") // a Unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := control.Listen(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	p.Submissions(mux)
	server := control.NewServer(mux)
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "s"))
	}}}
	defer client.CloseIdleConnections()
	answer, err := client.Post("http://local/submit?"+query, "", strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status, string(all)
}

// TestLocalFacts: a program of this host is told of as "local", whether its mail is
// accepted or refused, and the Message-ID that it left out is in the line.
func TestLocalFacts(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"to=alice@mail.test&from=root@mail.test", "msg=delivered service=submission session=local"},
		{"to=nobody@mail.test&from=root@mail.test", `command=RCPT from=root@mail.test to=nobody@mail.test reply="550 5.1.1 `},
		{"to=alice@mail.test&from=%20@", "command=MAIL from=\" @\""},
	} {
		p, _ := newPost(t, village{"alice@mail.test": {Mailboxes: []domains.Address{"alice@mail.test"}}})
		p.Rules().MaxMessageSize = 1 << 20
		log := keepLog(p)
		answer, _ := overSocket(t, p, c.query, "Subject: x\n\nx\n")
		if !strings.Contains(log.String(), c.want) || !strings.Contains(log.String(), "remote=local") {
			t.Errorf("%s: answered %s, the log has %s", c.query, answer, log)
		}
		if strings.Contains(c.want, "delivered") && strings.Count(log.String(), "message_id=<") != 1 {
			t.Errorf("no Message-ID in %s", log)
		}
	}
}
