package accounts

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// newTokens are credentials that take tokens, and a token of alice's.
func newTokens(t *testing.T) (c *Credentials, token string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	var provider *httptest.Server
	provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"issuer": provider.URL, "jwks_uri": provider.URL + "/keys",
			"keys": []map[string]string{{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(public)}}})
	}))
	t.Cleanup(provider.Close)
	claims, _ := json.Marshal(map[string]any{"iss": provider.URL, "aud": "mail", "email": "alice@mail.test", "email_verified": true, "exp": time.Now().Add(time.Hour).Unix()})
	token = b64([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." + b64(claims)
	token += "." + b64(ed25519.Sign(private, []byte(token)))

	s := settingsOf(t, "alice")
	s.Auth.MaxFailuresPerAddress, s.Auth.MaxFailuresPerAccount = 2, 2
	s.Elsewhere.OpenID.Issuer, s.Elsewhere.OpenID.Audiences = provider.URL, []string{"mail"}
	e, err := OpenElsewhere(s, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if c, err = New(s, NewDirectory(s).Beside(e), nil, nil, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return c, token
}

// TestKnownKeysServe: while the provider is away, tokens of known keys are taken whatever else it was asked for in vain: a stranger
// who names a key that nobody has is not to keep everybody out.
func TestKnownKeysServe(t *testing.T) {
	c, token := newTokens(t)
	tokens := c.dir.elsewhere.tokens
	away := func() { tokens.health.answered(c.log, tokens.name, errors.New("it was asked for another key"), true) }
	away()
	if _, err := c.Token(from(t, 1), "", "", token); !errors.Is(err, sasl.ErrUnavailable) {
		t.Errorf("with no keys: %v", err)
	}
	tokens.health = health{}
	for range 2 {
		if who, err := c.Token(from(t, 1), "", "", token); who != "alice@mail.test" {
			t.Errorf("%q, %v", who, err)
		}
		away()
	}
}

// TestUnlockTokens: where too many tokens were made up, an operator lets in again by the address, and by what the list of lock-outs calls it.
func TestUnlockTokens(t *testing.T) {
	for _, who := range [][]string{{"192.0.2.1"}, {"192.0.2.1/32"}, {"token 192.0.2.1/32", "192.0.2.1"}} {
		c, token := newTokens(t)
		for n := range 3 {
			c.Token(from(t, 1), "", "", madeUp(token, n))
		}
		if _, err := c.Token(from(t, 1), "", "", token); !errors.Is(err, sasl.ErrThrottled) || len(c.Lockouts()) != 2 {
			t.Fatalf("after guesses: %v, %v", err, c.Lockouts())
		}
		for i, one := range who {
			if !c.Unlock(one) {
				t.Errorf("%s: nothing was locked of %v", who[i], c.Lockouts())
			}
		}
		if _, err := c.Token(from(t, 1), "", "", token); err != nil || len(c.Lockouts()) > 0 {
			t.Errorf("after %q: %v, %v", who, err, c.Lockouts())
		}
	}
}

// madeUp is a token like another one, which nobody has signed.
func madeUp(token string, n int) string {
	sig := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{byte(n)}, ed25519.SignatureSize))
	return token[:strings.LastIndexByte(token, '.')+1] + sig
}

// TestTokensBehindOneAddress: neighbours whose tokens are over, and made-up ones, lock out nobody who has been there before; and a program that tries one token
// again and again has made one guess.
func TestTokensBehindOneAddress(t *testing.T) {
	c, token := newTokens(t)
	if who, err := c.Token(from(t, 1), "", "", token); who != "alice@mail.test" {
		t.Fatalf("%q, %v", who, err)
	}
	for range 9 {
		if _, err := c.Token(from(t, 1), "", "", "one.that.is-over"); !errors.Is(err, sasl.ErrDenied) {
			t.Fatalf("the same again: %v", err)
		}
	}
	if _, err := c.Token(from(t, 1), "bob@mail.test", "", "another.that.is-over"); !errors.Is(err, sasl.ErrDenied) {
		t.Fatal(err)
	}
	if _, err := c.Token(from(t, 1), "bob@mail.test", "", "a-third.that.is-over"); !errors.Is(err, sasl.ErrThrottled) {
		t.Fatalf("strangers are not bounded: %v", err)
	}
	for _, names := range [][2]string{{"alice@mail.test", ""}, {"", "ALICE@mail.test"}, {"", ""}} {
		if who, err := c.Token(from(t, 1), names[0], names[1], token); who != "alice@mail.test" {
			t.Errorf("%q: who has been there before is locked out: %q, %v", names, who, err)
		}
	}
	// Her own failures count, so that nobody behind that address has any number of guesses by her name.
	for n := range 2 {
		if _, err := c.Token(from(t, 1), "", "", madeUp(token, n)); !errors.Is(err, sasl.ErrDenied) {
			t.Fatal(err)
		}
	}
	if _, err := c.Token(from(t, 1), "", "", madeUp(token, 3)); !errors.Is(err, sasl.ErrThrottled) {
		t.Errorf("guesses by her name are not bounded: %v", err)
	}
	if who, err := c.Token(from(t, 2), "", "", token); who != "alice@mail.test" {
		t.Errorf("elsewhere she may log in: %q, %v", who, err)
	}
}
