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
	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestChosenClientLogsIn: the client that Choose gives for a mechanism logs in to the server
// of that mechanism, as who it was given, and with another password does not.
func TestChosenClientLogsIn(t *testing.T) {
	ccs, scs, set := tlsPair(t, tls.VersionTLS13)
	verified := *ccs
	verified.VerifiedChains = append(verified.VerifiedChains, ccs.PeerCertificates)
	tried := 0
	for _, m := range sasl.Mechanisms() {
		for what, cs := range map[string]*tls.ConnectionState{"in the clear": nil, "under TLS": ccs, "verified": &verified} {
			peer := &sasl.Peer{Service: "smtp", Hostname: "mail.example.com", Certificate: set.Certificates()[0], Announced: []string{m.Name}}
			if cs != nil {
				peer.TLS = scs
			}
			for password, good := range map[string]bool{"secret": true, "wrong": false} {
				c, err := sasl.Choose([]string{m.Name}, "alice", password, cs)
				if err != nil {
					if !m.NeedsTLS && !m.Cleartext && m.Name != "ANONYMOUS" || cs != nil && strings.HasPrefix(m.Name, "SCRAM") {
						t.Errorf("%s %s: %v", m.Name, what, err)
					}
					continue
				}
				tried++
				account, err := converse(sasl.WithPeer(t.Context(), peer), c, m.New(newBook()), true)
				if (err == nil) != good || good && account != "alice" {
					t.Errorf("%s %s with %q: %q, %v", m.Name, what, password, account, err)
				}
			}
		}
	}
	if tried < 2*(2*2+3*3+2*2-2) {
		t.Errorf("%d logins tried", tried)
	}
}

// TestBindingOfChoice: under TLS 1.2 the binding that all servers know, under TLS 1.3 the one
// there is.
func TestBindingOfChoice(t *testing.T) {
	for version, want := range map[uint16]string{tls.VersionTLS12: "p=tls-unique,,", tls.VersionTLS13: "p=tls-exporter,,"} {
		cs, _, _ := tlsPair(t, version)
		for _, name := range []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"} {
			c := scram(t, name, "", "alice", "secret", cs)
			if _, initial, err := c.Start(t.Context()); err != nil || !strings.HasPrefix(string(initial), want) {
				t.Errorf("%s: %q, %v, want %s", tls.VersionName(version), initial, err, want)
			}
		}
	}
}

// TestRandomIsRandom: what must not come twice does not, and is not the same for all.
func TestRandomIsRandom(t *testing.T) {
	for what, one := range map[string]func() string{
		"salt": func() string {
			k, err := sasl.MakeScram(sasl.ScramSHA256, []byte("secret"), 4096)
			if err != nil {
				t.Fatal(err)
			}
			return string(k.Salt)
		},
		"nonce": func() string {
			_, initial, _ := scram(t, "SCRAM-SHA-256", "", "alice", "secret", nil).Start(t.Context())
			return string(initial)
		},
		"stamp": func() string { return sasl.APOPTimestamp("mail.example.com") },
		"decoy": func() string {
			return fmt.Sprint(sasl.NewDecoy(nil).Secret(sasl.ScramSHA256, "nobody").SCRAM)
		},
		"challenge of the server": func() string {
			m, err := sasl.Find(sasl.Mechanisms(), "CRAM-MD5")
			if err != nil {
				t.Fatal(err)
			}
			challenge, _, _, _ := m.New(newBook()).Next(t.Context(), nil)
			return string(challenge)
		},
	} {
		seen := map[string]bool{}
		for range 5 {
			s := one()
			if s == "" || seen[s] || strings.Count(s, "\x00") == len(s) {
				t.Errorf("%s: %q", what, s)
			}
			seen[s] = true
		}
	}
}

