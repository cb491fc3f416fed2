package daemon

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// issuer is an OpenID provider for tests, with one key at a time.
type testIssuer struct {
	*httptest.Server
	mu   sync.Mutex
	key  *ecdsa.PrivateKey
	kid  string
	dead bool
}

func newIssuerFor(t *testing.T) *testIssuer {
	t.Helper()
	i := &testIssuer{}
	i.rotate(t, "first")
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		switch {
		case i.dead:
			http.Error(w, "away", http.StatusBadGateway)
		case r.URL.Path == "/keys":
			point, _ := i.key.PublicKey.ECDH()
			xy := point.Bytes()[1:]
			json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": i.kid, "x": b64(xy[:32]), "y": b64(xy[32:])}}})
		default:
			json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (i *testIssuer) rotate(t *testing.T, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.kid = key, kid
}

// token is one of bob@mail.test, with other claims.
func (i *testIssuer) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{"iss": i.URL, "aud": "mail", "exp": time.Now().Add(time.Hour).Unix(), "email": "bob@mail.test", "email_verified": true}
	maps.Copy(claims, changes)
	header, _ := json.Marshal(map[string]string{"alg": "ES256", "kid": i.kid})
	payload, _ := json.Marshal(claims)
	text := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + b64(signature)
}

func openIDConf(i *testIssuer) string {
	return fmt.Sprintf(`"Elsewhere": {"OpenID": {"issuer": %q, "audiences": ["mail"], "timeout": "30s"}},`, i.URL)
}

func bearer(authzid, token string) string {
	if authzid != "" {
		authzid = "a=" + authzid
	}
	return base64.StdEncoding.EncodeToString([]byte("n," + authzid + ",\x01host=mail.test\x01auth=Bearer " + token + "\x01\x01"))
}

func xoauth2(user, token string) string {
	return base64.StdEncoding.EncodeToString([]byte("user=" + user + "\x01auth=Bearer " + token + "\x01\x01"))
}

// submission is a session under TLS, with its reply to EHLO heard.
func (w *testWorld) submission() *talk {
	w.t.Helper()
	k := w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	k.startTLS("STARTTLS", "220")
	k.play("C: EHLO c.test\nS: 250")
	return k
}

// refusedWith plays a login by a token that is refused, and returns what the client was told in the challenge.
func (k *talk) refusedWith(command string) map[string]string {
	k.t.Helper()
	challenge := strings.TrimSpace(strings.TrimPrefix(k.play("C: "+command+"\nS: 334 "), "334 "))
	k.play("C: AQ==\nS: 535 5.7.8")
	text, err := base64.StdEncoding.DecodeString(challenge)
	told := make(map[string]string)
	if err == nil {
		err = json.Unmarshal(text, &told)
	}
	if err != nil {
		k.t.Fatalf("%q: %v", challenge, err)
	}
	return told
}

// TestTokens: a token of the provider logs its user in, by both mechanisms, and nobody else's does.
func TestTokens(t *testing.T) {
	i := newIssuerFor(t)
	w := start(t, openIDConf(i))
	good := i.token(t, nil)
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("", good) + "\nS: 235\nC: MAIL FROM:<bob@mail.test>\nS: 250\nC: MAIL FROM:<alice@mail.test>\nS: 5")
	w.submission().play("C: AUTH XOAUTH2 " + xoauth2("bob@mail.test", good) + "\nS: 235")
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("bob", good) + "\nS: 235")
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: AUTH XOAUTH2 " + xoauth2("bob@mail.test", good) + "\nS: +OK\nC: QUIT\nS: +OK")

	// In the clear neither is offered, nor taken.
	k = w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	k.play("C: AUTH OAUTHBEARER " + bearer("", good) + "\nS: 5")

	for name, test := range map[string]struct {
		changes map[string]any
		why     string
	}{
		"expired":                {map[string]any{"exp": time.Now().Add(-90 * time.Second).Unix()}, "the token is expired"},
		"another client's":       {map[string]any{"aud": "wiki"}, "the token is not for this server"},
		"not verified":           {map[string]any{"email_verified": false}, "the token has an e-mail address that the provider has not verified"},
		"somebody not here":      {map[string]any{"email": "eve@mail.test"}, "the token is of somebody without an account here"},
		"somebody somewhere":     {map[string]any{"email": "bob@gmail.test"}, "the token is of somebody without an account here"},
		"a mailbox for an alias": {map[string]any{"email": "team@mail.test"}, "the token is of somebody without an account here"},
	} {
		told := w.submission().refusedWith("AUTH OAUTHBEARER " + bearer("", i.token(t, test.changes)))
		if told["status"] != "invalid_token" || told["error_description"] != test.why || told["openid-configuration"] != i.URL+"/.well-known/openid-configuration" {
			t.Errorf("%s: %v", name, told)
		}
	}
	if told := w.submission().refusedWith("AUTH OAUTHBEARER " + bearer("alice@mail.test", good)); told["error_description"] != "the token is of another user" {
		t.Errorf("as somebody else: %v", told)
	}
	if told := w.submission().refusedWith("AUTH XOAUTH2 " + xoauth2("alice@mail.test", good)); told["status"] != "401" {
		t.Errorf("as somebody else: %v", told)
	}
	log := w.logs.Take()
	if strings.Contains(log, good) || strings.Contains(log, good[:40]) || !strings.Contains(log, `why="the token is expired"`) {
		t.Error("a token in the log, or not why it was refused")
	}
	// Such tokens are the provider's own, and no guesses; those that are not are counted.
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("", good) + "\nS: 235")
}

