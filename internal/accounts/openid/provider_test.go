package openid

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// provider is one for tests.
type provider struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	signer  crypto.Signer
	kid     string
	alg     jose.SignatureAlgorithm
	dead    bool
	about   map[string]any // introspection
	fetches atomic.Int64   // of keys
	asked   atomic.Int64   // about tokens
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	p.rotate(t, "one")
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "introspection_endpoint": p.URL + "/introspect"})
	case "/keys":
		p.fetches.Add(1)
		keys := []any{map[string]string{"kty": "unheard-of", "kid": "odd"}, map[string]string{"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}}
		for _, k := range p.keys {
			keys = append(keys, k)
		}
		json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	case "/introspect":
		p.asked.Add(1)
		if id, secret, _ := r.BasicAuth(); id != "mail%2Fserver" || secret != "s%3Acret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(p.about)
	default:
		http.NotFound(w, r)
	}
}

// rotate makes a new key, by which the next tokens are signed.
func (p *provider) rotate(t *testing.T, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.use(key, kid, jose.ES256)
}

func (p *provider) use(key crypto.Signer, kid string, alg jose.SignatureAlgorithm) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signer, p.kid, p.alg = key, kid, alg
	p.keys = append(p.keys, jose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: "sig"})
}

func (p *provider) kill(dead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = dead
}

// claimsOf are good ones, with changes; nil takes a claim out.
func (p *provider) claimsOf(changes map[string]any) map[string]any {
	c := map[string]any{"iss": p.URL, "aud": "mail", "sub": "1", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "email": "bob@example.com", "email_verified": true}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func (p *provider) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	return signed(t, p.alg, p.signer, map[jose.HeaderKey]any{"kid": p.kid, "typ": "JWT"}, p.claimsOf(changes))
}

func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: header}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p *provider) config() Config {
	return Config{Issuer: p.URL, Audiences: []string{"mail"}, AudienceClaims: []string{"aud"}, UserClaim: "email", EmailVerified: true,
		Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"}, Timeout: 2 * time.Second}
}

// refusal is why a token is refused; empty if it is not.
func refusal(t *testing.T, c *Provider, token string) string {
	t.Helper()
	_, err := c.Check(t.Context(), token)
	var r *Refused
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &r):
		t.Errorf("not refused: %v", err)
		return "not refused"
	}
	return r.Why
}

// TestClaims: each claim that could be wrong is, once.
func TestClaims(t *testing.T) {
	p := newProvider(t)
	c := New(p.config())
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		changes map[string]any
		why     string
	}{
		"right":                        {nil, ""},
		"several audiences":            {map[string]any{"aud": []string{"web", "mail"}}, ""},
		"30 seconds too old":           {map[string]any{"exp": now - 30}, ""},
		"90 seconds too old":           {map[string]any{"exp": now - 90}, "is expired"},
		"no end":                       {map[string]any{"exp": nil}, "does not say when it expires"},
		"an end in words":              {map[string]any{"exp": "tomorrow"}, "does not say when it expires"},
		"an end beyond time":           {map[string]any{"exp": 1e300}, "does not say when it expires"},
		"a clock 30 seconds ahead":     {map[string]any{"nbf": now + 30, "iat": now + 30}, ""},
		"not yet":                      {map[string]any{"nbf": now + 90}, "is not valid yet"},
		"from the future":              {map[string]any{"iat": now + 90}, "is from the future"},
		"another issuer":               {map[string]any{"iss": "https://evil.example"}, "is of another issuer"},
		"an issuer nearly so":          {map[string]any{"iss": p.URL + "/"}, "is of another issuer"},
		"no issuer":                    {map[string]any{"iss": nil}, "is of another issuer"},
		"another client's":             {map[string]any{"aud": "calendar"}, "is not for this server"},
		"another client's, by azp":     {map[string]any{"aud": "account", "azp": "mail"}, "is not for this server"},
		"an audience that begins so":   {map[string]any{"aud": "mail2"}, "is not for this server"},
		"no audience":                  {map[string]any{"aud": nil}, "is not for this server"},
		"an odd audience":              {map[string]any{"aud": map[string]any{"mail": "mail"}}, "is not for this server"},
		"nobody":                       {map[string]any{"email": nil}, "does not say whose it is (email)"},
		"a list of users":              {map[string]any{"email": []string{"bob@example.com"}}, "does not say whose it is (email)"},
		"not verified":                 {map[string]any{"email_verified": false}, "has an e-mail address that the provider has not verified"},
		"nothing said of verification": {map[string]any{"email_verified": nil}, "has an e-mail address that the provider has not verified"},
		"bound to a key":               {map[string]any{"cnf": map[string]any{"jkt": "x"}}, "counts only with a key that mail programs do not show"},
	} {
		if why := refusal(t, c, p.token(t, test.changes)); why != test.why {
			t.Errorf("%s: %q, not %q", name, why, test.why)
		}
	}
}

