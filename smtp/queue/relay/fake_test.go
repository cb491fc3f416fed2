package relay

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// zone is a Resolver with a few names.
type zone struct {
	mu     sync.Mutex
	mx     map[string][]resolver.MX
	addr   map[string][]string
	txt    map[string][]string
	tlsa   map[string][]resolver.TLSA
	cname  map[string]string
	secure bool
	// insecure are answers that are not secure all the same, "MX example.net".
	insecure map[string]bool
	fail     map[string]error // by name, or by kind and name
	nth      *mailtest.Nth
	asked    map[string]int
}

func newZone() *zone {
	return &zone{mx: map[string][]resolver.MX{}, addr: map[string][]string{}, txt: map[string][]string{}, tlsa: map[string][]resolver.TLSA{},
		cname: map[string]string{}, fail: map[string]error{}, asked: map[string]int{}}
}

func lookup[T any](z *zone, kind, name string, all map[string][]T) (resolver.Answer[T], error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked[kind+" "+name]++
	a := resolver.Answer[T]{Name: name, Secure: z.secure && !z.insecure[kind+" "+name]}
	if err := cmp.Or(z.fail[name], z.fail[kind+" "+name], z.nth.Fail(kind)); err != nil {
		return a, err
	}
	if to, ok := z.cname[name]; ok {
		a.Name = to
	}
	if v, ok := all[a.Name]; ok {
		a.Records = v
		return a, nil
	}
	_, m := z.mx[a.Name]
	_, h := z.addr[a.Name]
	if m || h {
		return a, nil
	}
	return a, resolver.ErrNoName
}

func (z *zone) MX(_ context.Context, name string) (resolver.Answer[resolver.MX], error) {
	return lookup(z, "MX", name, z.mx)
}
func (z *zone) TXT(_ context.Context, name string) (resolver.Answer[string], error) {
	return lookup(z, "TXT", name, z.txt)
}
func (z *zone) TLSA(_ context.Context, name string) (resolver.Answer[resolver.TLSA], error) {
	return lookup(z, "TLSA", name, z.tlsa)
}
func (z *zone) Addr(_ context.Context, name string) (resolver.Answer[netip.Addr], error) {
	s, err := lookup(z, "A", name, z.addr)
	a := resolver.Answer[netip.Addr]{Name: s.Name, Secure: s.Secure}
	for _, r := range s.Records {
		a.Records = append(a.Records, netip.MustParseAddr(r))
	}
	return a, err
}

// fakeMX is a server that follows a script. Its zero value takes everything.
type fakeMX struct {
	greeting string
	ext      []string // of EHLO, STARTTLS aside
	tls      *tls.Config
	implicit *tls.Config // the connection begins with the handshake
	// reply, if not nil, chooses the reply to a command line, to "." for the
	// end of a message; "" is the usual one, "drop" hangs up.
	reply func(n int, line string) string
	lmtp  bool
	down  bool // connections are refused
	mute  bool // connections are taken and nothing is said
	// slow names commands that are answered an octet each second; endless: and
	// without an end.
	slow    func(line string) bool
	endless bool

	mu    sync.Mutex
	dials int
	conns int
	got   []received
}

type received struct {
	from string
	to   []string
	data string
	tls  bool
	line string // of MAIL
	rcpt []string
}

type fakeSession struct {
	m   *fakeMX
	c   net.Conn
	r   *bufio.Reader
	tls bool
	n   int    // commands
	now string // the command being answered
	msg received
}

func (m *fakeMX) messages() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]received(nil), m.got...)
}

