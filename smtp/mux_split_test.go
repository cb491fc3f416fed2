package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	netsmtp "net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// inboxes are Handlers of a mux that note what they got, or refuse.
type inboxes struct {
	got    []string // "pattern to to: text"
	refuse map[string]error
	each   map[string]error // Result of a recipient, by its local part
}

func (b *inboxes) mux(patterns ...string) *smtp.ServeMux {
	m := smtp.NewServeMux()
	for _, p := range patterns {
		m.HandleFunc(p, func(_ context.Context, e *smtp.Envelope) error {
			text, err := io.ReadAll(e.Data)
			if err != nil {
				return err
			}
			if err := b.refuse[p]; err != nil {
				return err
			}
			for i := range e.To {
				e.To[i].Result = b.each[e.To[i].Path.Local]
			}
			b.got = append(b.got, fmt.Sprint(p, " ", e.To, ": ", string(text)))
			return nil
		})
	}
	return m
}

// TestMuxOrdinaryClient: a client that knows nothing of a second transaction
// delivers to two handlers, each its own recipients and the whole message.
func TestMuxOrdinaryClient(t *testing.T) {
	var b inboxes
	addr := loopback(&smtp.Server{Handler: b.mux("hook@*", "*@x.example", "*@*")})
	err := netsmtp.SendMail(addr, nil, "s@x.example", []string{"ann@x.example", "hook@y.example", "bob@x.example", "c@z.example"}, []byte("Subject: x\r\n\r\nhi\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	const text = ": Subject: x\r\n\r\nhi\r\n"
	if want := []string{"*@x.example [ann@x.example bob@x.example]" + text, "hook@* [hook@y.example]" + text, "*@* [c@z.example]" + text}; !slices.Equal(b.got, want) {
		t.Errorf("got %q", b.got)
	}
}

const twoOfEach = "EHLO c\nMAIL FROM:<>\nRCPT TO:<r1@a.example>\nRCPT TO:<r2@b.example>\nRCPT TO:<r3@a.example>\n"

// TestMuxNothingIsAcknowledgedThatWasRefused: whoever refuses, by whatever way,
// the client hears it.
func TestMuxNothingIsAcknowledgedThatWasRefused(t *testing.T) {
	for _, how := range []string{"DATA\nx\n.\n", "BDAT 3 LAST\nx\n"} {
		for _, refuses := range []string{"", "*@a.example", "*@b.example", "r1", "r2", "r3"} {
			b := inboxes{refuse: map[string]error{refuses: smtp.ErrMailboxFull}, each: map[string]error{refuses: smtp.ErrMailboxFull}}
			out := say(&smtp.Server{Handler: b.mux("*@a.example", "*@b.example")}, twoOfEach+how+"QUIT\n")
			if acknowledged := strings.Contains(out, "250 2.0.0 Queued"); acknowledged != (refuses == "") || acknowledged == strings.Contains(out, "452 4.2.2") {
				t.Errorf("%q refuses: %q", refuses, out)
			}
			if want := map[string]int{"": 2, "*@b.example": 1, "r1": 1, "r2": 2, "r3": 1}[refuses]; len(b.got) != want {
				t.Errorf("%q refuses: %d handlers have it, want %d: none behind the refusal", refuses, len(b.got), want)
			}
		}
	}
}

// TestMuxLMTP: every recipient hears its own handler's answer.
func TestMuxLMTP(t *testing.T) {
	b := inboxes{refuse: map[string]error{"*@b.example": smtp.ErrMailboxFull}, each: map[string]error{"r3": smtp.ErrNoSuchUser}}
	out := say(&smtp.Server{LMTP: true, Handler: b.mux("*@a.example", "*@b.example")}, strings.Replace(twoOfEach, "EHLO", "LHLO", 1)+"DATA\nx\n.\nQUIT\n")
	_, out, _ = strings.Cut(out, "354 ")
	var codes []string
	for line := range strings.Lines(out) {
		codes = append(codes, line[:3])
	}
	if got := strings.Join(codes[1:], " "); got != "250 452 550 221" {
		t.Errorf("answers %s", got)
	}
}

// TestMuxOwnWords: what a handler says of one recipient goes before what it says of all, where both are a yes.
func TestMuxOwnWords(t *testing.T) {
	m := smtp.NewServeMux()
	m.HandleFunc("*@a.example", func(_ context.Context, e *smtp.Envelope) error {
		e.To[0].Result = &smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "kept for r1"}
		return &smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "taken"}
	})
	m.HandleFunc("*@b.example", func(context.Context, *smtp.Envelope) error { return nil })
	out := say(&smtp.Server{LMTP: true, Handler: m}, strings.Replace(twoOfEach, "EHLO", "LHLO", 1)+"DATA\nx\n.\nQUIT\n")
	_, out, _ = strings.Cut(out, "354 ")
	lines := strings.Split(out, "\r\n")
	if len(lines) < 5 || !strings.HasPrefix(lines[1], "250 2.0.0 kept for r1") || !strings.HasPrefix(lines[2], "250 2.0.0 Queued") || !strings.HasPrefix(lines[3], "250 2.0.0 taken") {
		t.Errorf("%q", lines)
	}
}

