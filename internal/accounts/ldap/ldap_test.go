package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// person is an entry of inetOrgPerson.
func person(rdn, uid, mail, password string) string {
	return "dn: " + rdn + ",ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nobjectClass: mailThings\ncn: x\nsn: x\nuid:" + uid +
		"\nmail: " + mail + "\nuserPassword: " + password + "\n\n"
}

// people have names that mean something in filters or DNs. Blanks at the ends of values are written in base64.
var people = person(`uid=bob`, " bob", "bob@example.com", "bob-secret") +
	person(`uid=a\2cb`, " a,b", "comma@example.com", "comma-secret") +
	person(`uid=a\28b\29`, " a(b)", "paren@example.com", "paren-secret") +
	person(`uid=\2a`, " *", "star@example.com", "star-secret") +
	person(`uid=h\23e\3d`, " h#e=", "hash@example.com", "hash-secret") +
	person(`uid=jörg`, " jörg", "joerg@example.com", "jörgs Geheimnis")

func config(s *peertest.Slapd) Config {
	return Config{URL: s.URL, BindDN: "cn=mail,dc=example,dc=com", BindPassword: "service-secret", Base: "ou=people,dc=example,dc=com",
		Filter: "(&(objectClass=inetOrgPerson)(uid=%n))", Address: "mail", Quota: "mailQuota", Timeout: 4 * time.Second, Connections: 4, Idle: time.Minute}
}

