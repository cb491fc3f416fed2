package acme

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Challenge is how a name is proved to be ours.
type Challenge string

// The challenges.
const (
	HTTP01    Challenge = "http-01"     // RFC 8555 §8.3, port 80
	TLSALPN01 Challenge = "tls-alpn-01" // RFC 8737, port 443
)

// maxAnswer bounds an authority's answer, in bytes.
const maxAnswer = 1 << 20

// line is the way to the authority. It can be cut, and listens for what the authority
// has to complain of.
type line struct {
	next http.RoundTripper

	mu       sync.Mutex
	stopped  bool
	last     string // problem
	problems int64  // how many there were
}

func (o *Options) line() *line {
	l := &line{next: http.DefaultTransport}
	if o.HTTPClient != nil && o.HTTPClient.Transport != nil {
		l.next = o.HTTPClient.Transport
	}
	return l
}

// client is c, or a new one, over the line.
func (l *line) client(c *http.Client) *http.Client {
	own := new(http.Client)
	if c != nil {
		*own = *c
	}
	own.Transport = l
	return own
}

func (l *line) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
}

func (l *line) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

func (l *line) problem() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *line) note(problem string) {
	const longest = 500
	l.mu.Lock()
	defer l.mu.Unlock()
	if problem != "" {
		l.problems++
	}
	l.last = strings.ToValidUTF8(problem[:min(len(problem), longest)], "")
}

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.isStopped() {
		return nil, ErrStopped
	}
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		l.note(err.Error())
		return resp, err
	}
	kind := resp.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(kind, "application/pem-certificate-chain") && resp.StatusCode == http.StatusOK:
		l.note("")
		return resp, nil
	case !strings.HasPrefix(kind, "application/json") && !strings.HasPrefix(kind, "application/problem+json"):
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the authority's answer: %w", err)
	}
	l.listen(body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// problem is a complaint of the authority (RFC 7807).
type problem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

// listen notes a problem: the answer itself (RFC 8555 §6.7) or that of a
// challenge in it (§8). A bad nonce is none: one tries again with a new one.
func (l *line) listen(body []byte) {
	var answer struct {
		problem
		Challenges []struct{ Error *problem }
	}
	if json.Unmarshal(body, &answer) != nil {
		return
	}
	if p := answer.problem; strings.HasPrefix(p.Type, "urn:ietf:params:acme:error:") && !strings.HasSuffix(p.Type, ":badNonce") {
		l.note(p.Detail)
	}
	for _, c := range answer.Challenges {
		if c.Error != nil {
			l.note(c.Error.Detail)
		}
	}
}