func (m *fakeMX) serve(c net.Conn) {
	defer c.Close()
	if m.implicit != nil {
		c = tls.Server(c, m.implicit)
	}
	m.mu.Lock()
	m.conns++
	m.mu.Unlock()
	s := &fakeSession{m: m, c: c, r: bufio.NewReader(c)}
	if m.mute {
		io.Copy(io.Discard, c)
		return
	}
	g := m.greeting
	if g == "" {
		g = "220 mx.example.net ESMTP"
	}
	if s.say(g) != nil {
		return
	}
	for {
		line, err := s.r.ReadString('\n')
		if err != nil || !s.command(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

func (s *fakeSession) say(reply string) error {
	s.c.SetWriteDeadline(time.Now().Add(time.Minute))
	if s.m.slow != nil && s.m.slow(s.now) {
		return s.drip(reply)
	}
	_, err := io.WriteString(s.c, strings.ReplaceAll(reply, "\n", "\r\n")+"\r\n")
	return err
}

// drip says something an octet each second.
func (s *fakeSession) drip(reply string) error {
	last := strings.LastIndex(reply, "\n") + 1
	text := strings.ReplaceAll(reply, "\n", "\r\n") + strings.Repeat("x", 250) + "\r\n"
	if s.m.endless {
		text = reply[last:last+3] + "-x\r\n"
	}
	for {
		for i := range len(text) {
			time.Sleep(time.Second)
			s.c.SetWriteDeadline(time.Now().Add(time.Minute))
			if _, err := io.WriteString(s.c, text[i:i+1]); err != nil {
				return err
			}
		}
		if !s.m.endless {
			return nil
		}
	}
}

// command answers one command line; false ends the session.
func (s *fakeSession) command(line string) bool {
	s.n++
	s.now = line
	verb := strings.ToUpper(strings.SplitN(line, " ", 2)[0])
	if s.m.reply != nil {
		if r := s.m.reply(s.n, line); r == "drop" {
			return false
		} else if r != "" {
			return s.say(r) == nil && !strings.HasPrefix(r, "421")
		}
	}
	switch verb {
	case "EHLO", "LHLO":
		lines := append([]string{"mx.example.net"}, s.m.ext...)
		if s.m.tls != nil && !s.tls {
			lines = append(lines, "STARTTLS")
		}
		for i := range lines {
			sep := "-"
			if i == len(lines)-1 {
				sep = " "
			}
			lines[i] = "250" + sep + lines[i]
		}
		return s.say(strings.Join(lines, "\n")) == nil
	case "STARTTLS":
		s.say("220 go")
		t := tls.Server(s.c, s.m.tls)
		if t.Handshake() != nil {
			return false
		}
		s.c, s.r, s.tls = t, bufio.NewReader(t), true
		return true
	case "MAIL":
		s.msg = received{from: between(line), line: line, tls: s.tls}
	case "RCPT":
		s.msg.to = append(s.msg.to, between(line))
		s.msg.rcpt = append(s.msg.rcpt, line)
	case "DATA":
		if len(s.msg.to) == 0 {
			return s.say("503 no recipients") == nil
		}
		return s.say("354 go") == nil && s.data()
	case "QUIT":
		s.say("221 bye")
		return false
	}
	return s.say("250 ok") == nil
}

func (s *fakeSession) data() bool {
	var b strings.Builder
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	s.msg.data = b.String()
	s.now = "."
	n := 1
	if s.m.lmtp {
		n = len(s.msg.to)
	}
	for i := range n {
		r := ""
		if s.m.reply != nil {
			r = s.m.reply(s.n, fmt.Sprintf(". %s", s.msg.to[i]))
		}
		if r == "drop" {
			return false
		}
		if r == "" {
			r = "250 2.0.0 queued as 17"
		}
		if strings.HasPrefix(r, "250") && i == 0 {
			s.m.mu.Lock()
			s.m.got = append(s.m.got, s.msg)
			s.m.mu.Unlock()
		}
		if s.say(r) != nil {
			return false
		}
	}
	s.msg = received{}
	return true
}

func between(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	inner, _, _ := strings.Cut(rest, ">")
	return inner
}

// network is where fakeMX live, by address:port.
type network struct {
	mu    sync.Mutex
	hosts map[string]*fakeMX
	order []string
	from  []netip.Addr
}

func (n *network) dial(ctx context.Context, _, address string, source netip.Addr) (net.Conn, error) {
	n.mu.Lock()
	n.order = append(n.order, address)
	n.from = append(n.from, source)
	m := n.hosts[address]
	n.mu.Unlock()
	if m == nil {
		<-ctx.Done() // nothing answers
		return nil, ctx.Err()
	}
	m.mu.Lock()
	m.dials++
	m.mu.Unlock()
	if m.down {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	go m.serve(theirs)
	return ours, nil
}

// scene is a relay in a small world: example.net has one host, mx.example.net
// at 192.0.2.1.
type scene struct {
	*Relay
	zone *zone
	net  *network
	mx   *fakeMX
}

func newScene() *scene {
	s := &scene{zone: newZone(), net: &network{hosts: map[string]*fakeMX{}}, mx: &fakeMX{ext: []string{"PIPELINING", "8BITMIME", "SIZE 1000000"}}}
	s.zone.mx["example.net"] = []resolver.MX{{Host: "mx.example.net", Preference: 10}}
	s.zone.addr["mx.example.net"] = []string{"192.0.2.1"}
	s.net.hosts["192.0.2.1:25"] = s.mx
	s.Relay = &Relay{Hostname: "mail.example.org", Resolver: s.zone, Dial: s.net.dial, Private: documentation, Log: slog.New(slog.DiscardHandler)}
	return s
}

// documentation are the networks of which the tests are made.
var documentation = Networks{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.0.0/16"), netip.MustParsePrefix("2001:db8::/32")}

// loopback is where the peers of some tests are.
var loopback = Networks{netip.MustParsePrefix("127.0.0.0/8")}

const message = "Subject: x\r\n\r\nhello\r\n.dot\r\n"

// address is one as a path.
func address(s string) smtp.Path {
	at := strings.LastIndexByte(s, '@')
	return smtp.Path{Local: s[:at], Domain: s[at+1:]}
}

// levels and ways are Relay.Domains of which only TLS levels or routes are given.
func levels(by map[string]Level) (all domains.Map[Domain]) {
	for pattern, level := range by {
		all.Set(pattern, Domain{Level: level})
	}
	return all
}

func ways(by map[string]string) (all domains.Map[Domain]) {
	for pattern, route := range by {
		all.Set(pattern, Domain{Route: route})
	}
	return all
}

func delivery(to ...string) *queue.Delivery {
	e := &queue.Entry{ID: "a", From: address("ann@example.org"), Queued: time.Now(), Params: smtp.Params{Size: int64(len(message))}}
	for _, a := range to {
		e.To = append(e.To, queue.Recipient{Path: address(a)})
	}
	return of(e, message)
}

func of(e *queue.Entry, body string) *queue.Delivery {
	return &queue.Delivery{Entry: e, To: e.To, Destination: e.To[0].Path.DomainName().String(), Attempt: 1,
		Open: func() (io.ReadCloser, error) { return seekable{strings.NewReader(body)}, nil },
		More: func() bool { return false }}
}

// send delivers and closes, so that no goroutine is left in a bubble.
func (s *scene) send(t *testing.T, d *queue.Delivery) []queue.Result {
	t.Helper()
	res := s.Deliver(t.Context(), d)
	if len(res) != len(d.To) {
		t.Fatalf("%d results for %d recipients", len(res), len(d.To))
	}
	for i, r := range res {
		if r.Status == "" {
			t.Fatalf("recipient %d has no result", i)
		}
		if strings.ContainsAny(r.Text, "\r") || strings.Contains(r.Text, "%!") {
			t.Errorf("text %q", r.Text)
		}
	}
	return res
}

func summary(res []queue.Result) string {
	var s []string
	for _, r := range res {
		s = append(s, fmt.Sprintf("%s %d", r.Status, r.Code))
	}
	return strings.Join(s, ", ")
}

// ca makes certificates.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newCA(t *testing.T) *ca {
	t.Helper()
	a := &ca{pool: x509.NewCertPool()}
	a.cert, a.key = issue(t, nil, nil, "Test CA", time.Hour*24*365)
	a.pool.AddCert(a.cert)
	return a
}

func issue(t *testing.T, parent *x509.Certificate, signer *ecdsa.PrivateKey, name string, valid time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(valid)}
	if parent == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, signer = tmpl, key
	} else {
		tmpl.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// server is the TLS configuration of a host.
func (a *ca) server(t *testing.T, name string, valid time.Duration) *tls.Config {
	cert, key := issue(t, a.cert, a.key, name, valid)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key, Leaf: cert}}}
}

func leaf(c *tls.Config) *x509.Certificate { return c.Certificates[0].Leaf }

// seekable is a message that can be read again, as a file can.
type seekable struct{ *strings.Reader }

func (seekable) Close() error { return nil }

// certErr is what a client says of a web server that nobody vouches for.
func certErr() error {
	return &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
}

type ioReadCloser = io.ReadCloser

// failing is a message that cannot be read to its end.
type failing struct{ after int }

func (f *failing) Read(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errors.New("I/O error")
	}
	return copy(p, "Subject: x\r\n"), nil
}
func (f *failing) Close() error { return nil }