// TestShapes: tokens as providers make them.
func TestShapes(t *testing.T) {
	p := newProvider(t)
	for _, test := range []struct {
		provider    string
		audience    string
		claims      []string
		user        string
		own, others map[string]any
	}{
		{"Keycloak", "mail", []string{"azp"}, "email", map[string]any{"aud": "account", "azp": "mail", "typ": "Bearer"}, map[string]any{"aud": "account", "azp": "wiki", "typ": "Bearer"}},
		{"authentik", "mail", []string{"aud"}, "email", map[string]any{"aud": "mail", "azp": "mail"}, map[string]any{"aud": "wiki", "azp": "wiki"}},
		{"dex", "mail", []string{"aud"}, "email", map[string]any{"aud": []string{"mail"}}, map[string]any{"aud": []string{"wiki"}}},
		{"Entra", "api://mail", []string{"aud"}, "preferred_username", map[string]any{"aud": "api://mail", "appid": "x", "preferred_username": "bob@example.com", "email": nil, "email_verified": nil}, map[string]any{"aud": "00000003-0000-0000-c000-000000000000", "preferred_username": "bob@example.com"}},
		{"Google", "1-abc.apps.googleusercontent.com", []string{"aud", "azp"}, "email", map[string]any{"aud": "1-abc.apps.googleusercontent.com"}, map[string]any{"aud": "2-abc.apps.googleusercontent.com"}},
	} {
		config := p.config()
		config.Audiences, config.AudienceClaims, config.UserClaim = []string{test.audience}, test.claims, test.user
		c := New(config)
		if user, err := c.Check(t.Context(), p.token(t, test.own)); err != nil || user != "bob@example.com" {
			t.Errorf("%s: %q, %v", test.provider, user, err)
		}
		if why := refusal(t, c, p.token(t, test.others)); why != "is not for this server" {
			t.Errorf("%s, a token of another client: %q", test.provider, why)
		}
	}
}