// TestMuxBigMessage: sizes about the bound of the memory; the file is gone
// afterwards, also when a handler refuses; and a message that never becomes
// complete reaches nobody.
func TestMuxBigMessage(t *testing.T) {
	const memory = 100
	for _, size := range []int{1, memory - 1, memory, memory + 1, memory + 32<<10, memory + 32<<10 + 1, 200_000} {
		for _, refuse := range []error{nil, smtp.ErrMailboxFull} {
			dir := t.TempDir()
			b := inboxes{refuse: map[string]error{"*@b.example": refuse}}
			m := b.mux("*@a.example", "*@b.example")
			m.Memory, m.TempDir = memory, dir
			seen := 0
			m.HandleFunc("*@files.example", func(context.Context, *smtp.Envelope) error {
				names, _ := filepath.Glob(filepath.Join(dir, "*"))
				seen = len(names)
				return nil
			})
			text := strings.Repeat("x", size)
			head := strings.Replace(twoOfEach, "RCPT", "RCPT TO:<f@files.example>\nRCPT", 1)
			say(&smtp.Server{Handler: m}, head+fmt.Sprintf("BDAT %d LAST\n", size)+text+"QUIT\n")
			want := 2
			if refuse != nil {
				want = 1
			}
			if len(b.got) != want || !strings.HasSuffix(b.got[0], ": "+text) {
				t.Errorf("%d octets: %d copies, the first of %d octets", size, len(b.got), len(b.got[0]))
			}
			if (seen == 1) != (size > memory) {
				t.Errorf("%d octets in %d files, %d fit into memory", size, seen, memory)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%d octets: files are left: %v", size, left)
			}
		}
	}
	var b inboxes
	m := b.mux("*@a.example", "*@b.example")
	m.Memory, m.TempDir = memory, t.TempDir()
	say(&smtp.Server{Handler: m}, twoOfEach+"DATA\n"+strings.Repeat("x\n", 1000))
	say(&smtp.Server{Handler: m, Limits: smtp.Limits{MessageSize: 500}}, twoOfEach+"DATA\n"+strings.Repeat("x\n", 1000)+".\nQUIT\n")
	if len(b.got) > 0 {
		t.Errorf("half a message was delivered: %.100q", b.got)
	}
	m.TempDir = filepath.Join(m.TempDir, "is not there")
	out := say(&smtp.Server{Handler: m}, twoOfEach+"DATA\n"+strings.Repeat("x\n", 1000)+".\nQUIT\n")
	if len(b.got) > 0 || !strings.Contains(out, "\r\n451 4.3.0") {
		t.Errorf("without room: %.100q, %q", b.got, out)
	}
}