// TestTokenGuesses: tokens that nobody made are counted by where they come from, and lock nobody else out.
func TestTokenGuesses(t *testing.T) {
	i := newIssuerFor(t)
	w := start(t, `"Auth": {"max_failures_per_address": 3}, "SMTP": {"max_auth_failures": 100, "max_errors": 100},`+openIDConf(i))
	good := i.token(t, nil)
	parts := strings.Split(good, ".")
	for n := range 3 {
		w.submission().refusedWith("AUTH OAUTHBEARER " + bearer("", parts[0]+"."+b64(fmt.Appendf(nil, "%d", n))+"."+parts[2]))
	}
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("", good) + "\nS: 454 4.7.0")
}

// TestProviderAway: keys change without a failed login, and a provider that is away is a temporary failure.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	i := newIssuerFor(t)
	i.dead = true
	w := start(t, openIDConf(i))
	good := i.token(t, nil)
	for range 4 {
		w.submission().play("C: AUTH OAUTHBEARER " + bearer("", good) + "\nS: 454 4.7.0")
	}
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: AUTH XOAUTH2 " + xoauth2("bob@mail.test", good) + "\nS: -ERR [SYS/TEMP]")
	if st := w.status(time.Now()); len(st.Elsewhere) != 1 || !st.Elsewhere[0].Away {
		t.Errorf("status: %+v", st.Elsewhere)
	}
	i.mu.Lock()
	i.dead = false
	i.mu.Unlock()
	time.Sleep(2100 * time.Millisecond) // until it is asked again
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("", good) + "\nS: 235")
	w.mailbox("alice@mail.test")
	i.mu.Lock()
	i.dead = true
	i.mu.Unlock()
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("", good) + "\nS: 235") // what it has signed is signed
}

