package openid

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// mostIntrospected bounds what is remembered.
const mostIntrospected = 10_000

// introspect asks the provider about a token (RFC 7662). That it is good is remembered for a short time, under its hash; that it is not
// never is.
func (p *Provider) introspect(ctx context.Context, token string) (string, error) {
	tag := sha256.Sum256([]byte(token))
	p.mu.Lock()
	known, ok := p.introspected[tag]
	p.mu.Unlock()
	if ok && p.now().Before(known.until) {
		return known.user, nil
	}
	where, err := p.metadata(ctx)
	if err != nil {
		return "", err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, where.Introspection, strings.NewReader(form.Encode()))
	if err != nil {
		return "", &Unreachable{err}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(p.c.ClientID), url.QueryEscape(p.c.ClientSecret)) // RFC 6749 §2.3.1
	var answer json.RawMessage
	if err := p.ask(r, &answer); err != nil {
		return "", err
	}
	var is struct {
		Active bool `json:"active"`
	}
	if json.Unmarshal(answer, &is) != nil || !is.Active {
		return "", &Refused{Why: "is not known to the provider, or not any more"}
	}
	user, err := p.claims(answer)
	if err == nil {
		p.remember(tag, user, answer)
	}
	return user, err
}

func (p *Provider) remember(tag [32]byte, user string, answer []byte) {
	until := p.now().Add(p.c.Remember)
	var is struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(answer, &is) == nil && is.Exp > 0 {
		if end := time.Unix(int64(is.Exp), 0); end.Before(until) {
			until = end
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.introspected) >= mostIntrospected {
		for other := range p.introspected { // any
			delete(p.introspected, other)
			break
		}
	}
	p.introspected[tag] = introspected{user, until}
}

// introspected is what the provider said about a token.
type introspected struct {
	user  string
	until time.Time
}
