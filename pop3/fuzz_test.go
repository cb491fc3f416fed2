package pop3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/pop3"
)

// tape is a connection whose client says what r has and takes all it is told.
type tape struct {
	scripted
	out bytes.Buffer
}

func (t *tape) Write(p []byte) (int, error) { return t.out.Write(p) }
func (t *tape) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 110} }
func (t *tape) RemoteAddr() net.Addr        { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 4711} }

var fuzzMails = []string{
	mailOne, mailDots, mailThree, "", "\r\n", "no end", ".", "..\r\n.", "Subject: x\r\n\r\n\r\n\r\n.\r\n", "a\r\n.b\r\n\r\n.c\r\n..\r\n",
	strings.Repeat(".\r\n", 30000), mailOf(100000), "\n.\n.\r\n..\n", "a\rb\r.\r\n.\r", "x\r\r\n", "\r\n\n.",
}

// model is what a maildrop should be after commands, without any of the
// server's code.
type model struct {
	deleted map[int]bool
	count   int
	quit    bool
}

// FuzzServer: whatever a client sends behind its login, every answer is the
// model's, and after QUIT exactly what was marked is gone. Without a login,
// nothing of the mailbox is told or removed.
func FuzzServer(f *testing.F) {
	for _, seed := range []string{
		"STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 2 1\r\nDELE 1\r\nSTAT\r\nQUIT\r\n",
		"DELE 1\r\nDELE 1\r\nRETR 1\r\nLIST 1\r\nUIDL 1\r\nTOP 1 1\r\nRSET\r\nDELE 2\r\nQUIT\r\n",
		"LIST 0\r\nRETR 13\r\nDELE 18446744073709551617\r\nTOP 3 99999999999999999999\r\nLIST -1\r\nUIDL +1\r\n",
		"retr 12\r\ntop 11 2\r\nTop 4 0\r\nTOP 6 1\r\nRETR 7\r\nRETR 8\r\nTOP 9 2\r\n",
		"DELE 3\nSTAT\nQUI", "CAPA\r\nLANG\r\nLANG en\r\nNOOP\r\nNOOP x\r\nQUIT x\r\n\r\nQUIT\r\nDELE 1\r\n",
		"USER alice\r\nPASS x\r\nAUTH PLAIN\r\nSTLS\r\nUTF8\r\nAPOP a b\r\n", "A\rB\r\nSTAT\r\r\n \tSTAT\r\nSTAT \r\nLIST  1\t\r\n",
		strings.Repeat("DELE ", 200) + "\r\nSTAT\r\n", "AUTH CRAM-MD5\r\n*\r\nAUTH PLAIN AGFsaWNlAHg=\r\nAUTH\r\n",
	} {
		f.Add([]byte(seed), byte(0))
		f.Add([]byte(seed), byte(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, how byte) {
		mem, keys := newMemory(), newBook()
		mem.deliver("alice", fuzzMails...)
		before := mem.uids("alice")
		login := how&1 == 0
		var in io.Reader = bytes.NewReader(input)
		if login {
			in = io.MultiReader(strings.NewReader("USER bob\r\nUSER alice\r\nPASS open  sesame \r\n"), in)
		} else {
			keys.passwords["alice"] = "\x00 which no client can send"
		}
		if how&2 != 0 {
			in = iotest.OneByteReader(in)
		}
		c := &tape{scripted: scripted{r: in}}
		srv := &pop3.Server{
			UTF8:    true,
			Backend: mem, Credentials: keys, CleartextAuth: true, APOP: true,
			Limits: pop3.Limits{Line: 512, Errors: -1, AuthErrors: -1, FailureDelay: -1},
			Log:    slog.New(slog.DiscardHandler),
		}
		srv.ServeConn(c)
		out := c.out.String()
		if mem.isLocked("alice") {
			t.Error("maildrop is still locked")
		}
		if !login {
			if strings.Contains(out, "Subject:") || strings.Contains(out, "uid-") || mem.uids("alice") != before {
				t.Errorf("without a login: %q", out)
			}
			return
		}
		m := &model{deleted: make(map[int]bool), count: len(fuzzMails)}
		out = m.expect(t, out, "+OK ...\r\n+OK send PASS\r\n+OK send PASS\r\n+OK 16 messages\r\n")
		for line := range bytes.Lines(input) {
			if m.quit || !bytes.HasSuffix(line, []byte("\n")) {
				break
			}
			out = m.expect(t, out, m.answer(line))
		}
		if out != "" {
			t.Errorf("more answers than commands: %q", out)
		}
		var want []string
		for i := range fuzzMails {
			if !m.quit || !m.deleted[i] {
				want = append(want, fmt.Sprintf("uid-%d", i+1))
			}
		}
		if got := mem.uids("alice"); got != strings.Join(want, " ") {
			t.Errorf("left %s, want %s", got, want)
		}
	})
}

// expect takes what is expected off out. "..." stands for the rest of a line.
func (m *model) expect(t *testing.T, out, want string) string {
	t.Helper()
	for line := range strings.Lines(want) {
		got, rest, _ := strings.Cut(out, "\n")
		got += "\n"
		if head, ok := strings.CutSuffix(line, "...\r\n"); !ok && got != line || !strings.HasPrefix(got, head) {
			t.Fatalf("server says %q, want %q", got, line)
		}
		out = rest
	}
	return out
}

const refusal = "-ERR ...\r\n"

// answer is what the server must say to a line. That the line is a command
// only if it is whole, and at most 510 octets without a CR in it, is the
// reader's rule.
func (m *model) answer(line []byte) string {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if bytes.IndexByte(line, '\r') >= 0 || len(line) > 510 {
		return refusal
	}
	verb, rest, _ := strings.Cut(string(line), " ")
	args := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '\t' })
	verb = upperASCII(verb)
	most := map[string]int{"STAT": 0, "LIST": 1, "UIDL": 1, "RETR": 1, "TOP": 2, "DELE": 1, "RSET": 0, "NOOP": 0, "QUIT": 0, "CAPA": 0}
	n, known := most[verb]
	if !known || len(args) > n {
		return refusal
	}
	switch verb {
	case "NOOP":
		return "+OK\r\n"
	case "RSET":
		clear(m.deleted)
		return "+OK\r\n"
	case "QUIT":
		m.quit = true
		return "+OK bye\r\n"
	case "STAT":
		count, octets := m.sum()
		return fmt.Sprintf("+OK %d %d\r\n", count, octets)
	case "CAPA":
		return "+OK capabilities\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\nUTF8 USER\r\nIMPLEMENTATION Postrider\r\n.\r\n"
	}
	if len(args) == 0 && (verb == "LIST" || verb == "UIDL") {
		return m.listing(verb)
	}
	return m.message(verb, args)
}

func upperASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 32
		}
	}
	return string(b)
}

func (m *model) sum() (count, octets int) {
	for i, mail := range fuzzMails {
		if !m.deleted[i] {
			count++
			octets += len(mail)
		}
	}
	return count, octets
}

func (m *model) listing(verb string) string {
	var b strings.Builder
	count, _ := m.sum()
	b.WriteString("+OK")
	if verb == "LIST" {
		fmt.Fprintf(&b, " %d messages", count)
	}
	b.WriteString("\r\n")
	for i, mail := range fuzzMails {
		switch {
		case m.deleted[i]:
		case verb == "LIST":
			fmt.Fprintf(&b, "%d %d\r\n", i+1, len(mail))
		default:
			fmt.Fprintf(&b, "%d uid-%d\r\n", i+1, i+1)
		}
	}
	return b.String() + ".\r\n"
}

func (m *model) message(verb string, args []string) string {
	if len(args) == 0 || verb == "TOP" && len(args) < 2 {
		return refusal
	}
	n, ok := digits(args[0])
	if !ok || n < 1 || n > len(fuzzMails) || m.deleted[n-1] {
		return refusal
	}
	mail := fuzzMails[n-1]
	switch verb {
	case "LIST":
		return fmt.Sprintf("+OK %d %d\r\n", n, len(mail))
	case "UIDL":
		return fmt.Sprintf("+OK %d uid-%d\r\n", n, n)
	case "DELE":
		m.deleted[n-1] = true
		return fmt.Sprintf("+OK %d marked\r\n", n)
	case "RETR":
		return fmt.Sprintf("+OK %d octets\r\n", len(mail)) + stuffed(mail)
	}
	lines, ok := digits(args[1])
	if !ok {
		return refusal
	}
	return "+OK\r\n" + stuffed(topOf(mail, lines))
}

// digits reads a number; what does not fit is a very big one.
func digits(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return math.MaxInt, true
	}
	return n, true
}

func stuffed(mail string) string {
	if mail != "" && !strings.HasSuffix(mail, "\r\n") {
		mail += "\r\n"
	}
	var b strings.Builder
	for line := range strings.Lines(mail) {
		if line[0] == '.' {
			b.WriteByte('.')
		}
		b.WriteString(line)
	}
	return b.String() + ".\r\n"
}