// TestTokensByCurl: as a client of others does it.
func TestTokensByCurl(t *testing.T) {
	curl := clientProgram(t, "curl")
	i := newIssuerFor(t)
	w := start(t, openIDConf(i))
	good := i.token(t, nil)
	mail := filepath.Join(t.TempDir(), "mail")
	if err := os.WriteFile(mail, []byte("Subject: by a token\r\n\r\nbody\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(token string, args ...string) (string, error) {
		out, err := exec.Command(curl, append([]string{"-sS", "-k", "--ssl-reqd", "--user", "bob@mail.test:", "--oauth2-bearer", token}, args...)...).CombinedOutput()
		return string(out), err
	}
	for _, mechanism := range []string{"OAUTHBEARER", "XOAUTH2"} {
		send := []string{"--login-options", "AUTH=" + mechanism, "--mail-from", "bob@mail.test", "--mail-rcpt", "bob@mail.test", "-T", mail, "smtp://" + w.Addrs()["127.0.0.2:0"].String()}
		if out, err := run(good, send...); err != nil {
			t.Errorf("%s, SMTP: %v\n%s", mechanism, err, out)
		}
		if out, err := run(good[:len(good)-9], send...); err == nil {
			t.Errorf("%s, SMTP, half a token: %s", mechanism, out)
		}
		if out, err := run(good, "--login-options", "AUTH="+mechanism, "pop3://"+w.Addrs()["127.0.0.4:0"].String()+"/1"); err != nil || !strings.Contains(out, "by a token") {
			t.Errorf("%s, POP3: %v\n%s", mechanism, err, out)
		}
	}
}

// clientProgram is a program of others.
func clientProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", name)
	}
	if err != nil {
		t.Skipf("missing: %s", name)
	}
	return path
}

// clientCA is an authority for clients.
type clientCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newClientCA(t *testing.T) *clientCA { return namedClientCA(t, "staff") }

func namedClientCA(t *testing.T, name string) *clientCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &clientCA{cert, key, 1}
}

func (a *clientCA) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue makes a certificate for clients; with changes what is changed of it.
func (a *clientCA) issue(t *testing.T, change func(*x509.Certificate)) (cert tls.Certificate, certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.n++
	template := &x509.Certificate{SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: "Bob"}, EmailAddresses: []string{"bob@mail.test"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if cert, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return cert, certPEM, keyPEM
}

// revoke writes a list with the certificates of these numbers.
func (a *clientCA) revoke(t *testing.T, file string, next time.Time, numbers ...int64) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: next}
	for _, n := range numbers {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withCertificate is a submission session of a client with a certificate; offered is what it was offered.
func (w *testWorld) withCertificate(cert *tls.Certificate) (k *talk, offered string) {
	w.t.Helper()
	k = w.dial("127.0.0.2:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250")
	k.play("C: STARTTLS\nS: 220")
	c := &tls.Config{InsecureSkipVerify: true}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil } // also one that is not asked for
	}
	conn := tls.Client(k.c, c)
	if err := conn.Handshake(); err != nil {
		w.t.Fatal(err)
	}
	k = &talk{w.t, conn, bufio.NewReader(conn)}
	fmt.Fprintf(k.c, "EHLO c.test\r\n")
	for {
		line, err := k.r.ReadString('\n')
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.Contains(line, "AUTH ") {
			offered = strings.TrimSpace(line[len("250-AUTH "):])
		}
		if strings.HasPrefix(line, "250 ") {
			return k, offered
		}
	}
}