// TestMuxWildcards: domains below another, and beginnings of local parts.
func TestMuxWildcards(t *testing.T) {
	m := smtp.NewServeMux()
	for _, p := range []string{"*@*", "*@*.example.com", "abuse@.example.com", "*@.deep.example.com", "bounce-*@example.com", "bounce-list-*@example.com", "info@example.com", `"john doe"@example.com`, "*@my_host.example.net", "*@[192.0.2.1]"} {
		m.HandleFunc(p, func(context.Context, *smtp.Envelope) error { return nil })
	}
	for address, want := range map[string]string{
		"x@a.example.com":                  "*@*.example.com",
		"x@b.a.Example.com":                "*@*.example.com",
		"abuse@a.example.com":              "abuse@.example.com",
		"x@deep.example.com":               "*@*.example.com",
		"abuse@x.deep.example.com":         "*@.deep.example.com",
		"x@example.com":                    "",
		"bounce-1@example.com":             "bounce-*@example.com",
		"bounce-@example.com":              "bounce-*@example.com",
		"bounce@example.com":               "",
		"bounce-list-7@example.com":        "bounce-list-*@example.com",
		"info@example.com":                 "info@example.com",
		`"john doe"@example.com`:           `"john doe"@example.com`,
		"x@evilexample.com":                "*@*",
		"x@com":                            "*@*",
		"x@my_host.example.net":            "*@my_host.example.net",
		"x@[192.0.2.1]":                    "*@[192.0.2.1]",
		"*@elsewhere.example.org":          "*@*",
		"x@a.example.com.evil.example.org": "*@*",
	} {
		p, err := smtp.ParseMailbox(address, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := m.Match(p); got != want {
			t.Errorf("%s matches %q, want %q", address, got, want)
		}
	}
}

// TestPatternsThatMatchNothing panic, and say why.
func TestPatternsThatMatchNothing(t *testing.T) {
	nothing := func(context.Context, *smtp.Envelope) error { return nil }
	tag := &smtp.ServeMux{Canonical: func(local, _ string) string { local, _, _ = strings.Cut(local, "+"); return local }}
	for _, c := range []struct {
		mux     *smtp.ServeMux
		pattern string
		f       func(context.Context, *smtp.Envelope) error
		word    string
	}{
		{nil, "*@example.com.", nothing, "domain"}, {nil, "*@*.", nothing, "domain"}, {nil, "*@.", nothing, "domain"}, {nil, "*@", nothing, "domain"},
		{nil, "*@a.*.example.com", nothing, "domain"}, {nil, "*@*example.com", nothing, "domain"}, {nil, "*@**", nothing, "domain"},
		{nil, "*@ex ample.com", nothing, "domain"}, {nil, "*@.[192.0.2.1]", nothing, "domain"}, {nil, "*@[300.0.2.1]", nothing, "domain"}, {nil, "*@-a.example", nothing, "domain"},
		{nil, "*-bounce@example.com", nothing, "local part"}, {nil, "a*b@example.com", nothing, "local part"}, {nil, "**@example.com", nothing, "local part"},
		{nil, "john doe@example.com", nothing, "local part"}, {nil, `"john@example.com`, nothing, "quoted"}, {nil, "<a@example.com", nothing, "local part"},
		{nil, "nodomain", nothing, "@"}, {nil, "a@b", nil, "no function"}, {tag, "list+*@example.com", nothing, "Canonical"},
	} {
		func() {
			defer func() {
				said := fmt.Sprint(recover())
				if !strings.Contains(said, c.word) || !strings.Contains(said, c.pattern) {
					t.Errorf("%s: panic says %q, want a word about %s", c.pattern, said, c.word)
				}
			}()
			m := c.mux
			if m == nil {
				m = smtp.NewServeMux()
			}
			m.HandleFunc(c.pattern, c.f)
		}()
	}
	defer func() {
		if said := fmt.Sprint(recover()); !strings.Contains(said, "no Handler") {
			t.Errorf("a nil Handler: %s", said)
		}
	}()
	smtp.NewServeMux().Handle("*@*", nil)
}

// TestDefaultServeMux: the functions of the package register there, and
// ListenAndServe without a Handler serves it.
func TestDefaultServeMux(t *testing.T) {
	if errors.Is(smtp.ListenAndServe("no address", nil), smtp.ErrServerClosed) {
		t.Error("no error without an address")
	}
	before := smtp.DefaultServeMux
	t.Cleanup(func() { smtp.DefaultServeMux = before }) // -count registers once more
	smtp.DefaultServeMux = smtp.NewServeMux()
	var got []string
	smtp.HandleFunc("*@default.example", func(_ context.Context, e *smtp.Envelope) error { got = append(got, e.To[0].String()); return nil })
	smtp.Handle("second@*", smtp.HandlerFunc(func(context.Context, *smtp.Envelope) error { return smtp.ErrMoved }))
	out := say(&smtp.Server{Handler: smtp.DefaultServeMux}, "HELO c\nMAIL FROM:<>\nRCPT TO:<a@default.example>\nDATA\n.\nMAIL FROM:<>\nRCPT TO:<second@b.example>\nDATA\n.\nQUIT\n")
	if len(got) != 1 || got[0] != "a@default.example" || !strings.Contains(out, "551 5.1.6") {
		t.Errorf("%q, %q", got, out)
	}
}