func open(t *testing.T, c Config) *Directory {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func named(local string) Name {
	return Name{Full: local + "@example.com", Local: local, Domain: "example.com"}
}

// logIn finds an entry and checks a password, as a login does.
func logIn(t *testing.T, d *Directory, local, password string) (string, error) {
	t.Helper()
	e, err := d.Find(t.Context(), named(local))
	if err != nil {
		return "", err
	}
	if e == nil {
		return "", ErrWrong
	}
	return strings.Join(e.Addresses, " "), d.Check(t.Context(), e.DN, []byte(password))
}

// TestNames: whatever a name holds, it is that of one entry or of none, in filters and in DNs.
func TestNames(t *testing.T) {
	s := peertest.NewSlapd(t, people, 0)
	search := config(s)
	template := search
	template.UserDN = "uid=%n,ou=people,dc=example,dc=com"
	for name, c := range map[string]Config{"filter": search, "template": template} {
		d := open(t, c)
		for _, test := range []struct{ local, password, want string }{
			{"bob", "bob-secret", "bob@example.com"},
			{"a,b", "comma-secret", "comma@example.com"},
			{"a(b)", "paren-secret", "paren@example.com"},
			{"*", "star-secret", "star@example.com"},
			{"h#e=", "hash-secret", "hash@example.com"},
			{"jörg", "jörgs Geheimnis", "joerg@example.com"},
		} {
			if got, err := logIn(t, d, test.local, test.password); err != nil || got != test.want {
				t.Errorf("%s: %q is %q (%v), not %q", name, test.local, got, err, test.want)
			}
			if _, err := logIn(t, d, test.local, "wrong"); !errors.Is(err, ErrWrong) {
				t.Errorf("%s: %q with a wrong password: %v", name, test.local, err)
			}
		}
		for _, nobody := range []string{"a)(uid=*", "a,dc=x", "b*", "bob,ou=people", "bob\x00", "\x00", `\2a`, "b\\ob", "a+uid=bob", "", ")(|(uid=*)", "bob,ou=people,dc=example,dc=com\x00"} {
			if e, err := d.Find(t.Context(), named(nobody)); err != nil || e != nil {
				t.Errorf("%s: %q is %+v, %v", name, nobody, e, err)
			}
		}
	}
	if strings.Contains(s.Log(), "nentries=2") {
		t.Error("a search had several entries")
	}
}

// TestNoPassword: a bind without a password succeeds at directories that allow it, whoever's the DN is; one without a DN as well.
func TestNoPassword(t *testing.T) {
	s := peertest.NewSlapd(t, people, 0, "allow bind_anon_cred bind_anon_dn")
	d := open(t, config(s))
	bob := "uid=bob,ou=people,dc=example,dc=com"
	for _, test := range []struct{ dn, password string }{{bob, ""}, {"", "bob-secret"}, {"", ""}, {bob, "\x00"}, {bob, "bob-secret\x00"}} {
		if err := d.Check(t.Context(), test.dn, []byte(test.password)); !errors.Is(err, ErrWrong) {
			t.Errorf("%q with %q: %v", test.dn, test.password, err)
		}
	}
	if err := d.Pretend(t.Context(), nil); !errors.Is(err, ErrWrong) {
		t.Errorf("nobody without a password: %v", err)
	}
	if log := s.Log(); strings.Contains(log, "BIND dn=") {
		t.Errorf("the directory was asked:\n%s", log)
	}
}

// TestEntries: several entries for a name are an error, and what an entry holds comes with it.
func TestEntries(t *testing.T) {
	s := peertest.NewSlapd(t, people+person("uid=second,uid=bob", " bob", "other@example.com", "x")+
		strings.Replace(person("uid=quota", " quota", "q@example.com", "x"), "\nuserPassword", "\nmail: second@example.com\nmailQuota: 2GB\nuserPassword", 1), 0)
	d := open(t, config(s))
	if _, err := d.Find(t.Context(), named("bob")); err == nil || !strings.Contains(err.Error(), "several entries") {
		t.Errorf("two entries: %v", err)
	}
	e, err := d.Find(t.Context(), named("quota"))
	if err != nil || e == nil || e.Quota != "2GB" || len(e.Addresses) != 2 {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestIdle: connections that the server ended while nobody used them are opened again, and log in again.
func TestIdle(t *testing.T) {
	s := peertest.NewSlapd(t, people, 1)
	d := open(t, config(s))
	for range 3 {
		if _, err := logIn(t, d, "bob", "bob-secret"); err != nil {
			t.Fatal(err)
		}
		before := strings.Count(s.Log(), "closed")
		peertest.Await(t, "slapd to end connections", func() bool { return strings.Count(s.Log(), "closed") > before })
	}
	s.Kill()
	s.Start()
	if _, err := logIn(t, d, "bob", "bob-secret"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// relay passes connections on to a server until it is told to forget those that there are: by a reset, or without a word.
type relay struct {
	l     net.Listener
	mu    sync.Mutex
	conns []net.Conn
	deaf  map[net.Conn]bool
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, deaf: make(map[net.Conn]bool)}
	t.Cleanup(func() { l.Close(); r.reset() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			go r.pass(in, out)
			go r.pass(out, in)
		}
	}()
	return r
}

func (r *relay) pass(from, to net.Conn) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		r.mu.Lock()
		deaf := r.deaf[from]
		r.mu.Unlock()
		if err != nil {
			to.Close()
			return
		}
		if !deaf {
			to.Write(buffer[:n])
		}
	}
}

func (r *relay) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	r.conns = nil
}

func (r *relay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		r.deaf[c] = true
	}
}

