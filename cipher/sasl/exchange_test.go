package sasl_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

// tlsPair gives both ends' states of one real TLS connection.
func tlsPair(t testing.TB, version uint16) (client, server *tls.ConnectionState, set *certs.TLS) {
	t.Helper()
	certPEM, keyPEM, err := certs.SelfSigned("mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	if set, err = certs.NewTLS(pair); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	cfg := set.Config(certs.AskClientCertificate, certs.WithoutTickets)
	cfg.MaxVersion = version
	done := make(chan *tls.ConnectionState, 1)
	go func() {
		conn, err := certs.Upgrade(ctx, b, 0, cfg)
		if err != nil {
			done <- nil
			return
		}
		cs := conn.ConnectionState()
		done <- &cs
	}()
	conn, err := certs.UpgradeClient(ctx, a, 0, &tls.Config{InsecureSkipVerify: true, MaxVersion: version, Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	cs := conn.ConnectionState()
	if server = <-done; server == nil {
		t.Fatal("server's handshake failed")
	}
	return &cs, server, set
}

func scram(t *testing.T, name, authzid, user, password string, cs *tls.ConnectionState) sasl.Client {
	t.Helper()
	c, err := sasl.ScramClient(name, authzid, user, password, cs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="

// Every mechanism's client against its server.
func TestExchanges(t *testing.T) {
	ccs, scs, set := tlsPair(t, tls.VersionTLS13)
	ccs12, scs12, _ := tlsPair(t, tls.VersionTLS12)
	noUnique := *ccs12
	noUnique.TLSUnique = nil
	_, other12, _ := tlsPair(t, tls.VersionTLS12)
	peer := &sasl.Peer{Service: "smtp", Hostname: "mail.example.com", TLS: scs, Certificate: set.Certificates()[0]}
	peer12 := &sasl.Peer{Service: "smtp", Hostname: "mail.example.com", TLS: scs12}
	for _, tt := range []struct {
		what   string
		peer   *sasl.Peer
		server sasl.Mechanism
		client sasl.Client
		want   string // account; empty: denied
	}{
		{"plain", peer, sasl.PlainServer(), sasl.PlainClient("", "alice", "secret"), "alice"},
		{"plain, own authzid", peer, sasl.PlainServer(), sasl.PlainClient("alice", "alice", "secret"), "alice"},
		{"plain, authzid without domain", peer, sasl.PlainServer(), sasl.PlainClient("bob", "bob@example.com", "p w d"), "bob@example.com"},
		{"plain, another's authzid", peer, sasl.PlainServer(), sasl.PlainClient("root", "alice", "secret"), ""},
		{"plain, another's authzid allowed", peer, sasl.PlainServer(), sasl.PlainClient("user", "bob@example.com", "p w d"), "user"},
		{"plain, wrong", peer, sasl.PlainServer(), sasl.PlainClient("", "alice", "wrong"), ""},
		{"plain, empty password", peer, sasl.PlainServer(), sasl.PlainClient("", "alice", ""), ""},
		{"plain, nobody", peer, sasl.PlainServer(), sasl.PlainClient("", "nobody", "secret"), ""},
		{"login", peer, sasl.LoginServer(), sasl.LoginClient("alice", "secret"), "alice"},
		{"login, wrong", peer, sasl.LoginServer(), sasl.LoginClient("alice", "wrong"), ""},
		{"cram", peer, sasl.CRAMMD5Server(), sasl.CRAMMD5Client("alice", "secret"), "alice"},
		{"cram, wrong", peer, sasl.CRAMMD5Server(), sasl.CRAMMD5Client("alice", "wrong"), ""},
		{"cram, nobody", peer, sasl.CRAMMD5Server(), sasl.CRAMMD5Client("nobody", "secret"), ""},
		{"scram 1", peer, sasl.ScramSHA1Server(), scram(t, "SCRAM-SHA-1", "", "alice", "secret", nil), "alice"},
		{"scram 256", peer, sasl.ScramSHA256Server(), scram(t, "scram-sha-256", "", "alice", "secret", nil), "alice"},
		{"scram 256, wrong", peer, sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "", "alice", "wrong", nil), ""},
		{"scram 256, nobody", peer, sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "", "nobody", "secret", nil), ""},
		{"scram 256, own authzid", peer, sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "alice", "alice", "secret", nil), "alice"},
		{"scram 256, another's authzid", peer, sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "root", "alice", "secret", nil), ""},
		{"scram 256 in the clear", &sasl.Peer{}, sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "", "alice", "secret", nil), "alice"},
		{"scram 256, y, in the clear for the server (a proxy ends TLS)", &sasl.Peer{}, sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "", "alice", "secret", ccs), "alice"},
		{"scram 256, y, though -PLUS was announced", peer, sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "", "alice", "secret", ccs), ""},
		{"scram 256, y, -PLUS not announced", &sasl.Peer{TLS: scs, Announced: []string{"SCRAM-SHA-256"}}, sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "", "alice", "secret", ccs), "alice"},
		{"scram 1 plus", peer, sasl.ScramSHA1PlusServer(), scram(t, "SCRAM-SHA-1-PLUS", "", "alice", "secret", ccs), "alice"},
		{"scram 256 plus", peer, sasl.ScramSHA256PlusServer(), scram(t, "SCRAM-SHA-256-PLUS", "", "alice", "secret", ccs), "alice"},
		{"scram 256 plus, TLS 1.2", peer12, sasl.ScramSHA256PlusServer(), scram(t, "SCRAM-SHA-256-PLUS", "", "alice", "secret", ccs12), "alice"},
		{"scram 256 plus, TLS 1.2, tls-exporter", peer12, sasl.ScramSHA256PlusServer(), scram(t, "SCRAM-SHA-256-PLUS", "", "alice", "secret", &noUnique), "alice"},
		{"scram 256 plus, TLS 1.2's tls-unique on another connection", &sasl.Peer{TLS: other12}, sasl.ScramSHA256PlusServer(), scram(t, "SCRAM-SHA-256-PLUS", "", "alice", "secret", ccs12), ""},
		{"scram 256 plus, another connection", peer12, sasl.ScramSHA256PlusServer(), scram(t, "SCRAM-SHA-256-PLUS", "", "alice", "secret", ccs), ""},
		{"scram 256 plus, end point", peer, sasl.ScramSHA256PlusServer(), scram(t, "SCRAM-SHA-256-PLUS", "", "alice", "secret", &tls.ConnectionState{PeerCertificates: ccs.PeerCertificates}), "alice"},
		{"scram 256 plus, end point not known", peer12, sasl.ScramSHA256PlusServer(), scram(t, "SCRAM-SHA-256-PLUS", "", "alice", "secret", &tls.ConnectionState{PeerCertificates: ccs.PeerCertificates}), ""},
		{"oauthbearer", peer, sasl.OAuthBearerServer(), sasl.OAuthBearerClient("alice", token, "mail.example.com", 587), "alice"},
		{"oauthbearer, wrong", peer, sasl.OAuthBearerServer(), sasl.OAuthBearerClient("alice", "x", "", 0), ""},
		{"xoauth2", peer, sasl.XOAuth2Server(), sasl.XOAuth2Client("alice", token), "alice"},
		{"xoauth2, wrong", peer, sasl.XOAuth2Server(), sasl.XOAuth2Client("alice", "x"), ""},
		{"external", peer, sasl.ExternalServer(), sasl.ExternalClient(""), "mail.example.com"},
		{"external, another's", peer, sasl.ExternalServer(), sasl.ExternalClient("root"), ""},
		{"external in the clear", &sasl.Peer{}, sasl.ExternalServer(), sasl.ExternalClient(""), ""},
	} {
		c := full{newBook()}
		c.delegates = map[string]string{"bob@example.com": "user"}
		ctx := sasl.WithPeer(context.Background(), tt.peer)
		account, err := converse(ctx, tt.client, tt.server.New(c), true)
		switch {
		case tt.want != "" && (err != nil || account != tt.want):
			t.Errorf("%s: account %q, error %v; want %q", tt.what, account, err, tt.want)
		case tt.want == "" && !errors.Is(err, sasl.ErrDenied):
			t.Errorf("%s: account %q, error %v; want ErrDenied", tt.what, account, err)
		case account != tt.want:
			t.Errorf("%s: account %q with an error", tt.what, account)
		}
	}
}

