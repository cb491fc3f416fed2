package post

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

// parish is a village that the machine has other names for.
type parish struct{ village }

func (p parish) Qualify(path smtp.Path) smtp.Path {
	if path.Domain == "" || path.Domain == "box" || path.Domain == "box.local" {
		path.Domain = "mail.test"
	}
	return path
}

// TestNetworkLines: whatever lines a program writes, those of the message are of the network, all of
// them, however they come.
func TestNetworkLines(t *testing.T) {
	t.Parallel()
	ends := regexp.MustCompile(`\r*\n|\r`) // CR CR LF is what a program wrote whose lines ended so already
	naive := func(s string) string { return ends.ReplaceAllString(s, "\r\n") }
	long := strings.Repeat("x", 5000)
	for _, text := range []string{"", "a", "a\n", "a\r\n", "a\r", "\r", "\n", "\r\r\n", "\r\r", "a\r\ra\r", "a\n\nb", "a\rb\nc\r\nd", ".\n..\n", long + "\n" + long, long + "\r", strings.Repeat("a\n", 5000)} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "octet by octet": iotest.OneByteReader(strings.NewReader(text)), "with its end": iotest.DataErrReader(strings.NewReader(text))} {
			got, err := io.ReadAll(networkLines(t.Context(), r))
			if err != nil || string(got) != naive(text) {
				t.Errorf("%s: %.20q of %d octets: %.40q of %d (%v)", name, text, len(text), got, len(got), err)
			}
		}
	}
}

// TestSubmitted: what programs hand over is completed with a From field that others can answer to, and
// is otherwise as it was.
func TestSubmitted(t *testing.T) {
	t.Parallel()
	me := "uid-" + strconv.Itoa(os.Getuid()) // who has no name in the system
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
		me = u.Username
	}
	for _, c := range []struct{ query, message, want string }{
		{"from=root@mail.test&name=Cron+Daemon", "Subject: x\n\nx\n", "From: Cron Daemon <root@mail.test>\r\nSubject: x\r\n\r\nx\r\n"},
		{"from=", "Subject: x\n\nx\n", "From: " + me + "@mail.test\r\nSubject: x\r\n\r\nx\r\n"},
		{"from=root", "no header\n", "From: root@mail.test\r\n\r\nno header\r\n"},
		{"from=root", "From: root (Cron Daemon)\nSubject: x\n\nx\n", "From: Cron Daemon <root@mail.test>\r\nSubject: x\r\n\r\nx\r\n"},
		{"from=root", "Subject: x\nFrom: Root <root@box.local>\n\nFrom: Root <root@box.local>\n", "Subject: x\r\nFrom: Root <root@mail.test>\r\n\r\nFrom: Root <root@box.local>\r\n"},
		{"from=root", "From: root@far.test\n\nx\n", "From: root@far.test\r\n\r\nx\r\n"},
		{"from=root", "From: root, daemon\n\nx\n", "From: root, daemon\r\n\r\nx\r\n"},
		{"from=root", "From: root\nFrom: root\n\nx\n", "From: root\r\nFrom: root\r\n\r\nx\r\n"},
		{"from=root", "From: root\nBcc: eve\n\nx", "From: root@mail.test\r\n\r\nx"},
	} {
		p, store := newPost(t, parish{village{"alice@mail.test": alice}})
		p.Rules().MaxMessageSize = 1 << 20
		if status, text := overSocket(t, p, c.query+"&to=alice", c.message); status != "200 OK" {
			t.Errorf("%s %q: %s %s", c.query, c.message, status, text)
			continue
		}
		box, err := store.Open(t.Context(), "alice@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		got := mailtest.Text(t, box, 0)
		box.Close()
		if _, after, _ := strings.Cut(got, "\r\nMessage-ID: "); !strings.HasSuffix(after, ">\r\n"+c.want) {
			t.Errorf("%s %q: %q", c.query, c.message, got)
		}
	}
}

// TestSubmittedSize: a message of so many octets is taken, and what is larger is refused for good.
func TestSubmittedSize(t *testing.T) {
	t.Parallel()
	mailtest.Edge(t, "octets", 2000, func(n int) bool {
		p, store := newPost(t, parish{village{"alice@mail.test": alice}})
		p.Rules().MaxMessageSize = 2000
		status, text := overSocket(t, p, "from=root&to=alice", "\n"+strings.Repeat("x", n-1))
		if taken := status == "200 OK"; taken != (messages(t, store) == 1) || !taken && !strings.Contains(text, "552") {
			t.Errorf("%d octets: %s %s", n, status, text)
		}
		return status == "200 OK"
	})
}

