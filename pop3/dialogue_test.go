package pop3_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/pop3"
)

// TestDialogues plays every conversation of testdata/dialogues/pop3.
func TestDialogues(t *testing.T) {
	for _, d := range mailtest.Dialogues(t, "../testdata/dialogues/pop3") {
		t.Run(d.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, d) })
		})
	}
}

func play(t *testing.T, d *mailtest.Dialogue) {
	w := newWorld(t, d.Server)
	p := &mailtest.Player{Dial: w.dial, TLS: w.clientTLS, Idle: synctest.Wait}
	p.Steps = w.steps(p)
	p.Play(t, d)
	if w.extra != nil {
		w.extra.Close()
	}
	w.srv.Close()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, fault := range w.faults {
		t.Error(fault)
	}
	for user, locked := range w.mem.locked {
		if locked {
			t.Errorf("maildrop of %s is locked at the end", user)
		}
	}
}

// world is a server as the words of a dialogue describe it.
type world struct {
	srv       *pop3.Server
	mem       *memory
	book      *book
	clientTLS *tls.Config
	client    string // address
	down      chan error
	extra     net.Conn // a second session
	implicit  bool
	addr      string // of a server on the network, instead of a pipe

	mu      sync.Mutex
	writes  int // on the last connection, by the server
	atClose int // writes when a maildrop was closed
	faults  []string
	log     strings.Builder
}

