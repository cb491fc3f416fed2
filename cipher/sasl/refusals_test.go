package sasl_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// Responses that are not of the mechanism's form end the exchange, and what
// comes after the end is refused too.
func TestMalformed(t *testing.T) {
	long := strings.Repeat("x", 13000)
	name := strings.Repeat("n", 600)
	for _, tt := range []struct {
		server    sasl.Mechanism
		responses []string
	}{
		{sasl.PlainServer(), []string{"", "\x00", "alice\x00secret", "\x00alice\x00secret\x00", "\x00al\xffice\x00secret",
			"\x00al\x07ice\x00secret", "\xff\x00alice\x00secret", "\x00" + name + "\x00secret", "\x00alice\x00" + long}},
		{sasl.LoginServer(), []string{"al\xffice", name, long}},
		{sasl.CRAMMD5Server(), []string{"", "alice 00112233445566778899aabbccddeeff"}},
		{sasl.ScramSHA256Server(), []string{"", "n", "n,", "n,,", "n,,n=alice", "n,,r=abc", "n,,n=alice,r=", "n,,n=,r=abc",
			"n,,n=al=2Fice,r=abc", "n,,n=al=,r=abc", "n,,m=x,n=alice,r=abc", "x,,n=alice,r=abc", "p=,,n=alice,r=abc", "p=tls-exporter,,n=alice,r=abc",
			"n,b=x,n=alice,r=abc", "n,a=,n=alice,r=abc", "n,a=\x01,n=alice,r=abc", "n,,n=alice,r=a\x00c", "n,,n=alice,r=" + strings.Repeat("r", 600),
			"n,,n=" + name + ",r=abc", long}},
		{sasl.ScramSHA256PlusServer(), []string{"n,,n=alice,r=abc", "y,,n=alice,r=abc"}},
		{sasl.XOAuth2Server(), []string{"", "user=alice", "user=alice\x01", "user=al\xffice\x01auth=Bearer x\x01\x01", "alice\x01auth=Bearer x\x01\x01",
			"user=alice\x01auth=Bearer\x01\x01", "user=alice\x01auth=Basic x\x01\x01", "user=alice\x01auth=Bearer a b\x01\x01", "user=alice\x01auth=Bearer x\x01",
			"user=alice\x01auth=Bearer x\x01auth=Bearer y\x01\x01", "user=alice\x01nothing\x01\x01", "user=alice\x01host=x\x01\x01", long}},
		{sasl.OAuthBearerServer(), []string{"", "n,,", "n,a=alice,\x01", "n,a=alice,\x01\x01", "p=tls-exporter,,\x01auth=Bearer x\x01\x01",
			"n,a=alice,x\x01auth=Bearer x\x01\x01", "user=alice\x01auth=Bearer x\x01\x01"}},
		{sasl.ExternalServer(), []string{"al\x00ice", name, long}},
	} {
		for _, response := range tt.responses {
			c := full{newBook()}
			s := tt.server.New(c)
			_, account, done, err := s.Next(context.Background(), []byte(response))
			if !errors.Is(err, sasl.ErrMalformed) || done || account != "" {
				t.Errorf("%s %.60q: account %q, done %v, error %v; want ErrMalformed", tt.server.Name, response, account, done, err)
			}
			for _, again := range [][]byte{nil, []byte("\x00alice\x00secret")} {
				if _, account, done, err := s.Next(context.Background(), again); err == nil || done || account != "" {
					t.Errorf("%s %.60q: the exchange went on after its end", tt.server.Name, response)
				}
			}
			if len(c.outcomes) != 0 {
				t.Errorf("%s %.60q: reported %q", tt.server.Name, response, c.outcomes)
			}
		}
	}
}