// Without an initial response the server asks for one with an empty challenge,
// or with its own first words.
func TestServersAsk(t *testing.T) {
	ctx := sasl.WithPeer(context.Background(), &sasl.Peer{Hostname: "mail.example.com"})
	for _, m := range sasl.Mechanisms() {
		challenge, _, done, err := m.New(full{newBook()}).Next(ctx, nil)
		if err != nil || done || challenge == nil {
			t.Errorf("%s: challenge %q, done %v, error %v", m.Name, challenge, done, err)
		}
		speaks := m.Name == "LOGIN" || m.Name == "CRAM-MD5"
		if speaks != (len(challenge) > 0) {
			t.Errorf("%s begins with %q", m.Name, challenge)
		}
	}
	for _, c := range []struct {
		server sasl.Mechanism
		client sasl.Client
	}{
		{sasl.PlainServer(), sasl.PlainClient("", "alice", "secret")},
		{sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "", "alice", "secret", nil)},
		{sasl.XOAuth2Server(), sasl.XOAuth2Client("alice", token)},
	} {
		if account, err := converse(ctx, c.client, c.server.New(full{newBook()}), false); account != "alice" || err != nil {
			t.Errorf("%s without initial response: %q, %v", c.server.Name, account, err)
		}
	}
}

// A temporary failure of the Credentials is passed on, not turned into a denial.
func TestBrokenCredentials(t *testing.T) {
	broken := errors.New("disk on fire")
	c := full{newBook()}
	c.broken = broken
	ctx := context.Background()
	for _, tt := range []struct {
		server sasl.Mechanism
		client sasl.Client
	}{
		{sasl.PlainServer(), sasl.PlainClient("", "alice", "secret")},
		{sasl.LoginServer(), sasl.LoginClient("alice", "secret")},
		{sasl.CRAMMD5Server(), sasl.CRAMMD5Client("alice", "secret")},
		{sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "", "alice", "secret", nil)},
		{sasl.XOAuth2Server(), sasl.XOAuth2Client("alice", token)},
	} {
		if _, err := converse(ctx, tt.client, tt.server.New(c), true); !errors.Is(err, broken) || errors.Is(err, sasl.ErrDenied) {
			t.Errorf("%s: %v", tt.server.Name, err)
		}
	}
	if _, err := sasl.VerifyAPOP(ctx, c, "<1@h>", "alice", strings.Repeat("0", 32)); !errors.Is(err, broken) {
		t.Errorf("APOP: %v", err)
	}
}

// Guards hear how challenge exchanges ended.
func TestOutcomes(t *testing.T) {
	b := newBook()
	ctx := context.Background()
	for _, password := range []string{"secret", "wrong"} {
		converse(ctx, sasl.CRAMMD5Client("alice", password), sasl.CRAMMD5Server().New(b), true)
		converse(ctx, scram(t, "SCRAM-SHA-256", "", "alice", password, nil), sasl.ScramSHA256Server().New(b), true)
		converse(ctx, sasl.PlainClient("", "alice", password), sasl.PlainServer().New(b), true)
		sasl.VerifyAPOP(ctx, b, "<1@h>", "alice", sasl.APOPDigest("<1@h>", []byte(password)))
	}
	const no = "alice sasl: authentication failed"
	want := []string{"alice ok", "alice ok", "alice ok", no, no, no}
	if !slices.Equal(b.outcomes, want) {
		t.Errorf("outcomes %q, want %q", b.outcomes, want)
	}
}