func newWorld(t testing.TB, words []string) *world {
	w := &world{mem: newMemory(), book: newBook(), client: "192.0.2.1:50000", down: make(chan error, 1)}
	w.srv = &pop3.Server{
		Hostname:      "pop.example.com",
		Backend:       w.mem,
		Credentials:   w.book,
		CleartextAuth: true,
		UTF8:          true,
		Log:           slog.New(slog.NewTextHandler(writerFunc(w.write), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	w.mem.onClose = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.atClose = w.writes
	}
	w.mem.deliver("alice", mailOne, mailDots, mailThree)
	for _, word := range words {
		w.set(t, word)
	}
	return w
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// secrets must not be in the log, as they are or in base64.
var secrets = []string{"sesame", "sésame", base64.StdEncoding.EncodeToString([]byte("\x00alice\x00open"))[:10]}

func (w *world) write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Write(p)
	for _, secret := range secrets {
		if strings.Contains(string(p), secret) {
			w.faults = append(w.faults, "a credential in the log: "+string(p))
		}
	}
	return len(p), nil
}

var codes = map[string]error{
	"inuse": pop3.ErrInUse, "delay": pop3.ErrLoginDelay, "temp": pop3.ErrTemporary, "perm": pop3.ErrPermanent, "auth": pop3.ErrAuth,
	"unknown": errDisk, "own": &pop3.Error{Code: pop3.CodeSysPerm, Text: "moved to\r\n+OK pop2.example.com", Err: errDisk},
	"throttled": sasl.ErrThrottled, "short": io.EOF,
}

// set changes the server as a word of a server line says.
func (w *world) set(t testing.TB, word string) {
	s := w.srv
	key, value, _ := strings.Cut(word, "=")
	number, _ := strconv.Atoi(value)
	duration, _ := time.ParseDuration(value)
	switch key {
	case "tls", "requiretls", "implicit":
		s.TLSConfig, w.clientTLS = certificates(t)
		s.TLSMode = map[string]pop3.TLSMode{"tls": pop3.StartTLS, "requiretls": pop3.RequireTLS, "implicit": pop3.ImplicitTLS}[key]
		s.CleartextAuth = false
		w.implicit = key == "implicit"
	case "cleartext":
		s.CleartextAuth = value != "no"
	case "zero":
		*s = pop3.Server{Log: s.Log, Hostname: s.Hostname}
	case "authfunc":
		s.Credentials = sasl.PasswordFunc(func(user, password, remoteAddr string) error {
			switch {
			case user == "moved":
				return &pop3.Error{Code: pop3.CodeSysPerm, Text: "your mail is elsewhere", Err: errDisk}
			case user == "alice" && password == "open  sesame " && remoteAddr == w.client:
				return nil
			case user == "unlucky":
				return errDisk
			}
			return sasl.ErrDenied
		})
	case "nouser":
		s.NoUser = true
	case "apop":
		s.APOP = true
	case "mechanisms":
		var err error
		if s.Mechanisms, err = sasl.Named(strings.Split(value, ",")...); err != nil {
			t.Fatal(err)
		}
	case "xclient":
		s.XClient = []netip.Prefix{netip.MustParsePrefix(value)}
	case "texts":
		s.Greeting, s.Farewell, s.Implementation = "welcome\r\n+OK to us", "farewell", value
	case "expire":
		s.Policy.Expire = duration
	case "delay":
		s.Policy.LoginDelay = duration
	case "peruser":
		s.Policy.PerUser = true
		w.mem.policy = &pop3.Policy{Expire: duration}
	case "mail":
		w.mem.deliver("alice", mailOf(number))
	case "noutf8":
		s.UTF8 = false
	case "plainmail":
		w.mem.knowsNothing = true
	case "utf8mail":
		w.mem.deliver("alice", "Subject: é\r\n\r\né\r\n")
	case "gonemail":
		w.mem.deliver("alice", "gone")
	case "text":
		text, err := strconv.Unquote(value)
		if err != nil {
			t.Fatal(err)
		}
		w.mem.deliver("alice", text)
	case "open":
		w.mem.openErr = codes[value]
	case "remove":
		w.mem.removeErr = codes[value]
	case "break":
		w.mem.breakAfter, w.mem.breakErr = number, errDisk
	case "cut":
		w.mem.breakAfter, w.mem.breakErr = number, io.EOF
	case "panic":
		w.mem.panicAt = value
		w.book.panics = value == "verify"
	case "verify":
		w.book.err = codes[value]
	case "uid":
		var err error
		if w.mem.oddUID, err = strconv.Unquote(`"` + value + `"`); err != nil {
			t.Fatal(err)
		}
	case "line":
		s.Limits.Line = number
	case "errors":
		s.Limits.Errors = number
	case "autherrors":
		s.Limits.AuthErrors = number
	case "login":
		s.Limits.Login = duration
	case "early":
		s.Limits.Early = number
	case "session":
		s.Limits.Session = duration
	case "conns":
		s.Limits.Conns = number
	case "perblock":
		s.Limits.ConnsPerBlock = number
	default:
		t.Fatalf("unknown word %q", word)
	}
}

// dial connects to the server through a pipe.
func (w *world) dial() (net.Conn, error) {
	client, server := mailtest.Pipe(w.client, "198.51.100.1:110")
	w.mu.Lock()
	w.writes = 0
	w.mu.Unlock()
	go w.srv.ServeConn(&counted{Conn: server, w: w})
	if !w.implicit {
		return client, nil
	}
	c := tls.Client(client, w.clientTLS)
	return c, c.Handshake()
}

// counted counts the server's writes.
type counted struct {
	net.Conn
	w *world
}

func (c *counted) Write(p []byte) (int, error) {
	c.w.mu.Lock()
	c.w.writes++
	c.w.mu.Unlock()
	return c.Conn.Write(p)
}

// steps are what "do" can do in dialogues.
func (w *world) steps(p *mailtest.Player) map[string]func(string) error {
	return map[string]func(string) error{
		// deliver: mail arrives during the session.
		"deliver": func(arg string) error { w.mem.deliver("alice", mailOne); return nil },
		// length var n: the variable has so many octets.
		"length": func(arg string) error {
			name, n, _ := strings.Cut(arg, " ")
			return same("length", strconv.Itoa(len(p.Vars[name])), n)
		},
		// left ids: these messages are in the mailbox.
		"left": func(arg string) error { return same("mailbox", w.mem.uids("alice"), arg) },
		"seen": func(arg string) error {
			w.mem.mu.Lock()
			defer w.mem.mu.Unlock()
			return same("retrieved", strings.Join(w.mem.seen, " "), arg)
		},
		"locked": func(arg string) error {
			synctest.Wait()
			return same("locked", strconv.FormatBool(w.mem.isLocked("alice")), arg)
		},
		// logged text: a line of the log has it; not logged: none has it.
		"logged": func(arg string) error {
			synctest.Wait()
			return w.logged(arg)
		},
		// apop user password: logs in so.
		"apop": func(arg string) error {
			user, password, _ := strings.Cut(arg, " ")
			digest := sasl.APOPDigest(p.Vars["timestamp"], []byte(password))
			return p.Send("APOP " + user + " " + digest + "\r\n")
		},
		// cram user password: answers the challenge in {challenge}.
		"cram": func(arg string) error {
			user, password, _ := strings.Cut(arg, " ")
			challenge, err := base64.StdEncoding.DecodeString(p.Vars["challenge"])
			if err != nil {
				return err
			}
			c := sasl.CRAMMD5Client(user, password)
			c.Start(context.Background())
			response, err := c.Next(context.Background(), challenge)
			if err != nil {
				return err
			}
			return p.Send(base64.StdEncoding.EncodeToString(response) + "\r\n")
		},
		// writes n: the server made so many writes on this connection so far.
		"writes": func(arg string) error {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return same("writes", strconv.Itoa(w.writes), arg)
		},
		// closed n: the maildrop was closed when there had been n writes.
		"closed": func(arg string) error {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return same("writes at close", strconv.Itoa(w.atClose), arg)
		},
		"shutdown": func(string) error {
			go func() { w.down <- w.srv.Shutdown(context.Background()) }()
			synctest.Wait()
			return nil
		},
		"down": func(string) error { return <-w.down },
		// other: what a second session of alice does.
		"other": func(arg string) error { return w.other(arg) },
	}
}

func same(what, got, want string) error {
	if got != want {
		return fmt.Errorf("%s: %q, want %q", what, got, want)
	}
	return nil
}

func (w *world) logged(text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.Contains(w.log.String(), text) {
		return fmt.Errorf("not in the log:\n%s", w.log.String())
	}
	return nil
}

// other opens (arg "opens", or "fails" with [IN-USE], or "refused" with a
// greeting) or ends ("quits") a second session of alice.
func (w *world) other(arg string) error {
	if arg == "quits" {
		c := w.extra
		w.extra = nil
		return ask(c, "QUIT", "+OK")
	}
	dial := w.dial
	if w.addr != "" {
		dial = func() (net.Conn, error) { return net.Dial("tcp", w.addr) }
	}
	c, err := dial()
	if err != nil {
		return err
	}
	r := bufio.NewReader(c)
	greeting, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	if want, ok := strings.CutPrefix(arg, "refused "); ok {
		if !strings.HasPrefix(greeting, want) {
			return fmt.Errorf("greeting %q", greeting)
		}
		return nil
	}
	if err := ask(c, "USER alice", "+OK"); err != nil {
		return err
	}
	if arg == "fails" {
		defer c.Close()
		return ask(c, "PASS "+w.book.passwords["alice"], "-ERR [IN-USE]")
	}
	w.extra = c
	return ask(c, "PASS "+w.book.passwords["alice"], "+OK")
}

// ask sends a command and wants the answer to begin with want.
func ask(c net.Conn, command, want string) error {
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, want) {
		err = fmt.Errorf("%s: %q", command, line)
	}
	return err
}

// certificates makes the configurations of a server and of a client that
// trusts it. Called in a bubble, they are valid there.
func certificates(t testing.TB) (server, client *tls.Config) {
	certPEM, keyPEM, err := certs.SelfSigned("pop.example.com", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certPEM) {
		t.Fatal("no certificate")
	}
	server = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	client = &tls.Config{RootCAs: roots, ServerName: "pop.example.com", MinVersion: tls.VersionTLS12}
	return server, client
}