// A second answer to the same challenge is refused, whatever the first was.
func TestOneAnswerEach(t *testing.T) {
	ctx := context.Background()
	for _, answer := range []string{"\x00alice\x00secret", "\x00alice\x00wrong"} {
		s := sasl.PlainServer().New(newBook())
		s.Next(ctx, []byte(answer))
		if _, _, done, err := s.Next(ctx, []byte("\x00alice\x00secret")); done || !errors.Is(err, sasl.ErrMalformed) {
			t.Errorf("PLAIN after %q: done %v, %v", answer, done, err)
		}
	}
	s := sasl.LoginServer().New(newBook())
	s.Next(ctx, []byte("alice"))
	s.Next(ctx, []byte("wrong"))
	if _, _, done, err := s.Next(ctx, []byte("secret")); done || !errors.Is(err, sasl.ErrMalformed) {
		t.Errorf("LOGIN with a second password: done %v, %v", done, err)
	}
	s = sasl.CRAMMD5Server().New(newBook())
	challenge, _, _, _ := s.Next(ctx, nil)
	s.Next(ctx, []byte("alice 00112233445566778899aabbccddeeff"))
	client := sasl.CRAMMD5Client("alice", "secret")
	right, _ := client.Next(ctx, challenge)
	if _, _, done, err := s.Next(ctx, right); done || !errors.Is(err, sasl.ErrMalformed) {
		t.Errorf("CRAM-MD5 with a second answer: done %v, %v", done, err)
	}
	for _, bad := range []string{"", "alice", "alice 0011", "alice zz112233445566778899aabbccddeeff", "al\xffice 00112233445566778899aabbccddeeff"} {
		s := sasl.CRAMMD5Server().New(newBook())
		s.Next(ctx, nil)
		if _, _, done, err := s.Next(ctx, []byte(bad)); done || !errors.Is(err, sasl.ErrMalformed) {
			t.Errorf("CRAM-MD5 %q: done %v, %v", bad, done, err)
		}
	}
}

// Changes to a right client-final-message, and what they must come to.
func TestScramFinal(t *testing.T) {
	ctx := context.Background()
	b64 := base64.StdEncoding.EncodeToString
	for name, change := range map[string]struct {
		f    func(string) string
		want error
	}{
		"nothing":             {func(s string) string { return s }, nil},
		"proof":               {func(s string) string { return s[:strings.Index(s, ",p=")] + ",p=" + b64(make([]byte, 32)) }, sasl.ErrDenied},
		"short proof":         {func(s string) string { return s[:strings.Index(s, ",p=")] + ",p=AAAA" }, sasl.ErrMalformed},
		"no proof":            {func(s string) string { return s[:strings.Index(s, ",p=")] }, sasl.ErrMalformed},
		"no base64":           {func(s string) string { return "c=#" + s[6:] }, sasl.ErrMalformed},
		"nonce":               {func(s string) string { return strings.Replace(s, ",r=", ",r=x", 1) }, sasl.ErrDenied},
		"no nonce":            {func(s string) string { return strings.Replace(s, ",r=", ",x=", 1) }, sasl.ErrMalformed},
		"header":              {func(s string) string { return strings.Replace(s, "c=biws", "c="+b64([]byte("y,,")), 1) }, sasl.ErrDenied},
		"extension, unproved": {func(s string) string { return strings.Replace(s, ",p=", ",x=1,p=", 1) }, sasl.ErrDenied},
		"too long":            {func(s string) string { return s + strings.Repeat(" ", 13000) }, sasl.ErrMalformed},
	} {
		b := newBook()
		s := sasl.ScramSHA256Server().New(b)
		client := scram(t, "SCRAM-SHA-256", "", "alice", "secret", nil)
		_, first, _ := client.Start(ctx)
		challenge, _, _, err := s.Next(ctx, first)
		if err != nil {
			t.Fatal(err)
		}
		final, err := client.Next(ctx, challenge)
		if err != nil {
			t.Fatal(err)
		}
		_, account, done, err := s.Next(ctx, []byte(change.f(string(final))))
		if !errors.Is(err, change.want) || done != (change.want == nil) || (account != "") != done {
			t.Errorf("%s: account %q, done %v, %v; want %v", name, account, done, err, change.want)
		}
		if _, _, done, err := s.Next(ctx, final); done || err == nil {
			t.Errorf("%s: a second proof was taken", name)
		}
	}
}

