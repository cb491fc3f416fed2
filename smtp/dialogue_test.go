package smtp_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

// TestDialogues plays every conversation of testdata/dialogues/smtp.
func TestDialogues(t *testing.T) {
	for _, d := range mailtest.Dialogues(t, "../testdata/dialogues/smtp") {
		t.Run(d.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, d) })
		})
	}
}

func play(t *testing.T, d *mailtest.Dialogue) {
	w := newWorld(t, d.Server)
	p := &mailtest.Player{
		Dial:  w.dial,
		TLS:   w.clientTLS,
		Idle:  synctest.Wait,
		Steps: w.steps(),
	}
	w.player = p
	p.Play(t, d)
	w.srv.Close()
	synctest.Wait()
	for _, fault := range w.faults {
		t.Error(fault)
	}
}

// world is a server as the words of a dialogue describe it, and what it
// received.
type world struct {
	srv       *smtp.Server
	clientTLS *tls.Config
	client    string // address
	player    *mailtest.Player
	down      chan error

	mu     sync.Mutex
	mails  []string
	last   smtp.Envelope
	about  smtp.Session // as it was when the last message came
	faults []string
	log    strings.Builder
}

func newWorld(t *testing.T, words []string) *world {
	w := &world{client: "192.0.2.1:50000", down: make(chan error, 1)}
	w.srv = &smtp.Server{
		Hostname:  "mx.example.com",
		Handler:   smtp.HandlerFunc(w.serve),
		CheckRcpt: w.rcpt,
		Log:       slog.New(slog.NewTextHandler(writerFunc(w.write), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, word := range words {
		w.set(t, word)
	}
	return w
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (w *world) write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Write(p)
	if line := string(p); strings.Contains(line, "sesame") || strings.Contains(line, "AHRlc3QA") {
		w.faults = append(w.faults, "a credential in the log: "+line)
	}
	return len(p), nil
}

// set changes the server as a word of a server line says.
func (w *world) set(t *testing.T, word string) {
	s := w.srv
	key, value, _ := strings.Cut(word, "=")
	number, _ := strconv.Atoi(value)
	switch key {
	case "lmtp":
		s.LMTP = true
	case "tls", "requiretls", "implicit":
		s.TLSConfig, w.clientTLS = certificates(t)
		s.TLSMode = map[string]smtp.TLSMode{"tls": smtp.StartTLS, "requiretls": smtp.RequireTLS, "implicit": smtp.ImplicitTLS}[key]
	case "auth":
		s.Credentials = sasl.PasswordFunc(w.auth)
	case "creds":
		s.Credentials = newAccounts()
	case "holders": // behind tls
		s.Credentials = holders{newAccounts()}
		s.TLSConfig.ClientAuth = tls.RequestClientCert
		w.clientTLS.Certificates = s.TLSConfig.Certificates
	case "cleartext":
		s.CleartextAuth = true
	case "requireauth":
		s.RequireAuth = true
	case "zero":
		*s = smtp.Server{Hostname: s.Hostname, Log: s.Log}
	case "all":
		s.Extensions = smtp.Extensions{DSN: true, RequireTLS: true, BinaryMIME: true, FutureRelease: 24 * time.Hour, DeliverBy: true, DeliverByMin: time.Minute, Priority: true, PriorityPolicy: "MIXER", RRVS: true, Announce: []string{"XVENDOR a b"}}
	case "hide":
		s.Extensions.Hide = strings.Split(value, ",")
	case "normalise":
		tolerate(s, smtp.TolerateBareNewlines)
	case "lenient":
		tolerate(s, smtp.ToleratePaths|smtp.TolerateLF)
	case "from":
		w.client = value
	case "xclient":
		s.XClient = []netip.Prefix{netip.MustParsePrefix(value)}
	case "xforward":
		s.XForward = []netip.Prefix{netip.MustParsePrefix(value)}
	case "normalisefrom":
		s.Tolerate = smtp.TolerateFrom(smtp.TolerateBareNewlines, netip.MustParsePrefix(value))
	case "oldmachines":
		s.Tolerate = smtp.TolerateFrom(smtp.TolerateAll, netip.MustParsePrefix(value))
	case "tarpit":
		s.Tarpit, _ = time.ParseDuration(value)
	case "size":
		s.Limits.MessageSize = int64(number)
	case "recipients":
		s.Limits.Recipients = number
	case "errors":
		s.Limits.Errors = number
	case "autherrors":
		s.Limits.AuthErrors = number
	case "idle":
		s.Limits.Idle = number
	case "messages":
		s.Limits.Messages = number
	case "conns":
		s.Limits.Conns = number
	case "perblock":
		s.Limits.ConnsPerBlock = number
	case "mux":
		s.CheckRcpt = nil
		s.Handler = w.mux()
	case "greylist":
		s.CheckSender = func(context.Context, *smtp.Session, smtp.Path, *smtp.Params) error { return smtp.ErrTryLater }
	case "refuseconn":
		s.CheckConn = func(context.Context, *smtp.Session) error { return smtp.ErrRefused }
	case "notls":
		s.CheckConn = func(_ context.Context, s *smtp.Session) error { s.NoTLS = true; return nil }
	case "deferconn":
		s.CheckConn = func(context.Context, *smtp.Session) error { return smtp.ErrTryLater }
	case "refusehelo":
		s.CheckHelo = func(_ context.Context, _ *smtp.Session, name string) error {
			if name == value {
				return smtp.ErrRefused
			}
			return nil
		}
	case "refusedata":
		s.CheckData = func(context.Context, *smtp.Session) error { return smtp.ErrRefused }
	case "deferdata": // the first time
		asked := 0
		s.CheckData = func(context.Context, *smtp.Session) error {
			if asked++; asked == 1 {
				return smtp.ErrTryLater
			}
			return nil
		}
	case "vrfy":
		s.CheckVrfy = func(_ context.Context, _ *smtp.Session, arg string, expand bool) *smtp.Reply {
			if arg == "umlaut" {
				return &smtp.Reply{Code: 250, Enhanced: "2.1.5", Text: "Ümlaut <umlaut@example.com>"}
			}
			return &smtp.Reply{Code: 250, Enhanced: "2.1.5", Text: fmt.Sprintf("%s %v", arg, expand)}
		}
	default:
		t.Fatalf("unknown word %q", word)
	}
}

// tolerate forgives faults to everybody.
func tolerate(s *smtp.Server, faults smtp.Tolerance) {
	s.Tolerate = func(*smtp.Session) smtp.Tolerance { return faults }
}

func (w *world) mux() *smtp.ServeMux {
	m := smtp.NewServeMux()
	m.HandleFunc("*@example.com", w.serve)
	m.HandleFunc("info@*", w.serve)
	return m
}

func (w *world) auth(user, password, remote string) error {
	if user == "test" && password == "sesame" {
		return nil
	}
	if user == "later" {
		return smtp.ErrTryLater
	}
	return sasl.ErrDenied
}

// rcpt knows what each local part means.
func (w *world) rcpt(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
	switch to.Path.Local {
	case "nobody":
		return smtp.ErrNoSuchUser
	case "full":
		return smtp.ErrMailboxFull
	case "crash":
		panic("callback panics")
	case "bug":
		return errors.New("a secret of ours")
	case "inject":
		return smtp.ErrRefused.Textf("two\r\n250 replies")
	case "umlaut":
		return smtp.ErrRefused.Textf("No ümlaut here")
	case "lines":
		return smtp.ErrRefused.Textf("first\nsecond")
	case "positive":
		return &smtp.Reply{Code: 250, Text: "an error that says yes"}
	}
	return nil
}

// serve stores a message, or fails as its first recipient's name says.
func (w *world) serve(ctx context.Context, e *smtp.Envelope) error {
	who := e.To[0].Path.Local
	switch who {
	case "early":
		return smtp.ErrRefused
	case "careless":
		return nil
	case "crashlate":
		panic("handler panics")
	case "some":
		var b [4]byte
		io.ReadFull(e.Data, b[:])
		return nil
	case "liar":
		io.Copy(io.Discard, e.Data)
		return nil
	}
	var b strings.Builder
	_, err := io.Copy(&b, e.Data)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mails = append(w.mails, b.String())
	w.last, w.about = *e, *e.Session
	w.last.Session = &w.about
	for i, to := range e.To {
		if to.Path.Local == "toofull" {
			e.To[i].Result = smtp.ErrMailboxFull
		}
	}
	if who == "refused" {
		return smtp.ErrRefused
	}
	if who == "broken" {
		return errors.New("disk on fire")
	}
	return nil
}

func (w *world) dial() (net.Conn, error) {
	c, s := mailtest.Pipe(w.client, "192.0.2.25:25")
	go w.srv.ServeConn(s)
	return c, nil
}

// steps are what dialogues can do and ask here.
func (w *world) steps() map[string]func(string) error {
	return map[string]func(string) error{
		// mail "text": the oldest message not asked for yet.
		"mail": func(arg string) error {
			want, err := strconv.Unquote(arg)
			if err != nil {
				return err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.mails) == 0 {
				return errors.New("no message has arrived")
			}
			got := w.mails[0]
			w.mails = w.mails[1:]
			if got != want {
				return fmt.Errorf("message is %q", got)
			}
			return nil
		},
		// clean text: the oldest message holds text, and no CR or LF of its own.
		"clean": func(arg string) error {
			want, err := strconv.Unquote(`"` + arg + `"`)
			if err != nil {
				return err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.mails) == 0 {
				return errors.New("no message has arrived")
			}
			got := w.mails[0]
			w.mails = w.mails[1:]
			if rest := strings.ReplaceAll(got, "\r\n", ""); strings.ContainsAny(rest, "\r\n") || !strings.Contains(got, want) {
				return fmt.Errorf("message is %q", got)
			}
			return nil
		},
		// drain: the connection ends; what TLS says before does not matter.
		"drain": func(string) error { return w.player.Drain() },
		"nomail": func(string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.mails) > 0 {
				return fmt.Errorf("messages have arrived: %q", w.mails)
			}
			return nil
		},
		// envelope field value: of the last message.
		"envelope": w.envelope,
		"shutdown": func(string) error {
			go func() { w.down <- w.srv.Shutdown(context.Background()) }()
			synctest.Wait()
			return nil
		},
		"down": func(string) error { return <-w.down },
		// long n: NOOP in a line of n octets.
		"long": func(arg string) error {
			n, _ := strconv.Atoi(arg)
			return w.player.Send("NOOP " + strings.Repeat("x", n-5) + "\r\n")
		},
		// longauth n: AUTH PLAIN with a wrong password of n octets.
		"longauth": func(arg string) error {
			n, _ := strconv.Atoi(arg)
			return w.player.Send("AUTH PLAIN " + encode([]byte("\x00test\x00"+strings.Repeat("x", n))) + "\r\n")
		},
		"sasl": w.sasl,
		// flood n: n octets of text, or until the server hangs up.
		"flood": func(arg string) error {
			n, _ := strconv.Atoi(arg)
			return w.player.Send(strings.Repeat("x", n))
		},
		// second line: what another connection is greeted with.
		"second": func(want string) error {
			c, _ := w.dial()
			defer c.Close()
			line, err := bufio.NewReader(c).ReadString('\n')
			if err == nil && !strings.HasPrefix(line, want) {
				err = fmt.Errorf("greeted with %q", line)
			}
			return err
		},
		// logged text: somewhere in the log.
		"logged": func(text string) error {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if !strings.Contains(w.log.String(), text) {
				return fmt.Errorf("log is\n%s", w.log.String())
			}
			return nil
		},
	}
}

func (w *world) envelope(arg string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	field, want, _ := strings.Cut(arg, " ")
	e := &w.last
	var got any
	switch field {
	case "from":
		got = e.From
	case "to":
		var to []string
		for _, r := range e.To {
			to = append(to, r.Path.String())
		}
		got = strings.Join(to, " ")
	case "user":
		got = e.Session.User
	case "with":
		got = e.Protocol()
	case "params":
		got = fmt.Sprintf("%+v", e.Params)
	case "rcpt":
		got = fmt.Sprintf("%+v", e.To[0].Params)
	case "remote":
		got = e.Session.RemoteAddr
	case "local":
		got = e.Session.LocalAddr
	case "name":
		got = e.Session.Name
	case "helo":
		got = e.Session.Helo
	case "forward":
		got = e.Session.Forward
	}
	if fmt.Sprint(got) != want {
		return fmt.Errorf("%s is %v", field, got)
	}
	return nil
}

// certificates makes a certificate; within the bubble, whose clock stands in
// the year 2000.
func certificates(t testing.TB) (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"mx.example.com"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{ServerName: "mx.example.com", RootCAs: pool}
}
