package conf

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Protocol is what a listener speaks.
type Protocol string

// The protocols.
const (
	ProtocolSMTP       Protocol = "smtp"
	ProtocolSubmission Protocol = "submission"
	ProtocolLMTP       Protocol = "lmtp"
	ProtocolPOP3       Protocol = "pop3"
)

// UnmarshalText refuses what is no protocol.
func (p *Protocol) UnmarshalText(text []byte) error {
	return oneOf(p, text, ProtocolSMTP, ProtocolSubmission, ProtocolLMTP, ProtocolPOP3)
}

// TLSMode is how a listener uses TLS.
type TLSMode string

// The modes.
const (
	TLSStartTLS TLSMode = "starttls" // offered, needed for passwords
	TLSRequired TLSMode = "required" // nothing works before it
	TLSImplicit TLSMode = "implicit" // from the first octet on
	TLSOff      TLSMode = "off"
)

// UnmarshalText refuses what is no mode.
func (m *TLSMode) UnmarshalText(text []byte) error {
	return oneOf(m, text, TLSStartTLS, TLSRequired, TLSImplicit, TLSOff)
}

// BareNewline is what happens to line endings that are not CRLF.
type BareNewline string

// The answers.
const (
	BareReject    BareNewline = "reject"
	BareNormalise BareNewline = "normalise"
)

// UnmarshalText refuses what is no answer.
func (b *BareNewline) UnmarshalText(text []byte) error {
	return oneOf(b, text, BareReject, BareNormalise)
}

// Deletion is what POP3's DELE and QUIT do.
type Deletion string

// The ways to delete.
const (
	DeleteRemove Deletion = "remove"
	DeleteTrash  Deletion = "trash"
	DeleteMove   Deletion = "move"
)

// UnmarshalText refuses what is no way to delete.
func (d *Deletion) UnmarshalText(text []byte) error {
	return oneOf(d, text, DeleteRemove, DeleteTrash, DeleteMove)
}

// LogFormat is how log lines look.
type LogFormat string

// The formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// UnmarshalText refuses what is no format.
func (f *LogFormat) UnmarshalText(text []byte) error { return oneOf(f, text, LogText, LogJSON) }

func oneOf[T ~string](to *T, text []byte, choices ...T) error {
	names := make([]string, len(choices))
	for i, c := range choices {
		if string(c) == string(text) {
			*to = c
			return nil
		}
		names[i] = fmt.Sprintf("%q", string(c))
	}
	last := len(names) - 1
	return fmt.Errorf("%q is not one of %s and %s", text, strings.Join(names[:last], ", "), names[last])
}

// Secret is a text that is never shown: printing and logging it give stars.
// Convert it to a string to use it.
type Secret string

// stars is what stands in place of a secret.
const stars = "********"

// String gives stars, or nothing for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return stars
}

// GoString keeps %#v from showing the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps JSON and its like from showing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the secret as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// LogValue keeps logs from showing the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Quota is a limit in octets for one account.
type Quota int64

// Unlimited is the Quota "none".
const Unlimited Quota = -1

// UnmarshalText reads a size or "none".
func (q *Quota) UnmarshalText(text []byte) error {
	if string(text) == "none" {
		*q = Unlimited
		return nil
	}
	n, err := config.ParseSize(string(text))
	*q = Quota(n)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (q Quota) MarshalText() ([]byte, error) {
	if q == Unlimited {
		return []byte("none"), nil
	}
	return config.Size(q).MarshalText()
}

// Targets are the addresses an alias leads to. In a configuration, one target
// may stand alone, without a list.
type Targets []string

// UnmarshalText makes a list of one target.
func (t *Targets) UnmarshalText(text []byte) error {
	*t = Targets{string(text)}
	return nil
}

// UnmarshalText takes a string in place of an account for its password.
func (a *Account) UnmarshalText(text []byte) error {
	*a = Account{Password: Secret(text)}
	return nil
}