// A false server is found out by the client.
func TestScramClientRefuses(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		challenge string // %s is the client's nonce
		want      error
	}{
		{"r=%sabc,s=QSXCR+Q6sek8bf92,i=1", sasl.ErrServer},
		{"r=%sabc,s=QSXCR+Q6sek8bf92,i=2000000000", sasl.ErrServer},
		{"r=%s,s=QSXCR+Q6sek8bf92,i=4096", sasl.ErrServer},
		{"r=abc,s=QSXCR+Q6sek8bf92,i=4096", sasl.ErrServer},
		{"r=%sabc,s=QSXCR+Q6sek8bf92,i=x", sasl.ErrMalformed},
		{"r=%sabc,s=#,i=4096", sasl.ErrMalformed},
		{"r=%sabc,s=,i=4096", sasl.ErrMalformed},
		{"m=ext,r=%sabc,s=QSXCR+Q6sek8bf92,i=4096", sasl.ErrMalformed},
		{"", sasl.ErrMalformed},
	} {
		client := scram(t, "SCRAM-SHA-256", "", "alice", "secret", nil)
		_, first, _ := client.Start(ctx)
		_, nonce, _ := strings.Cut(string(first), ",r=")
		if _, err := client.Next(ctx, []byte(strings.ReplaceAll(tt.challenge, "%s", nonce))); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.challenge, err, tt.want)
		}
		if err := sasl.Finish(client); !errors.Is(err, sasl.ErrServer) {
			t.Errorf("%q: Finish = %v", tt.challenge, err)
		}
	}
	for final, want := range map[string]error{"v=AAAA": sasl.ErrServer, "e=invalid-proof": sasl.ErrDenied, "x": sasl.ErrMalformed, "": sasl.ErrMalformed} {
		client := scram(t, "SCRAM-SHA-256", "", "alice", "secret", nil)
		_, first, _ := client.Start(ctx)
		challenge, _, _, _ := sasl.ScramSHA256Server().New(newBook()).Next(ctx, first)
		client.Next(ctx, challenge)
		if _, err := client.Next(ctx, []byte(final)); !errors.Is(err, want) {
			t.Errorf("server-final %q: %v, want %v", final, err, want)
		}
		// The protocol's "success" without the signature is no success.
		if err := sasl.Finish(client); !errors.Is(err, sasl.ErrServer) {
			t.Errorf("server-final %q: Finish = %v", final, err)
		}
	}
	client := scram(t, "SCRAM-SHA-256", "", "alice", "secret", nil)
	if _, err := client.Next(ctx, nil); !errors.Is(err, sasl.ErrMalformed) {
		t.Errorf("challenge before Start: %v", err)
	}
	for _, bad := range [][3]string{{"SCRAM-MD5", "", "alice"}, {"SCRAM-SHA-256", "", ""}, {"SCRAM-SHA-256", "", "a\x00"}, {"SCRAM-SHA-256", "\x00", "alice"}} {
		if _, err := sasl.ScramClient(bad[0], bad[1], bad[2], "secret", nil); err == nil {
			t.Errorf("ScramClient(%q): no error", bad)
		}
	}
	if _, err := sasl.ScramClient("SCRAM-SHA-256-PLUS", "", "alice", "secret", nil); err == nil {
		t.Error("-PLUS without TLS: no error")
	}
}

// Clients of few words refuse a server of many.
func TestClientsRefuseChallenges(t *testing.T) {
	ctx := context.Background()
	for n, c := range map[int]sasl.Client{
		0: sasl.PlainClient("", "a", "b"), 1: sasl.XOAuth2Client("a", "b"), 2: sasl.LoginClient("a", "b"),
		10: sasl.ExternalClient(""), 11: sasl.CRAMMD5Client("a", "b"),
	} {
		c.Start(ctx)
		for range n % 10 {
			if _, err := c.Next(ctx, []byte("x")); err != nil {
				t.Errorf("%T: %v", c, err)
			}
		}
		if _, err := c.Next(ctx, []byte("x")); !errors.Is(err, sasl.ErrMalformed) {
			t.Errorf("%T: %v, want ErrMalformed", c, err)
		}
	}
	if _, err := sasl.CRAMMD5Client("a", "b").Next(ctx, nil); !errors.Is(err, sasl.ErrMalformed) {
		t.Errorf("CRAM-MD5 with an empty challenge: %v", err)
	}
}

// nothing has no accounts and no interfaces beyond the least.
type nothing struct{}

func (nothing) Offers(sasl.Kind) bool { return false }
func (nothing) Verify(context.Context, string, string, []byte) (string, error) {
	return "", sasl.ErrDenied
}
func (nothing) Secret(context.Context, sasl.Kind, string) (sasl.Secret, string, error) {
	return sasl.Secret{}, "", nil
}

