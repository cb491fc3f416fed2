package accounts

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// TestKnownKeysServe: while the provider is away, tokens of known keys are taken whatever else it was asked for in vain: a stranger
// who names a key that nobody has is not to keep everybody out.
func TestKnownKeysServe(t *testing.T) {
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
	defer provider.Close()
	claims, _ := json.Marshal(map[string]any{"iss": provider.URL, "aud": "mail", "email": "alice@mail.test", "email_verified": true, "exp": time.Now().Add(time.Hour).Unix()})
	token := b64([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." + b64(claims)
	token += "." + b64(ed25519.Sign(private, []byte(token)))

	s := settingsOf(t, "alice")
	s.Elsewhere.OpenID.Issuer, s.Elsewhere.OpenID.Audiences = provider.URL, []string{"mail"}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	e, err := OpenElsewhere(s, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(s, NewDirectory(s).Beside(e), nil, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	away := func() { e.tokens.health.answered(log, e.tokens.name, errors.New("it was asked for another key"), true) }
	away()
	if _, err := c.Token(from(t, 1), "", "", token); !errors.Is(err, sasl.ErrUnavailable) {
		t.Errorf("with no keys: %v", err)
	}
	e.tokens.health = health{}
	for range 2 {
		if who, err := c.Token(from(t, 1), "", "", token); who != "alice@mail.test" {
			t.Errorf("%q, %v", who, err)
		}
		away()
	}
}