// TestClientCertificates: a certificate of the authority logs in whom it names, and none else does.
func TestClientCertificates(t *testing.T) {
	ca, other := newClientCA(t), newClientCA(t)
	dir := t.TempDir()
	caFile, crlFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "crl.pem")
	if err := os.WriteFile(caFile, ca.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	ca.revoke(t, crlFile, time.Now().Add(time.Hour))
	w := start(t, fmt.Sprintf(`"Elsewhere": {"Certificates": {"ca_file": %q, "crl_file": %q}},`, caFile, crlFile))
	good, certPEM, keyPEM := ca.issue(t, nil)
	k, offered := w.withCertificate(&good)
	if !strings.HasPrefix(offered, "EXTERNAL ") {
		t.Errorf("offered: %s", offered)
	}
	k.play("C: AUTH EXTERNAL =\nS: 235\nC: MAIL FROM:<bob@mail.test>\nS: 250\nC: MAIL FROM:<alice@mail.test>\nS: 5")
	k, _ = w.withCertificate(&good)
	k.play("C: AUTH EXTERNAL\nS: 334\nC: " + base64.StdEncoding.EncodeToString([]byte("bob@mail.test")) + "\nS: 235")
	k, _ = w.withCertificate(&good)
	k.play("C: AUTH EXTERNAL " + base64.StdEncoding.EncodeToString([]byte("alice@mail.test")) + "\nS: 535")

	foreign, _, _ := other.issue(t, nil)
	old, _, _ := ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	server, _, _ := ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	for name, cert := range map[string]*tls.Certificate{"none": nil, "of another authority": &foreign, "too old": &old, "of a server": &server} {
		k, offered := w.withCertificate(cert)
		if strings.Contains(offered, "EXTERNAL") {
			t.Errorf("%s: offered %s", name, offered)
		}
		k.play("C: AUTH EXTERNAL =\nS: 504")
		k.play("C: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00"+testPassword)) + "\nS: 235") // all else goes on
	}
	nobody, _, _ := ca.issue(t, func(c *x509.Certificate) { c.EmailAddresses = []string{"eve@mail.test"} })
	unnamed, _, _ := ca.issue(t, func(c *x509.Certificate) { c.EmailAddresses = nil })
	both, _, _ := ca.issue(t, func(c *x509.Certificate) {
		c.EmailAddresses = []string{"bob@mail.test", "alice@mail.test", "x@elsewhere.test"}
	})
	for _, cert := range []*tls.Certificate{&nobody, &unnamed, &both} {
		k, _ := w.withCertificate(cert)
		k.play("C: AUTH EXTERNAL =\nS: 535")
	}
	k, _ = w.withCertificate(&both)
	k.play("C: AUTH EXTERNAL " + base64.StdEncoding.EncodeToString([]byte("alice@mail.test")) + "\nS: 235")

	// POP3, by openssl: a real client's TLS.
	openssl, curl := clientProgram(t, "openssl"), clientProgram(t, "curl")
	certFile, keyFile, mail := filepath.Join(dir, "bob.pem"), filepath.Join(dir, "bob.key"), filepath.Join(dir, "mail")
	for name, text := range map[string][]byte{certFile: certPEM, keyFile: keyPEM, mail: []byte("Subject: by a certificate\r\n\r\n")} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(openssl, "s_client", "-quiet", "-starttls", "pop3", "-connect", w.Addrs()["127.0.0.4:0"].String(), "-cert", certFile, "-key", keyFile)
	c.Stdin = strings.NewReader("AUTH EXTERNAL =\r\nSTAT\r\nQUIT\r\n")
	if out, err := c.Output(); err != nil || strings.Count(string(out), "+OK") < 3 {
		t.Errorf("openssl: %v\n%s", err, out)
	}
	if out, err := exec.Command(curl, "-sS", "-k", "--ssl-reqd", "--cert", certFile, "--key", keyFile, "--user", "bob@mail.test:", "--login-options", "AUTH=EXTERNAL",
		"--mail-from", "bob@mail.test", "--mail-rcpt", "bob@mail.test", "-T", mail, "smtp://"+w.Addrs()["127.0.0.2:0"].String()).CombinedOutput(); err != nil {
		t.Errorf("curl: %v\n%s", err, out)
	}

	// Revoked from now on, on a connection that was there before; and a list that is out of date lets nobody in, for now.
	k, _ = w.withCertificate(&good)
	ca.revoke(t, crlFile, time.Now().Add(time.Hour), good.Leaf.SerialNumber.Int64())
	k.play("C: AUTH EXTERNAL =\nS: 535")
	k, _ = w.withCertificate(&both)
	ca.revoke(t, crlFile, time.Now().Add(-time.Second))
	k.play("C: AUTH EXTERNAL " + base64.StdEncoding.EncodeToString([]byte("alice@mail.test")) + "\nS: 454")
	for _, unusable := range []func(){
		func() { ca.revoke(t, crlFile, time.Now().Add(-time.Second)) },
		func() { other.revoke(t, crlFile, time.Now().Add(time.Hour)) }, // of another authority
	} {
		unusable()
		k, _ = w.withCertificate(&both)
		k.play("C: AUTH EXTERNAL " + base64.StdEncoding.EncodeToString([]byte("alice@mail.test")) + "\nS: 454")
		_, offered = w.withCertificate(&foreign)
		if strings.Contains(offered, "EXTERNAL") {
			t.Errorf("of another authority: offered %s", offered)
		}
	}
}

