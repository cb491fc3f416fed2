package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Relay is a real server that single messages are released to.
type Relay struct {
	Address    string // host:port
	Dialer     *smtp.Dialer
	ReturnPath string         // the sender in place of the message's own; "" keeps that
	Allowed    *regexp.Regexp // the recipients it may be released to; nil: any
}

// Pattern is that of the allowed recipients, as it was written.
func (r *Relay) Pattern() string {
	if r.Allowed == nil {
		return ""
	}
	return r.Allowed.String()
}

// Release sends a message to recipients, as it is but for its Bcc. Those that may not have
// it, and those that the server refuses, are named in the error; the others get it.
func (r *Relay) Release(ctx context.Context, from string, to []string, raw []byte) error {
	var good []string
	var failed []error
	for _, address := range to {
		if _, err := rfc2822.ParseAddrSpec(address); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", address, err))
			continue
		}
		if r.Allowed != nil && !r.Allowed.MatchString(address) {
			failed = append(failed, fmt.Errorf("%s: not among the recipients that mail may be released to", address))
			continue
		}
		good = append(good, address)
	}
	if len(good) > 0 {
		if r.ReturnPath != "" {
			from = strings.Trim(r.ReturnPath, "<>")
		}
		// It names those who were refused, in the server's words.
		failed = append(failed, r.Dialer.SendMail(ctx, r.Address, from, good, bytes.NewReader(withoutBcc(raw))))
	}
	return errors.Join(failed...)
}

// withoutBcc is the message as its recipients may see it (RFC 5322 §3.6.3).
func withoutBcc(raw []byte) []byte {
	m, err := rfc2822.ReadString(string(raw))
	if err != nil || m.Header.Remove("Bcc", "Resent-Bcc") == 0 {
		return raw
	}
	var b bytes.Buffer
	m.WriteTo(&b)
	return b.Bytes()
}
