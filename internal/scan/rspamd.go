package scan

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// verdict is what rspamd answers to /checkv2, as far as anything is done with it.
type verdict struct {
	Action   string            `json:"action"`
	Score    float64           `json:"score"`
	Required float64           `json:"required_score"`
	Messages map[string]string `json:"messages"`
	Skipped  bool              `json:"is_skipped"`
}

// mostAnswer is how many octets of an answer are read.
const mostAnswer = 1 << 20

// request is the one by which rspamd is asked about a message and its envelope.
func request(ctx context.Context, set *Settings, look *post.Look, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(set.URL, "/")+"/checkv2", body)
	if err != nil {
		return nil, err
	}
	e, s := look.Envelope, look.Envelope.Session
	h := req.Header
	add := func(name, value string) {
		// What a stranger says is one line, whatever it is.
		if value = strings.Map(printable, value); value != "" {
			h.Add(name, value)
		}
	}
	if ip, ok := lineserver.IP(s.RemoteAddr); ok {
		add("IP", ip.String())
	}
	add("Helo", s.Helo)
	add("From", e.From.String())
	for i := range e.To {
		add("Rcpt", e.To[i].Path.String())
	}
	add("Queue-Id", e.ID)
	add("MTA-Name", s.LocalName)
	if s.TLS != nil {
		add("TLS-Version", s.TLSName())
	}
	add("Password", set.Password)
	return req, nil
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// ask sends the request and reads the verdict.
func ask(transport http.RoundTripper, req *http.Request) (*verdict, error) {
	if transport == nil {
		transport = http.DefaultTransport
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the scanner answered %s", resp.Status)
	}
	v := &verdict{}
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("the scanner's answer cannot be read: %w", err)
	}
	switch v.Action {
	case "no action", "greylist", "add header", "rewrite subject", "soft reject", "reject":
		return v, nil
	}
	return nil, fmt.Errorf("the scanner answered %.40q, which is no action", v.Action)
}

// mostWords is how many octets of a scanner's words a client is told: more do not fit into a line (RFC 5321 §4.5.3.1.5).
const mostWords = 200

// words is what the scanner has for the client, or else these.
func (v *verdict) words(otherwise string) string {
	if text := strings.Map(printable, v.Messages["smtp_message"]); text != "" {
		return strings.ToValidUTF8(text[:min(len(text), mostWords)], "")
	}
	return otherwise
}

// why says it for people.
func (v *verdict) why() string {
	return fmt.Sprintf("rspamd, %.1f of %.1f", v.Score, v.Required)
}