// A Credentials that gives empty secrets for accounts it does not know lets
// nobody in.
func TestEmptySecrets(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		server sasl.Mechanism
		client sasl.Client
	}{
		{sasl.CRAMMD5Server(), sasl.CRAMMD5Client("alice", "")},
		{sasl.ScramSHA256Server(), scram(t, "SCRAM-SHA-256", "", "alice", "", nil)},
		{sasl.XOAuth2Server(), sasl.XOAuth2Client("alice", "x")},
		{sasl.ExternalServer(), sasl.ExternalClient("alice")},
	} {
		if account, err := converse(ctx, tt.client, tt.server.New(nothing{}), true); !errors.Is(err, sasl.ErrDenied) {
			t.Errorf("%s: %q, %v", tt.server.Name, account, err)
		}
	}
	if account, err := sasl.VerifyAPOP(ctx, nothing{}, "<1@h>", "alice", sasl.APOPDigest("<1@h>", nil)); !errors.Is(err, sasl.ErrDenied) {
		t.Errorf("APOP: %q, %v", account, err)
	}
	// SCRAM's authzid names nobody else.
	c := scram(t, "SCRAM-SHA-256", "user", "alice", "secret", nil)
	if _, err := converse(ctx, c, sasl.ScramSHA256Server().New(newBook()), true); !errors.Is(err, sasl.ErrDenied) {
		t.Errorf("authzid of somebody else: %v", err)
	}
}

func names(ms []sasl.Mechanism) string {
	var s []string
	for _, m := range ms {
		s = append(s, m.Name)
	}
	return strings.Join(s, " ")
}

// only offers some kinds.
type only struct {
	nothing
	kinds map[sasl.Kind]bool
}

func (o only) Offers(k sasl.Kind) bool { return o.kinds[k] }

