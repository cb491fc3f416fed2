// Package openid says whose a token of an OpenID provider is, if it is good for this server.
//
//   - provider.go is what others use;
//   - token.go checks a token that is signed (RFC 7519, RFC 9068);
//   - keys.go has the provider's keys, which change, and fetches them as rarely as it can be done;
//   - introspect.go asks the provider instead (RFC 7662);
//   - fetch.go asks by HTTPS, with bounds.
package openid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Config is a provider and what is asked of its tokens. It must not change once a Provider is made of it.
type Config struct {
	Issuer         string   // as in iss, octet for octet
	Audiences      []string // one of them has to be in one of
	AudienceClaims []string // these claims
	UserClaim      string   // the claim with the user
	EmailVerified  bool     // where that is "email", whether email_verified must be true
	Algorithms     []string // of signatures, asymmetric ones

	Introspect             bool
	ClientID, ClientSecret string        // for it
	Remember               time.Duration // its answers

	Transport http.RoundTripper // nil: http.DefaultTransport
	Timeout   time.Duration     // of one question
}

// Refused is why a token is not taken. The text is for the client and the log: it holds nothing of the token.
type Refused struct {
	Why string
	// Genuine: the provider has made the token; it is no guess, but too old, say.
	Genuine bool
}

func (r *Refused) Error() string { return "openid: the token " + r.Why }

// Unreachable is the error of a provider that does not answer, or not as it should.
type Unreachable struct{ err error }

func (u *Unreachable) Error() string { return "openid: " + u.err.Error() }

// Unwrap is what went wrong.
func (u *Unreachable) Unwrap() error { return u.err }

// ErrLater: the token names a key that is not known, and the provider has been asked for its keys just now. It may be a new one: whether
// the token is good cannot be said yet.
var ErrLater = errors.New("openid: the token names a key that is not known yet")

// Provider checks tokens. It may be used concurrently.
type Provider struct {
	c          Config
	algorithms []jose.SignatureAlgorithm
	client     *http.Client
	now        func() time.Time

	mu      sync.Mutex
	asking  chan struct{} // closed when the question that is under way has been answered; nil: none is
	where   metadata
	found   time.Time // where
	keys    []jose.JSONWebKey
	fetched time.Time // keys
	tried   time.Time // to fetch them, last

	introspected map[[32]byte]introspected
}

// New makes a Provider, which asks nothing before it has to.
func New(c Config) *Provider {
	p := &Provider{c: c, now: time.Now, introspected: make(map[[32]byte]introspected)}
	for _, a := range c.Algorithms {
		p.algorithms = append(p.algorithms, jose.SignatureAlgorithm(a))
	}
	p.client = &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return p
}

// Check returns whose a token is. The error is a *Refused, ErrLater, an *Unreachable, or that of the context.
func (p *Provider) Check(ctx context.Context, token string) (user string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.c.Timeout)
	defer cancel()
	if p.c.Introspect {
		return p.introspect(ctx, token)
	}
	return p.verify(ctx, token)
}

// Configuration is where a client finds what the provider offers (RFC 8414 §3, OpenID Connect Discovery §4).
func (p *Provider) Configuration() string { return p.c.Issuer + wellKnown }

// Try asks the provider for what is needed of it, and says what there is.
func (p *Provider) Try(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.c.Timeout)
	defer cancel()
	where, err := p.metadata(ctx)
	switch {
	case err != nil:
		return "", err
	case p.c.Introspect:
		return "it answers about tokens at " + where.Introspection, nil
	}
	keys, err := p.fetchKeys(ctx)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { return k.Algorithm == "" || slices.Contains(p.c.Algorithms, k.Algorithm) }) {
		return "", fmt.Errorf("openid: none of its %d keys is for one of the algorithms %v", len(keys), p.c.Algorithms)
	}
	return "keys: " + strconv.Itoa(len(keys)), nil
}
