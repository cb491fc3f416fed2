package openid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// wellKnown is where a provider tells about itself, below its name (OpenID Connect Discovery §4.1).
const wellKnown = "/.well-known/openid-configuration"

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// metadata is what a provider tells about itself, as far as it matters here.
type metadata struct {
	Issuer        string `json:"issuer"`
	Keys          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
}

// metadata asks the provider where things are, once in a while.
func (p *Provider) metadata(ctx context.Context) (metadata, error) {
	p.mu.Lock()
	where, age := p.where, p.now().Sub(p.found)
	p.mu.Unlock()
	if age < keysLast {
		return where, nil
	}
	where = metadata{}
	if err := p.get(ctx, strings.TrimSuffix(p.c.Issuer, "/")+wellKnown, &where); err != nil {
		return where, err
	}
	needed := where.Keys
	if p.c.Introspect {
		needed = where.Introspection
	}
	switch {
	case where.Issuer != p.c.Issuer: // Discovery §4.3: somebody else's document
		return where, &Unreachable{fmt.Errorf("it calls itself %.100q, and not as the settings do", where.Issuer)}
	case needed == "":
		return where, &Unreachable{errors.New("it does not say where its keys are, or where it is asked about tokens")}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.where, p.found = where, p.now()
	return where, nil
}

// get asks for JSON.
func (p *Provider) get(ctx context.Context, at string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return &Unreachable{err}
	}
	return p.ask(r, into)
}

// ask sends a question and reads its answer, which is JSON.
func (p *Provider) ask(r *http.Request, into any) error {
	if !safe(r.URL) {
		return &Unreachable{fmt.Errorf("%s is not https://", r.URL.Redacted())}
	}
	r.Header.Set("Accept", "application/json")
	resp, err := p.client.Do(r)
	if err != nil {
		return &Unreachable{err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return &Unreachable{err}
	case resp.StatusCode != http.StatusOK:
		return &Unreachable{fmt.Errorf("%s answers %s", r.URL.Redacted(), resp.Status)}
	case len(body) > maxAnswer:
		return &Unreachable{fmt.Errorf("%s answers more than a MiB", r.URL.Redacted())}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &Unreachable{fmt.Errorf("%s answers no JSON of the form that is expected", r.URL.Redacted())}
	}
	return nil
}

// safe: https, or a host that is this one.
func safe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