// TestFirewall: a connection that was reset, or forgotten by a firewall, costs no login.
func TestFirewall(t *testing.T) {
	s := peertest.NewSlapd(t, people, 0)
	r := newRelay(t, strings.TrimPrefix(s.URL, "ldap://"))
	c := config(s)
	c.URL, c.Timeout = "ldap://"+r.l.Addr().String(), 3*time.Second
	d := open(t, c)
	for _, breaks := range []func(){func() {}, r.reset, r.forget, r.reset} {
		breaks()
		if _, err := logIn(t, d, "bob", "bob-secret"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDead: a directory that is away, or does not answer, is no wrong password.
func TestDead(t *testing.T) {
	s := peertest.NewSlapd(t, people, 0)
	c := config(s)
	c.Timeout = time.Second
	d := open(t, c)
	if _, err := logIn(t, d, "bob", "bob-secret"); err != nil {
		t.Fatal(err)
	}
	s.Freeze()
	for _, password := range []string{"bob-secret", "wrong"} {
		if _, err := logIn(t, d, "bob", password); err == nil || errors.Is(err, ErrWrong) {
			t.Errorf("frozen: %v", err)
		}
		if err := d.Check(t.Context(), "uid=bob,ou=people,dc=example,dc=com", []byte(password)); err == nil || errors.Is(err, ErrWrong) {
			t.Errorf("frozen: %v", err)
		}
	}
	s.Thaw()
	if _, err := logIn(t, d, "bob", "bob-secret"); err != nil {
		t.Errorf("after it went on: %v", err)
	}
	s.Kill()
	if _, err := logIn(t, d, "bob", "bob-secret"); err == nil || errors.Is(err, ErrWrong) {
		t.Errorf("killed: %v", err)
	}
	s.Start()
	c.BindPassword = "not-the-service-secret"
	if _, err := logIn(t, open(t, c), "bob", "bob-secret"); err == nil || errors.Is(err, ErrWrong) || !strings.Contains(err.Error(), "cn=mail") {
		t.Errorf("wrong password of the service account: %v", err)
	}
	c = config(s)
	c.Base = "ou=nowhere,dc=example,dc=com"
	if _, err := logIn(t, open(t, c), "bob", "bob-secret"); err == nil || errors.Is(err, ErrWrong) {
		t.Errorf("a base that is not there: %v", err)
	}
}

// TestReferrals: they lead nowhere.
func TestReferrals(t *testing.T) {
	s := peertest.NewSlapd(t, people+"dn: ou=away,ou=people,dc=example,dc=com\nobjectClass: referral\nobjectClass: extensibleObject\nou: away\nref: ldap://169.254.1.1/ou=away,dc=example,dc=com\n\n", 0,
		"referral ldap://169.254.1.1/")
	d := open(t, config(s))
	if _, err := logIn(t, d, "bob", "bob-secret"); err != nil { // beside what others have
		t.Errorf("an answer with a reference: %v", err)
	}
	c := config(s)
	c.Base = "ou=away,ou=people,dc=example,dc=com"
	if e, err := open(t, c).Find(t.Context(), named("bob")); err == nil || !strings.Contains(err.Error(), "referral") {
		t.Errorf("a referral: %+v, %v", e, err)
	}
	c.Base = "dc=elsewhere"
	if e, err := open(t, c).Find(t.Context(), named("bob")); err == nil || !strings.Contains(err.Error(), "referral") {
		t.Errorf("the default referral: %+v, %v", e, err)
	}
}

// TestTLS: with the authority it is spoken, and without nothing else is.
func TestTLS(t *testing.T) {
	s := peertest.NewSlapd(t, people, 0)
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, test := range []struct {
		name     string
		url      string
		startTLS bool
		tls      *tls.Config
		right    bool
	}{
		{"StartTLS", s.URL, true, &tls.Config{RootCAs: roots}, true},
		{"ldaps", s.SecureURL, false, &tls.Config{RootCAs: roots}, true},
		{"ldapi", s.SocketURL, false, nil, true},
		{"StartTLS, another authority", s.URL, true, nil, false},
		{"ldaps, another authority", s.SecureURL, false, nil, false},
		{"StartTLS, another name", s.URL, true, &tls.Config{RootCAs: roots, ServerName: "ldap.example.com"}, false},
		{"ldaps, another name", s.SecureURL, false, &tls.Config{RootCAs: roots, ServerName: "ldap.example.com"}, false},
	} {
		c := config(s)
		c.URL, c.StartTLS, c.TLS = test.url, test.startTLS, test.tls
		_, err := logIn(t, open(t, c), "bob", "bob-secret")
		if test.right != (err == nil) || errors.Is(err, ErrWrong) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestExpired: a certificate that has ended is none, nor is a server that says nothing at all one.
func TestExpired(t *testing.T) {
	ca := peertest.NewAuthority(t)
	old := ca.IssueUntil(t, time.Now().Add(-time.Minute), "127.0.0.1")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{old.TLS}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, c)
		}
	}()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // whoever connects waits
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, c := range []Config{{URL: "ldaps://" + l.Addr().String()}, {URL: "ldap://" + silent.Addr().String(), StartTLS: true}, {URL: "ldaps://" + silent.Addr().String()}} {
		c.TLS, c.Filter, c.Timeout, c.Connections, c.Idle = &tls.Config{RootCAs: ca.Pool}, "(uid=%n)", time.Second, 1, time.Minute
		var away *Unreachable
		if _, err := open(t, c).Find(t.Context(), named("bob")); !errors.As(err, &away) {
			t.Errorf("%s: %v", c.URL, err)
		}
	}
}

// TestStartTLSRefused: where the server refuses TLS, or something in between does, no password follows.
func TestStartTLSRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 1024)
		c.Read(b)
		c.Write([]byte("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00")) // unavailable
		rest, _ := io.ReadAll(c)
		heard <- string(rest)
	}()
	d := open(t, Config{URL: "ldap://" + l.Addr().String(), StartTLS: true, BindDN: "cn=mail", BindPassword: "service-secret", Filter: "(uid=%n)", Timeout: 2 * time.Second, Connections: 1, Idle: time.Minute})
	if _, err := d.Find(t.Context(), named("bob")); err == nil || errors.Is(err, ErrWrong) {
		t.Errorf("StartTLS was refused: %v", err)
	}
	d.Close()
	if text := <-heard; strings.Contains(text, "secret") {
		t.Errorf("said in the clear: %q", text)
	}
}