// TestLocalEnvelope: who is to have a program's message, and what its sender wants to hear, is read from
// the request, and what makes no sense is refused.
func TestLocalEnvelope(t *testing.T) {
	t.Parallel()
	p, _ := newPost(t, parish{village{"alice@mail.test": alice, "änn@mail.test": alice}})
	for query, want := range map[string]string{
		"to=alice&to=alice@box":         "alice@mail.test alice@mail.test",
		"to=alice&to=%C3%A4nn&to=alice": "alice@mail.test änn@mail.test alice@mail.test UTF8",
		"to=alice&notify=success,delay&ret=hdrs&envid=" + strings.Repeat("~", 100): "alice@mail.test SUCCESS,DELAY HDRS " + strings.Repeat("~", 100),
		"to=alice&notify=never&ret=full&envid=!":                                   "alice@mail.test NEVER FULL !",
		"to=alice&notify=never,success":                                            "refused",
		"to=alice&ret=some":                                                        "refused",
		"to=alice&envid=" + strings.Repeat("x", 101):                               "refused",
		"to=alice&envid=a+b":                                                       "refused",
		"to=alice&envid=a%7F":                                                      "refused",
		"to=nobody":                                                                "refused",
		"to=alice&to=a@b@c":                                                        "refused",
		"to=alice@far.test":                                                        "refused", // nothing leaves
		"":                                                                         "",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		s := &smtp.Session{}
		e := &smtp.Envelope{Session: s, From: at("root@mail.test")}
		s.Envelope, s.User = e, "root@mail.test"
		err = (&Receiver{Post: p, Submission: true}).localRecipients(t.Context(), e, q)
		var got []string
		for _, rcpt := range e.To {
			got = append(got, rcpt.Path.String())
		}
		if e.Params.SMTPUTF8 {
			got = append(got, "UTF8")
		}
		if len(e.To) > 0 && e.To[0].Params.Notify != 0 {
			got = append(got, e.To[0].Params.Notify.String())
		}
		if e.Params.Ret != "" {
			got = append(got, string(e.Params.Ret), e.Params.EnvID)
		}
		if refused := want == "refused"; refused != (err != nil) || !refused && strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", query, got, err)
		}
	}
	mailtest.Edge(t, "recipients", maxLocalRecipients, func(n int) bool {
		s := &smtp.Session{}
		e := &smtp.Envelope{Session: s}
		s.Envelope = e
		q := url.Values{"to": strings.Split(strings.Repeat("alice ", n-1)+"alice", " ")}
		return (&Receiver{Post: p, Submission: true}).localRecipients(t.Context(), e, q) == nil
	})
}

// TestSubmittedUTF8: a program's message needs SMTPUTF8 where its sender's address or its header does.
func TestSubmittedUTF8(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, message string }{
		{"root@mail.test", "Subject: x\n\nx\n"}, {"änn@mail.test", "Subject: x\n\nx\n"},
	} {
		p, store := newPost(t, parish{village{"alice@mail.test": alice}})
		p.Rules().MaxMessageSize = 1 << 20
		var seen []bool
		p.Inspectors = []Inspector{utf8Seen{&seen}}
		if status, text := overSocket(t, p, "to=alice&from="+url.QueryEscape(c.from), c.message); status != "200 OK" || messages(t, store) != 1 {
			t.Fatalf("%s: %s %s", c.from, status, text)
		}
		if want := c.from != "root@mail.test"; len(seen) != 1 || seen[0] != want {
			t.Errorf("%s: SMTPUTF8 %v", c.from, seen)
		}
	}
}

// utf8Seen is an Inspector that notes whether messages need SMTPUTF8.
type utf8Seen struct{ seen *[]bool }

func (utf8Seen) Sender(context.Context, *smtp.Session, smtp.Path, bool) error { return nil }

func (u utf8Seen) Inspect(_ context.Context, look *Look) Inspection {
	*u.seen = append(*u.seen, look.Envelope.Params.SMTPUTF8)
	return nil
}

// TestGoneProgram: a program that goes away in the middle of its message has sent none.
func TestGoneProgram(t *testing.T) {
	t.Parallel()
	r := networkLines(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, 5000)), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if n, err := io.Copy(io.Discard, r); err != io.ErrUnexpectedEOF {
		t.Errorf("%d octets, %v", n, err)
	}
}