func TestOffered(t *testing.T) {
	_, scs, _ := tlsPair(t, tls.VersionTLS13)
	noCert := *scs
	noCert.PeerCertificates = nil
	all := full{newBook()}
	for _, tt := range []struct {
		c         sasl.Credentials
		cs        *tls.ConnectionState
		cleartext bool
		among     []sasl.Mechanism
		want      string
	}{
		{all, nil, false, nil, "SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5"},
		{all, nil, true, nil, "SCRAM-SHA-256 SCRAM-SHA-1 OAUTHBEARER XOAUTH2 CRAM-MD5 PLAIN LOGIN"},
		{all, scs, false, nil, "EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 OAUTHBEARER XOAUTH2 CRAM-MD5 PLAIN LOGIN"},
		{newBook(), &noCert, false, nil, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN"},
		{nothing{}, scs, true, nil, ""},
		{nil, scs, true, nil, ""},
		{only{kinds: map[sasl.Kind]bool{sasl.Password: true}}, nil, true, nil, "PLAIN LOGIN"},
		{only{kinds: map[sasl.Kind]bool{sasl.Password: true}}, nil, false, nil, ""},
		{only{kinds: map[sasl.Kind]bool{sasl.ScramSHA256: true}}, nil, false, nil, "SCRAM-SHA-256"},
		{all, nil, true, []sasl.Mechanism{sasl.LoginServer(), sasl.PlainServer()}, "LOGIN PLAIN"},
	} {
		p := &sasl.Peer{TLS: tt.cs}
		got := names(sasl.Offered(tt.c, p, tt.cleartext, tt.among...))
		if got != tt.want || strings.Join(p.Announced, " ") != tt.want || p.Announced == nil {
			t.Errorf("offered %q, noted %q, want %q", got, p.Announced, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	all := sasl.Mechanisms()
	for _, m := range all {
		if got, err := sasl.Find(all, strings.ToLower(m.Name)); err != nil || got.Name != m.Name {
			t.Errorf("Find(%s) = %s, %v", m.Name, got.Name, err)
		}
	}
	for name, says := range map[string]string{"DIGEST-MD5": "RFC 6331", "NTLM": "MD4", "GSSAPI": "", "": ""} {
		_, err := sasl.Find(all, name)
		if !errors.Is(err, sasl.ErrUnknownMechanism) || !strings.Contains(err.Error(), says) {
			t.Errorf("Find(%q): %v", name, err)
		}
		if _, err := sasl.Named("PLAIN", name); !errors.Is(err, sasl.ErrUnknownMechanism) || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("Named(%q): %v", name, err)
		}
	}
	ms, err := sasl.Named("plain", "SCRAM-SHA-256")
	if err != nil || names(ms) != "PLAIN SCRAM-SHA-256" {
		t.Errorf("Named: %s, %v", names(ms), err)
	}
}

func TestChoose(t *testing.T) {
	ccs, _, _ := tlsPair(t, tls.VersionTLS13)
	verified := *ccs
	verified.VerifiedChains = append(verified.VerifiedChains, ccs.PeerCertificates)
	unbound := &tls.ConnectionState{}
	for _, tt := range []struct {
		offered string
		cs      *tls.ConnectionState
		want    string
	}{
		{"PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS", ccs, "SCRAM-SHA-256-PLUS p=tls-exporter,,"},
		{"PLAIN scram-sha-256 SCRAM-SHA-1-PLUS", ccs, "SCRAM-SHA-256 y,,"},
		{"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", nil, "SCRAM-SHA-256 n,,"},
		{"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", unbound, "SCRAM-SHA-256 n,,"},
		{"SCRAM-SHA-256", nil, "SCRAM-SHA-256 n,,"},
		{"SCRAM-SHA-1-PLUS SCRAM-SHA-1", ccs, "SCRAM-SHA-1-PLUS p=tls-exporter,,"},
		{"LOGIN PLAIN CRAM-MD5", &verified, "PLAIN"},
		{"LOGIN CRAM-MD5", &verified, "LOGIN"},
		{"LOGIN PLAIN CRAM-MD5", ccs, "CRAM-MD5"},
		{"LOGIN", ccs, "LOGIN"},
		{"LOGIN PLAIN CRAM-MD5", nil, "CRAM-MD5"},
	} {
		c, err := sasl.Choose(strings.Fields(tt.offered), "alice", "secret", tt.cs)
		if err != nil {
			t.Errorf("%s: %v", tt.offered, err)
			continue
		}
		name, initial, _ := c.Start(context.Background())
		want, header, _ := strings.Cut(tt.want, " ")
		if name != want || !strings.HasPrefix(string(initial), header) {
			t.Errorf("%s: chose %s %q, want %s", tt.offered, name, initial, tt.want)
		}
	}
	for _, offered := range []string{"", "GSSAPI NTLM", "PLAIN LOGIN", "SCRAM-SHA-256-PLUS"} {
		if _, err := sasl.Choose(strings.Fields(offered), "alice", "secret", nil); !errors.Is(err, sasl.ErrNoMechanism) {
			t.Errorf("%q in the clear: %v, want ErrNoMechanism", offered, err)
		}
	}
}

// A separator within a value would make other values of it.
func TestClientsRefuseSeparators(t *testing.T) {
	for name, c := range map[string]sasl.Client{
		"PLAIN user":      sasl.PlainClient("", "alice\x00bob", "secret"),
		"PLAIN authzid":   sasl.PlainClient("\x00", "alice", "secret"),
		"PLAIN password":  sasl.PlainClient("", "alice", "sec\x00ret"),
		"XOAUTH2 user":    sasl.XOAuth2Client("a\x01auth=Bearer x", "token"),
		"OAUTHBEARER":     sasl.OAuthBearerClient("", "token\x01", "", 0),
		"OAUTHBEARER for": sasl.OAuthBearerClient("", "token", "host\x01", 0),
	} {
		if _, initial, err := c.Start(context.Background()); !errors.Is(err, sasl.ErrMalformed) || initial != nil {
			t.Errorf("%s: %q, %v", name, initial, err)
		}
	}
}

// What shows of a decoy is what shows of the account it takes after.
func TestDecoyLike(t *testing.T) {
	d := sasl.NewDecoy([]byte("key"))
	model := sasl.Secret{SCRAM: &sasl.ScramKeys{Salt: make([]byte, 50), Iterations: 4097}}
	got := d.Like(sasl.ScramSHA256, "Nobody", model).SCRAM
	if len(got.Salt) != 50 || got.Iterations != 4097 || string(got.Salt) != string(d.Like(sasl.ScramSHA256, "nobody", model).SCRAM.Salt) {
		t.Errorf("%d bytes of salt, %d iterations", len(got.Salt), got.Iterations)
	}
	if got := d.Secret(sasl.ScramSHA256, "nobody").SCRAM; len(got.Salt) != 16 || got.Iterations != sasl.ScramIterations {
		t.Errorf("%d bytes of salt, %d iterations", len(got.Salt), got.Iterations)
	}
}

// A mechanism that is left out on purpose is refused with the reason.
func TestNamedRefused(t *testing.T) {
	for name, says := range map[string]string{"DIGEST-MD5": "RFC 6331", "digest_md5": "RFC 6331", "NTLM": "MD4"} {
		if _, err := sasl.Named(name); !errors.Is(err, sasl.ErrUnknownMechanism) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q in it", name, err, says)
		}
	}
	for _, name := range []string{"", "SCRAM-SHA-512"} {
		if _, err := sasl.Named(name); !errors.Is(err, sasl.ErrUnknownMechanism) || strings.Contains(err.Error(), "RFC") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
