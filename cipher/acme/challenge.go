package acme

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
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

// chosen hides the other challenges from autocert, which would always try
// tls-alpn-01 first, and each failure counts against the authority's limits.
type chosen struct {
	next http.RoundTripper
	keep Challenge
}

func (c *chosen) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return resp, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the authority's answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(c.filter(body)))
	resp.ContentLength = -1
	return resp, nil
}

// filter takes the other challenges out of an authorization object (RFC 8555
// §7.1.4) and leaves everything else as it is.
func (c *chosen) filter(body []byte) []byte {
	var object map[string]json.RawMessage
	var all []map[string]any
	if json.Unmarshal(body, &object) != nil || json.Unmarshal(object["challenges"], &all) != nil {
		return body
	}
	kept := []map[string]any{}
	for _, one := range all {
		if one["type"] == string(c.keep) {
			kept = append(kept, one)
		}
	}
	list, err := json.Marshal(kept)
	if err != nil {
		return body
	}
	object["challenges"] = list
	filtered, err := json.Marshal(object)
	if err != nil {
		return body
	}
	return filtered
}
