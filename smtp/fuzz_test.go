package smtp_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

// script is a connection on which the client has said everything beforehand.
// Each Read returns at most step octets.
type script struct {
	in   *bytes.Reader
	out  bytes.Buffer
	step int
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p[:min(len(p), s.step)]) }
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 25), Port: 25} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

const fuzzSize = 300 // the largest message of FuzzServer

func fuzzServer(mails *[]string) *smtp.Server {
	return &smtp.Server{
		Hostname:    "mx.example.com",
		Credentials: sasl.PasswordFunc(func(user, password, _ string) error { return nil }),
		CheckRcpt:   func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Extensions:  smtp.Extensions{DSN: true, BinaryMIME: true, FutureRelease: time.Hour, DeliverBy: true, Priority: true, RRVS: true},
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			var b bytes.Buffer
			if e.From.Local == "early" {
				return smtp.ErrRefused
			}
			if _, err := b.ReadFrom(e.Data); err != nil {
				return err
			}
			*mails = append(*mails, b.String())
			return nil
		}),
		CleartextAuth: true,
		Limits:        smtp.Limits{MessageSize: fuzzSize, Errors: -1, AuthErrors: -1, Idle: -1, Line: 200},
		Log:           slog.New(slog.DiscardHandler),
	}
}

// FuzzServer plays arbitrary octets as a client and compares the server with a
// model that knows nothing but framing: which octets are command lines, which
// are the message. Every command is answered once, replies are well formed,
// no octet of a message is obeyed, and what is stored is what was sent.
func FuzzServer(f *testing.F) {
	for _, d := range mailtest.Dialogues(f, "../testdata/dialogues/smtp") {
		f.Add([]byte(d.Said()), byte(len(d.Said())))
	}
	f.Fuzz(func(t *testing.T, input []byte, step byte) {
		var mails []string
		c := &script{in: bytes.NewReader(input), step: int(step)/2 + 1}
		srv := fuzzServer(&mails)
		m := model{t: t, input: string(input)}
		if step%2 == 1 {
			tolerate(srv, smtp.TolerateBareNewlines)
			m.normalise = true
		}
		srv.ServeConn(c)
		m.replies = parseReplies(t, c.out.String())
		m.run()
		if len(m.mails) != len(mails) {
			t.Fatalf("%d messages stored, the model knows %d: %q, %q", len(mails), len(m.mails), mails, m.mails)
		}
		for i := range mails {
			if mails[i] != m.mails[i] {
				t.Fatalf("stored %q, sent was %q", mails[i], m.mails[i])
			}
		}
	})
}

// anyEnding is what normalising makes a CRLF of.
var anyEnding = regexp.MustCompile(`\r*\n|\r`)

var bareLF = regexp.MustCompile(`(^|[^\r])\n`)

var replyLine = regexp.MustCompile(`^([2-5][0-9][0-9])([ -])[\t -~\x80-\xff]*$`)

// parseReplies takes the server's output apart and returns the codes.
func parseReplies(t *testing.T, out string) (codes []int) {
	for len(out) > 0 {
		line, rest, found := strings.Cut(out, "\r\n")
		m := replyLine.FindStringSubmatch(line)
		if !found || m == nil || len(line) > 510 {
			t.Fatalf("malformed reply %q", line)
		}
		out = rest
		if m[2] == " " {
			code, _ := strconv.Atoi(m[1])
			codes = append(codes, code)
		}
	}
	return codes
}

// model follows the dialogue as a client would that only counts.
type model struct {
	t       *testing.T
	input   string
	replies []int
	mails   []string
	chunks  string // of a message being sent by BDAT
	binary  bool
	// normalise: CR and LF of their own become CRLF.
	normalise bool
}

// next is the next reply; 0 if the server has said its last word.
func (m *model) next() int {
	if len(m.replies) == 0 {
		return 0
	}
	code := m.replies[0]
	m.replies = m.replies[1:]
	return code
}