// TestIsCleartext: the mechanisms that give a secret away, in any case, and no others.
func TestIsCleartext(t *testing.T) {
	for name, want := range map[string]bool{
		"PLAIN": true, "plain": true, "LOGIN": true, "XOAUTH2": true, "OAUTHBEARER": true, "OauthBearer": true,
		"CRAM-MD5": false, "SCRAM-SHA-1": false, "SCRAM-SHA-256": false, "SCRAM-SHA-256-PLUS": false, "EXTERNAL": false, "ANONYMOUS": false, "": false, "X": false, "NTLM": false,
	} {
		if sasl.IsCleartext(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	for _, m := range sasl.Mechanisms() {
		if sasl.IsCleartext(m.Name) != m.Cleartext {
			t.Error(m.Name)
		}
	}
}

// TestRefusedToken: a client whose token is refused hears why in a challenge, answers it,
// and is refused then (RFC 7628 §3.2.3).
func TestRefusedToken(t *testing.T) {
	for _, c := range []sasl.Client{sasl.OAuthBearerClient("", "somebodyelses", "mail.example.com", 25), sasl.XOAuth2Client("alice", "somebodyelses")} {
		name, initial, err := c.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := sasl.Find(sasl.Mechanisms(), name)
		if err != nil {
			t.Fatal(err)
		}
		s := m.New(full{newBook()})
		challenge, _, done, err := s.Next(t.Context(), initial)
		if err != nil || done || !strings.HasPrefix(string(challenge), "{") {
			t.Errorf("%s: %q, %v, %v", name, challenge, done, err)
			continue
		}
		if _, account, done, err := s.Next(t.Context(), []byte("\x01")); !errors.Is(err, sasl.ErrDenied) || done || account != "" {
			t.Errorf("%s, then: %q, %v, %v", name, account, done, err)
		}
	}
}

// toldTokens refuses every token with a reason.
type toldTokens struct {
	sasl.Credentials
	err error
}

func (t toldTokens) Token(context.Context, string, string, string) (string, error) { return "", t.err }

// TestTokenError: the reason of a refusal reaches the client in the form of RFC 7628 §3.2.2, and no more than that.
func TestTokenError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{sasl.ErrDenied, `{"status":"invalid_token","schemes":"bearer"}`},
		{&sasl.TokenError{Scope: "mail", Configuration: "https://a.example/c", Description: "the token is expired"},
			`{"status":"invalid_token","schemes":"bearer","scope":"mail","openid-configuration":"https://a.example/c","error_description":"the token is expired"}`},
		{fmt.Errorf("wrapped: %w", &sasl.TokenError{Description: `a "quote"`}), `{"status":"invalid_token","schemes":"bearer","error_description":"a \"quote\""}`},
	} {
		if !errors.Is(test.err, sasl.ErrDenied) {
			t.Errorf("%v is not ErrDenied", test.err)
		}
		m, err := sasl.Find(sasl.Mechanisms(), "OAUTHBEARER")
		if err != nil {
			t.Fatal(err)
		}
		s := m.New(toldTokens{err: test.err})
		challenge, _, done, err := s.Next(t.Context(), []byte("n,,\x01auth=Bearer abc\x01\x01"))
		if err != nil || done || string(challenge) != test.want {
			t.Errorf("%v: %s, %v, %v", test.err, challenge, done, err)
		}
		if _, _, _, err := s.Next(t.Context(), []byte{}); !errors.Is(err, sasl.ErrDenied) { // an empty answer will do as well
			t.Errorf("%v, then %v", test.err, err)
		}
	}
}

// TestStoredSalt: keys with a salt as long as may be are read, and with a longer one, an
// empty one, or keys of another length not.
func TestStoredSalt(t *testing.T) {
	text := func(salt, stored, server int) string {
		b := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
		return fmt.Sprintf("SCRAM-SHA-256$4096:%s$%s:%s", b(salt), b(stored), b(server))
	}
	mailtest.Edge(t, "salt", 64, func(n int) bool { _, _, err := sasl.ParseScram(text(n, 32, 32)); return err == nil })
	for _, bad := range []string{text(0, 32, 32), text(16, 31, 32), text(16, 33, 32), text(16, 32, 31), text(16, 0, 32), text(16, 32, 0)} {
		if _, _, err := sasl.ParseScram(bad); err == nil {
			t.Error(bad)
		}
	}
}