// TestRevokedByTwo: of two authorities each has its list, both in one file, and each counts.
func TestRevokedByTwo(t *testing.T) {
	first, second := namedClientCA(t, "staff"), namedClientCA(t, "more staff")
	dir := t.TempDir()
	caFile, crlFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "crl.pem")
	if err := os.WriteFile(caFile, append(first.pem(), second.pem()...), 0o600); err != nil {
		t.Fatal(err)
	}
	one, _, _ := first.issue(t, nil)
	two, _, _ := second.issue(t, nil)
	list := func(ofSecond ...int64) {
		t.Helper()
		second.revoke(t, crlFile+"2", time.Now().Add(time.Hour), ofSecond...)
		first.revoke(t, crlFile, time.Now().Add(time.Hour))
		a, err := os.ReadFile(crlFile)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(crlFile + "2")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(crlFile, append(a, b...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list()
	w := start(t, fmt.Sprintf(`"Elsewhere": {"Certificates": {"ca_file": %q, "crl_file": %q}},`, caFile, crlFile))
	for _, cert := range []*tls.Certificate{&one, &two} {
		k, _ := w.withCertificate(cert)
		k.play("C: AUTH EXTERNAL =\nS: 235")
	}
	k, _ := w.withCertificate(&two)
	list(two.Leaf.SerialNumber.Int64())
	k.play("C: AUTH EXTERNAL =\nS: 535")
	k, _ = w.withCertificate(&one)
	k.play("C: AUTH EXTERNAL =\nS: 235")
}

// TestTokensOfDirectory: a token may be of an account that a directory keeps, under any of its names; and what closes the accounts of a domain
// closes these.
func TestTokensOfDirectory(t *testing.T) {
	t.Parallel()
	s := peertest.NewSlapd(t, entry("bob", "mail: bob@example.com\n", "proxyAddresses: smtp:robert@example.com\n"), 0)
	i := newIssuerFor(t)
	section := strings.Replace(ldapConf(s, ""), `"Elsewhere": {`, fmt.Sprintf(`"Elsewhere": {"OpenID": {"issuer": %q, "audiences": ["mail"]},`, i.URL), 1)
	w := start(t, section)
	token := i.token(t, map[string]any{"email": "Robert@example.com"})
	w.submission().play("C: AUTH XOAUTH2 " + xoauth2("bob@example.com", token) + "\nS: 235\nC: MAIL FROM:<bob@example.com>\nS: 250\nC: MAIL FROM:<bob@mail.test>\nS: 5")
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("robert@example.com", token) + "\nS: 235")
	w.submission().refusedWith("AUTH OAUTHBEARER " + bearer("bob@mail.test", token))
	s.Kill()
	time.Sleep(3100 * time.Millisecond)
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("", token) + "\nS: 454")
	s.Start()

	w = start(t, `"Domains": {"example.com": {"disabled": true}},`+section)
	w.submission().refusedWith("AUTH OAUTHBEARER " + bearer("", token))
	w.smtpLogin("bob@example.com", "bob-secret", "535")
	if r := w.rcpt("bob@example.com"); !strings.HasPrefix(r, "250") {
		t.Errorf("mail for him: %s", r)
	}
}

// TestTokenNameAway: whether a name is the account's that a token is of cannot be said while the directory is away: that is no refusal of the token.
func TestTokenNameAway(t *testing.T) {
	s := peertest.NewSlapd(t, entry("bob", "mail: bob@example.com\n", "proxyAddresses: smtp:robert@example.com\n"), 0)
	i := newIssuerFor(t)
	w := start(t, strings.Replace(ldapConf(s, ""), `"Elsewhere": {"cache_time": "3s"`, fmt.Sprintf(`"Elsewhere": {"cache_time": "1m", "OpenID": {"issuer": %q, "audiences": ["mail"]}`, i.URL), 1))
	token := i.token(t, map[string]any{"email": "bob@example.com"})
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("", token) + "\nS: 235")
	s.Kill()
	w.submission().play("C: AUTH OAUTHBEARER " + bearer("", token) + "\nS: 235") // he is known still
	w.submission().play("C: AUTH XOAUTH2 " + xoauth2("robert@example.com", token) + "\nS: 454 4.7.0")
}