// topOf is the header, the line without text that ends it, and so many lines more.
func topOf(mail string, lines int) string {
	at, body := 0, false
	for line := range strings.Lines(mail) {
		if body && lines == 0 {
			break
		}
		if body {
			lines--
		}
		body = body || line == "\r\n" || line == "\n"
		at += len(line)
	}
	return mail[:at]
}

// FuzzClient: whatever a server says, every call returns, gives no more than
// what came, and leaves the Client either in step or closed.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{
		"+OK ready <1.2@x>\r\n+OK\r\nTOP\r\nPIPELINING\r\nSASL CRAM-MD5 PLAIN\r\n.\r\n+ PDEuMkB4Pg==\r\n+OK\r\n+OK 2 320\r\n+OK\r\n1 120\r\n2 200\r\n.\r\n",
		"+OK\r\n-ERR\r\n+OK\r\n+OK\r\n+OK\r\n.\r\n+OK 5 octets\r\n..a\r\n.\r\n-ERR [IN-USE] x\r\n+OK bye\r\n",
		"-ERR [SYS/TEMP] no\r\n", "+OK\r\n+OK\r\n1 uid\r\n.\r\n+OK 1 uid\r\n", "+OK\n+OK\n+ \n+ =\n",
	} {
		f.Add([]byte(seed), []byte("cLsluURtda"))
		f.Add([]byte(seed), []byte("AsUuRRDQ"))
	}
	f.Fuzz(func(t *testing.T, script, calls []byte) {
		ctx := context.Background()
		d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, MaxMessages: 1000}
		c, err := d.Start(ctx, &scripted{r: bytes.NewReader(script)}, "x")
		if err != nil {
			return
		}
		for _, call := range calls[:min(len(calls), 50)] {
			n, err := fuzzCall(ctx, c, call)
			if n > 2*len(script) { // a bare LF becomes CRLF
				t.Fatalf("%c: %d octets of %d", call, n, len(script))
			}
			var refused *pop3.Error
			if err == nil || errors.As(err, &refused) || errors.Is(err, pop3.ErrBadArgument) {
				continue
			}
			if _, _, again := c.Stat(ctx); !errors.Is(again, pop3.ErrClosed) && !errors.Is(err, errLocal) {
				t.Fatalf("%c: %v, and the client goes on: %v", call, err, again)
			}
		}
		c.Close()
	})
}

// errLocal is an error that says nothing about the connection.
var errLocal = errors.New("local")

// fuzzCall makes one call, and says how much it got.
func fuzzCall(ctx context.Context, c *pop3.Client, call byte) (n int, err error) {
	local := func(err error) error {
		if err != nil && c.Greeting() == "" || err != nil && strings.Contains(err.Error(), "does not offer") {
			return fmt.Errorf("%w: %w", errLocal, err)
		}
		return err
	}
	switch call {
	case 'c':
		cs, err := c.Capabilities(ctx)
		return len(cs), err
	case 'L':
		return 0, local(c.Login(ctx, "alice", "x"))
	case 'A':
		return 0, local(c.APOP(ctx, "alice", "x"))
	case 'P':
		return 0, c.Auth(ctx, sasl.PlainClient("", "alice", "x"))
	case 's':
		_, _, err := c.Stat(ctx)
		return 0, err
	case 'l', 'u':
		list := c.List
		if call == 'u' {
			list = c.UIDL
		}
		ms, err := list(ctx)
		for _, m := range ms {
			n += len(m.UID) + 1
		}
		return n, err
	case 'U':
		uid, err := c.UID(ctx, 1)
		return len(uid), err
	case 'R', 't':
		m, err := c.Retr(ctx, 1)
		if err != nil {
			return 0, err
		}
		if call == 't' {
			return 0, nil // left to the next command
		}
		b, err := io.ReadAll(m)
		return len(b), err
	case 'd':
		return 0, c.Dele(ctx, 1)
	case 'D':
		return 0, c.DeleAll(ctx, []int{1, 2, 3})
	case 'a':
		return n, c.RetrAll(ctx, []int{1, 2}, func(_ int, m *pop3.Text, err error) error {
			if err != nil {
				return nil
			}
			b, err := io.ReadAll(m)
			n += len(b)
			return err
		})
	case 'Q':
		return 0, c.Quit(ctx)
	}
	return 0, c.Noop(ctx)
}