// TestBounds: no more connections than were said, and who finds none in time hears so.
func TestBounds(t *testing.T) {
	s := peertest.NewSlapd(t, people, 0)
	c := config(s)
	c.Connections = 2
	d := open(t, c)
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if _, err := logIn(t, d, "bob", "bob-secret"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := strings.Count(s.Log(), "ACCEPT"); n > 1+2*2 { // one is the test's own, and users' are others than the service account's
		t.Errorf("%d connections", n)
	}
	c.Timeout = 300 * time.Millisecond
	d = open(t, c)
	s.Freeze()
	defer s.Thaw()
	for range 10 {
		all.Go(func() {
			if _, err := d.Find(context.Background(), named("bob")); err == nil || errors.Is(err, ErrWrong) {
				t.Errorf("frozen: %v", err)
			}
		})
	}
	all.Wait()
}

// TestTemplates: what cannot be asked is said beforehand.
func TestTemplates(t *testing.T) {
	for _, test := range []struct {
		template string
		dn, ok   bool
	}{
		{"(uid=%n)", false, true}, {"(|(mail=%u)(proxyAddresses=smtp:%u))", false, true}, {"(&(uid=%n)(dc=%d)(x=100%%))", false, true},
		{"(uid=%n", false, false}, {"(|(uid=%n(mail=%u)(a=b))", false, false}, {"(uid=bob)", false, false}, {"(uid=%x)", false, false}, {"(uid=%n)%", false, false}, {"", false, false},
		{"uid=%n,dc=example", true, true}, {"uid=%n,dc", true, false}, {"%u", true, false},
	} {
		if err := CheckTemplate(test.template, test.dn); (err == nil) != test.ok {
			t.Errorf("%q: %v", test.template, err)
		}
	}
	for _, url := range []string{"", "http://x", "ldap://", "ldap://a/dc=x", "ldap://u:p@a", "ldapi://", "ldap://a b"} {
		if _, _, err := CheckURL(url); err == nil {
			t.Errorf("%q is a URL", url)
		}
	}
}