// TestAlgorithms: what is signed by nothing, by a shared key, or by a key of somebody's choice is refused.
func TestAlgorithms(t *testing.T) {
	p := newProvider(t)
	good := p.claimsOf(nil)
	payload, _ := json.Marshal(good)
	b64 := base64.RawURLEncoding.EncodeToString
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	strong, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	evil, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.use(strong, "rsa", jose.RS256)
	p.use(ed, "ed", jose.EdDSA)
	p.mu.Lock()
	p.keys = append(p.keys, jose.JSONWebKey{Key: weak.Public(), KeyID: "weak", Use: "sig"}, jose.JSONWebKey{Key: evil.Public(), KeyID: "enc", Use: "enc"},
		jose.JSONWebKey{Key: strong.Public(), KeyID: "ps", Use: "sig", Algorithm: "PS256"})
	p.mu.Unlock()
	c := New(p.config())
	for name, alg := range map[string]jose.SignatureAlgorithm{"rsa": jose.RS256, "ps": jose.PS256} {
		if why := refusal(t, c, signed(t, alg, strong, map[jose.HeaderKey]any{"kid": name}, good)); why != "" {
			t.Errorf("%s: %s", alg, why)
		}
	}
	if why := refusal(t, c, signed(t, jose.EdDSA, ed, map[jose.HeaderKey]any{"kid": "ed"}, good)); why != "" {
		t.Errorf("EdDSA: %s", why)
	}
	if why := refusal(t, c, signed(t, jose.EdDSA, ed, nil, good)); why != "" {
		t.Errorf("without the name of a key: %s", why)
	}
	published := jose.JSONWebKey{Key: strong.Public()}
	public, _ := published.MarshalJSON()
	der := x509Public(t, strong.Public())
	parts := strings.Split(signed(t, jose.EdDSA, ed, map[jose.HeaderKey]any{"kid": "ed"}, good), ".")
	for name, token := range map[string]string{
		"none":                  b64([]byte(`{"alg":"none"}`)) + "." + b64(payload) + ".",
		"None":                  b64([]byte(`{"alg":"None","kid":"rsa"}`)) + "." + b64(payload) + ".",
		"no algorithm":          b64([]byte(`{"kid":"rsa"}`)) + "." + b64(payload) + ".c2ln",
		"HS256 by the key":      signed(t, jose.HS256, public, map[jose.HeaderKey]any{"kid": "rsa"}, good),
		"HS256 by its DER":      signed(t, jose.HS256, der, map[jose.HeaderKey]any{"kid": "rsa"}, good),
		"HS256 by a shared key": signed(t, jose.HS256, []byte("secret-secret-secret-secret-secre"), map[jose.HeaderKey]any{"kid": "shared"}, good),
		"not in the list":       signed(t, jose.RS512, strong, map[jose.HeaderKey]any{"kid": "rsa"}, good),
		"a weak key":            signed(t, jose.RS256, weak, nil, good),
		"a key for encryption":  signed(t, jose.ES256, evil, nil, good),
		"a key for PS256":       signed(t, jose.RS256, strong, map[jose.HeaderKey]any{"kid": "ed"}, good),
		"a key of its own":      signed(t, jose.ES256, evil, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: evil.Public()}}, good),
		"a key elsewhere":       signed(t, jose.ES256, evil, map[jose.HeaderKey]any{"jku": "https://evil.example/keys", "x5u": "https://evil.example/cert"}, good),
		"another's":             signed(t, jose.ES256, evil, map[jose.HeaderKey]any{"kid": "one"}, good),
		"another payload":       parts[0] + "." + b64([]byte(`{"iss":"x"}`)) + "." + parts[2],
		"no signature":          parts[0] + "." + parts[1] + ".",
		"something critical":    b64([]byte(`{"alg":"EdDSA","kid":"ed","crit":["exp"],"exp":1}`)) + "." + parts[1] + "." + parts[2],
		"a logout token":        signed(t, jose.EdDSA, ed, map[jose.HeaderKey]any{"kid": "ed", "typ": "logout+jwt"}, good),
		"encrypted":             "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d",
		"JSON":                  `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"opaque":                "ya29.a0AfH6SMB", "empty": "", "dots": "..", "long": strings.Repeat("a", 12000),
	} {
		if why := refusal(t, c, token); why == "" {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestRotation: a new key costs no login, and keys that were made up cost the provider next to nothing.
func TestRotation(t *testing.T) {
	p := newProvider(t)
	c := New(p.config())
	clock := time.Now()
	c.now = func() time.Time { return clock }
	check := func(what string) {
		t.Helper()
		if user, err := c.Check(t.Context(), p.token(t, map[string]any{"exp": clock.Add(time.Hour).Unix()})); err != nil || user != "bob@example.com" {
			t.Errorf("%s: %q, %v", what, user, err)
		}
	}
	check("at first")
	old := p.token(t, map[string]any{"exp": clock.Add(100 * time.Hour).Unix()})
	for i := range 5 {
		clock = clock.Add(between)
		p.rotate(t, fmt.Sprint("next", i))
		check("after a rotation")
	}
	if why := refusal(t, c, old); why != "" {
		t.Errorf("by a key that is still published: %s", why)
	}
	clock = clock.Add(between)
	before, refused, later := p.fetches.Load(), 0, 0
	for i := range 10_000 {
		_, err := c.Check(t.Context(), signed(t, p.alg, p.signer, map[jose.HeaderKey]any{"kid": fmt.Sprint("random", i)}, p.claimsOf(nil)))
		var r *Refused
		switch {
		case errors.As(err, &r):
			refused++
		case errors.Is(err, ErrLater):
			later++
		default:
			t.Fatal(err)
		}
	}
	if n := p.fetches.Load() - before; n > 2 || refused != 1 || later != 9999 {
		t.Errorf("%d fetches, %d refused, %d later", n, refused, later)
	}
	// A real new key in the meantime is not wrong, and counts soon.
	p.rotate(t, "real")
	if _, err := c.Check(t.Context(), p.token(t, nil)); !errors.Is(err, ErrLater) {
		t.Errorf("a new key just after a fetch: %v", err)
	}
	clock = clock.Add(between)
	check("half a minute later")
	// A key that is taken back counts no longer than keysLast.
	p.mu.Lock()
	p.keys = p.keys[len(p.keys)-1:]
	p.mu.Unlock()
	clock = clock.Add(keysLast + time.Second)
	check("after an hour")
	if _, err := c.Check(t.Context(), old); !errors.Is(err, ErrLater) { // its key is one that is not known now
		t.Errorf("by a key that was taken back: %v", err)
	}
	clock = clock.Add(between)
	if why := refusal(t, c, old); why == "" {
		t.Error("a key that was taken back counts")
	}
}

// TestDead: a provider that is away, slow or odd is no wrong token; what it has signed stays good.
func TestDead(t *testing.T) {
	p := newProvider(t)
	c := New(p.config())
	clock := time.Now()
	c.now = func() time.Time { return clock }
	p.kill(true)
	var away *Unreachable
	if _, err := c.Check(t.Context(), p.token(t, nil)); !errors.As(err, &away) {
		t.Errorf("away from the start: %v", err)
	}
	p.kill(false)
	if _, err := c.Check(t.Context(), p.token(t, nil)); err != nil {
		t.Errorf("back: %v", err)
	}
	p.kill(true)
	clock = clock.Add(2 * time.Hour)
	long := map[string]any{"exp": clock.Add(100 * time.Hour).Unix()}
	if _, err := c.Check(t.Context(), p.token(t, long)); err != nil {
		t.Errorf("away, with keys that are known: %v", err)
	}
	clock = clock.Add(time.Minute)
	known := p.token(t, long)
	p.rotate(t, "new")
	if _, err := c.Check(t.Context(), p.token(t, long)); !errors.As(err, &away) {
		t.Errorf("away, with a new key: %v", err)
	}
	clock = clock.Add(keysServe)
	if _, err := c.Check(t.Context(), known); !errors.As(err, &away) {
		t.Errorf("away for days: %v", err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"slow":     func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no JSON":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"endless":  func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(strings.Repeat(" ", maxAnswer+10))) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, p.URL+r.URL.Path, http.StatusFound) },
		"another issuer": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL+"/keys")
		},
		"keys in the clear": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"issuer":"http://%s","jwks_uri":"http://keys.example/"}`, r.Host)
		},
		"no keys": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"issuer":"http://%s","jwks_uri":"http://%[1]s/keys","keys":[]}`, r.Host)
		},
	} {
		s := httptest.NewServer(answer)
		config := p.config()
		config.Issuer, config.Timeout = s.URL, 300*time.Millisecond
		if _, err := New(config).Check(t.Context(), p.token(t, nil)); !errors.As(err, &away) {
			t.Errorf("%s: %v", name, err)
		}
		s.CloseClientConnections()
		s.Close()
	}
}

// TestIntrospect: the provider is asked, as this server, and what it says is remembered for a short time.
func TestIntrospect(t *testing.T) {
	p := newProvider(t)
	config := p.config()
	config.Introspect, config.ClientID, config.ClientSecret, config.Remember = true, "mail/server", "s:cret", time.Minute
	c := New(config)
	clock := time.Now()
	c.now = func() time.Time { return clock }
	say := func(changes map[string]any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.about = p.claimsOf(changes)
		p.about["active"] = changes["active"] != false
	}
	say(nil)
	for range 5 {
		if user, err := c.Check(t.Context(), "opaque"); err != nil || user != "bob@example.com" {
			t.Fatalf("%q, %v", user, err)
		}
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	say(map[string]any{"active": false})
	clock = clock.Add(2 * time.Minute)
	if why := refusal(t, c, "opaque"); why == "" {
		t.Error("a token that was taken back counts after its time")
	}
	say(map[string]any{"iss": nil, "exp": nil})
	if _, err := c.Check(t.Context(), "short"); err != nil {
		t.Errorf("without what is optional: %v", err)
	}
	for name, changes := range map[string]map[string]any{"another client's": {"aud": "wiki"}, "no audience": {"aud": nil}, "expired": {"exp": 1}, "another issuer": {"iss": "https://x"}, "nobody": {"email": nil}} {
		say(changes)
		if why := refusal(t, c, name); why == "" {
			t.Errorf("%s: taken", name)
		}
	}
	say(map[string]any{"exp": clock.Add(10 * time.Second).Unix()})
	if _, err := c.Check(context.Background(), "ends"); err != nil {
		t.Fatal(err)
	}
	before := p.asked.Load()
	clock = clock.Add(30 * time.Second)
	if _, err := c.Check(context.Background(), "ends"); err != nil || p.asked.Load() != before+1 {
		t.Errorf("remembered beyond its end: %v", err)
	}
	clock = clock.Add(45 * time.Second)
	if why := refusal(t, c, "ends"); why != "is expired" {
		t.Errorf("beyond the leeway: %q", why)
	}
	config.ClientSecret = "wrong"
	var away *Unreachable
	if _, err := New(config).Check(t.Context(), "opaque"); !errors.As(err, &away) {
		t.Errorf("this server is refused: %v", err)
	}
	p.kill(true)
	if _, err := New(config).Check(t.Context(), "opaque"); !errors.As(err, &away) {
		t.Errorf("away: %v", err)
	}
}

// TestTry says whether the provider can be used.
func TestTry(t *testing.T) {
	p := newProvider(t)
	if what, err := New(p.config()).Try(t.Context()); err != nil || what != "keys: 1" {
		t.Errorf("%q, %v", what, err)
	}
	p.kill(true)
	if what, err := New(p.config()).Try(t.Context()); err == nil {
		t.Errorf("away: %q", what)
	}
}

func x509Public(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
