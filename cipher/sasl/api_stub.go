package sasl

import (
	"context"
	"crypto/tls"
	"errors"
)

// Mechanisms gives the server side of every mechanism, strongest first.
func Mechanisms() []Mechanism { return nil }

// The server side of each mechanism.
func PlainServer() Mechanism           { return Mechanism{} }
func LoginServer() Mechanism           { return Mechanism{} }
func CRAMMD5Server() Mechanism         { return Mechanism{} }
func ScramSHA1Server() Mechanism       { return Mechanism{} }
func ScramSHA1PlusServer() Mechanism   { return Mechanism{} }
func ScramSHA256Server() Mechanism     { return Mechanism{} }
func ScramSHA256PlusServer() Mechanism { return Mechanism{} }
func XOAuth2Server() Mechanism         { return Mechanism{} }
func OAuthBearerServer() Mechanism     { return Mechanism{} }
func ExternalServer() Mechanism        { return Mechanism{} }
func AnonymousServer() Mechanism       { return Mechanism{} }

// Offered gives those of the mechanisms (all of Mechanisms if none are given)
// that should be announced to this peer now, in their order: c can serve them,
// they fit the connection, and those that send a password in clear only under
// TLS unless cleartextOK. It notes their names in peer.Announced, which SCRAM
// needs to tell a downgrade (RFC 5802 §6).
func Offered(c Credentials, peer *Peer, cleartextOK bool, among ...Mechanism) []Mechanism { return nil }

// Find gives the mechanism of that name, in any case. Otherwise the error is
// ErrUnknownMechanism, and says why where the mechanism is refused on purpose.
func Find(among []Mechanism, name string) (Mechanism, error) {
	return Mechanism{}, ErrUnknownMechanism
}

// Named gives the mechanisms of these names in the order given, for a
// configuration; the error is as Find's.
func Named(names ...string) ([]Mechanism, error) { return nil, ErrUnknownMechanism }

// ErrUnknownMechanism: there is no such mechanism, or it is refused.
var ErrUnknownMechanism = errors.New("sasl: unknown mechanism")

// ErrNoMechanism: none of the server's mechanisms can be used by this client.
var ErrNoMechanism = errors.New("sasl: no usable mechanism")

// ErrServer: the server did not prove that it knows the account.
var ErrServer = errors.New("sasl: server is not genuine")

// The client side of each mechanism.
func PlainClient(authzid, user, password string) Client { return nil }
func LoginClient(user, password string) Client          { return nil }
func CRAMMD5Client(user, password string) Client        { return nil }
func XOAuth2Client(user, token string) Client           { return nil }
func OAuthBearerClient(authzid, token, host string, port int) Client {
	return nil
}
func ExternalClient(authzid string) Client { return nil }
func AnonymousClient(trace string) Client  { return nil }

// ScramClient makes the client of a SCRAM mechanism, by its name.
func ScramClient(name, authzid, user, password string, cs *tls.ConnectionState) (Client, error) {
	return nil, errors.ErrUnsupported
}

// Choose picks the strongest of the mechanisms a server offers.
func Choose(offered []string, user, password string, cs *tls.ConnectionState) (Client, error) {
	return nil, ErrNoMechanism
}

// Finish is to be called when the server said that authentication succeeded:
// a mechanism in which the server must prove itself returns ErrServer if it
// has not.
func Finish(c Client) error { return nil }

// MakeCRAM gives what to store for CRAM-MD5: 32 bytes.
func MakeCRAM(password []byte) []byte { return nil }

// FormatCRAM gives Dovecot's text form, "{CRAM-MD5}" and 64 hex digits;
// ParseCRAM reads it.
func FormatCRAM(cram []byte) string         { return "" }
func ParseCRAM(text string) ([]byte, error) { return nil, errors.ErrUnsupported }

// MakeScram gives what to store for SCRAM, kind ScramSHA1 or ScramSHA256, with
// a random salt; iterations 0 means the default.
func MakeScram(kind Kind, password []byte, iterations int) (*ScramKeys, error) {
	return nil, errors.ErrUnsupported
}

// FormatScram gives the text form "SCRAM-SHA-256$4096:salt$stored:server"
// (RFC 5803); ParseScram reads it and Dovecot's "{SCRAM-SHA-256}4096,…".
func FormatScram(kind Kind, k *ScramKeys) string { return "" }
func ParseScram(text string) (Kind, *ScramKeys, error) {
	return 0, nil, errors.ErrUnsupported
}

// Decoy makes secrets for accounts that do not exist, the same ones each time.
type Decoy struct {
	// Iterations is what real accounts have; 0 means the default.
	Iterations int
	key        []byte
}

// NewDecoy makes a Decoy from a secret key; nil means a random one.
func NewDecoy(key []byte) *Decoy { return &Decoy{key: key} }

// Secret gives a Secret of the kind that no answer fits.
func (d *Decoy) Secret(kind Kind, user string) Secret { return Secret{} }

// APOPTimestamp gives a greeting's timestamp, unpredictable: "<…@hostname>".
func APOPTimestamp(hostname string) string { return "" }

// APOPDigest is the answer to timestamp (RFC 1939 §7): 32 hex digits.
func APOPDigest(timestamp string, secret []byte) string { return "" }

// VerifyAPOP checks the APOP command's digest and tells an Observer.
func VerifyAPOP(ctx context.Context, c Credentials, timestamp, user, digest string) (account string, err error) {
	return "", ErrDenied
}