func (m *model) run() {
	if m.next() != 220 {
		m.t.Fatal("no greeting")
	}
	for {
		line, rest, found := strings.Cut(m.input, "\r\n")
		if !found {
			break
		}
		m.input = rest
		verb, args, _ := strings.Cut(strings.TrimLeft(strings.ReplaceAll(line, "\t", " "), " "), " ")
		verb = strings.ToUpper(verb)
		if verb == "BDAT" && !strings.ContainsAny(line, "\r\n") {
			if !m.bdat(args) {
				break
			}
			continue
		}
		if bad := len(line) > 200 || strings.ContainsAny(line, "\r\n"); !bad && verb != "NOOP" && verb != "HELP" {
			m.chunks = "" // it ends a message that is sent in chunks
		}
		code := m.next()
		if code == 0 {
			m.t.Fatalf("%q is not answered", line)
		}
		if bareLF.MatchString(line) && code == 500 && len(m.replies) == 0 {
			return // the client seemed to wait for the answer to a line that ends in LF
		}
		if code == 221 || code == 421 || code == 554 && verb != "DATA" {
			break // the last one is for HTTP
		}
		if verb == "MAIL" && code == 250 {
			m.binary = strings.Contains(strings.ToUpper(line), "BINARYMIME")
		}
		switch {
		case verb == "DATA" && code == 354:
			if !m.data() {
				return
			}
		case verb == "DATA" && len(m.replies) == 0:
			return // the server does not trust what comes behind a refused DATA
		case code == 334:
			if !m.exchange() {
				return
			}
		}
	}
	if bareLF.MatchString(m.input) && len(m.replies) == 1 && m.replies[0] == 500 {
		return
	}
	if len(m.replies) > 0 && m.replies[0] != 421 {
		m.t.Fatalf("replies without a command: %v, input left %q", m.replies, m.input)
	}
}

func (m *model) exchange() bool {
	for {
		line, rest, found := strings.Cut(m.input, "\r\n")
		if !found {
			return false
		}
		m.input = rest
		if code := m.next(); code == 0 {
			m.t.Fatal("exchange is not answered")
		} else if bareLF.MatchString(line) && code == 500 && len(m.replies) == 0 {
			return false // as in run
		} else if code != 334 {
			return code != 421
		}
	}
}

// data reads a message by the book: to CRLF.CRLF, dots removed.
func (m *model) data() bool {
	text, rest, found := strings.Cut("\r\n"+m.input, "\r\n.\r\n")
	if !found {
		return false
	}
	m.input = rest
	text += "\r\n"
	text = strings.ReplaceAll(text, "\r\n.", "\r\n")[2:]
	m.conclude(text, false)
	return true
}

// conclude checks the answer to a message.
func (m *model) conclude(text string, binary bool) {
	code := m.next()
	raw := len(text)
	if m.normalise && !binary {
		text = anyEnding.ReplaceAllString(text, "\r\n")
	}
	bare := (strings.ContainsAny(strings.ReplaceAll(text, "\r\n", ""), "\r\n") || strings.Contains(text, "\x00")) && !binary
	switch {
	case code == 250 && (bare || len(text) > fuzzSize):
		m.t.Fatalf("%q is accepted", text)
	case code == 250:
		m.mails = append(m.mails, text)
	case code == 0:
		m.t.Fatalf("message %q is not answered", text)
	case !bare && max(raw, len(text)) <= fuzzSize && code != 550:
		m.t.Fatalf("message %q is refused with %d", text, code)
	}
}

// bdat reads a chunk. It is false if the server must end the session.
func (m *model) bdat(args string) bool {
	f := strings.Fields(args)
	if len(f) == 0 || len(f) > 2 || len(f) == 2 && !strings.EqualFold(f[1], "LAST") {
		m.next()
		return false
	}
	n, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil || strings.Trim(f[0], "0123456789") != "" || len(f[0]) > 19 {
		m.next()
		return false
	}
	if n > int64(len(m.input)) {
		m.replies = nil
		return false
	}
	chunk := m.input[:n]
	m.input = m.input[n:]
	if len(f) == 2 && len(m.replies) > 0 && m.replies[0] == 250 {
		m.conclude(m.chunks+chunk, m.binary)
		m.chunks = ""
		return true
	}
	if code := m.next(); code == 250 {
		m.chunks += chunk
	} else {
		m.chunks = ""
		return code != 0 && code != 421
	}
	return true
}

// TestRepliesInLMTP counts the replies of the protocol in which they are more.
func TestRepliesInLMTP(t *testing.T) {
	var mails []string
	srv := fuzzServer(&mails)
	srv.LMTP = true
	c := &script{in: bytes.NewReader([]byte("LHLO c\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<b@example.com>\r\n", 5) + "DATA\r\nx\r\n.\r\nQUIT\r\n")), step: 7}
	srv.ServeConn(c)
	if n := len(parseReplies(t, c.out.String())); n != 1+1+1+5+1+5+1 {
		t.Errorf("%d replies", n)
	}
}
