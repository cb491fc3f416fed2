// Package sasl is the Simple Authentication and Security Layer (RFC 4422) as
// mail servers and clients use it: the mechanisms, server and client side, and
// the questions they ask of whoever knows the accounts.
//
// A server takes the Mechanism the client named, makes a Server from it, and
// passes base64-decoded responses to Next until it is done. How challenges and
// responses travel (RFC 4954 for SMTP, RFC 5034 for POP3) is the protocol's
// business.
package sasl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
)

// Errors an exchange ends with. Callers compare with errors.Is; everything
// else is a temporary failure of the server's own (SMTP 454, POP3 [SYS/TEMP]).
var (
	// ErrDenied: the credentials are wrong. It says nothing about which part.
	ErrDenied = errors.New("sasl: authentication failed")
	// ErrMalformed: the response is not of the mechanism's form.
	ErrMalformed = errors.New("sasl: malformed response")
	// ErrThrottled: too many guesses; nothing was checked.
	ErrThrottled = errors.New("sasl: too many attempts")
	// ErrUnavailable: whoever checks is away, and who has to know of it does. It is a temporary
	// failure as others are, but servers do not log it: clients could have it logged without end.
	ErrUnavailable = errors.New("sasl: cannot be checked now")
)

// Peer is what is known about the client that authenticates.
type Peer struct {
	Service    string // "smtp" or "pop": the GSSAPI service name of the protocol
	Hostname   string // the server's name, as in its greeting
	RemoteAddr net.Addr
	Session    string               // the server's name for the connection in its log, "" if it has none
	TLS        *tls.ConnectionState // nil in the clear

	// Announced are the names of the mechanisms announced to this client on
	// this connection. Offered sets it. SCRAM needs to know whether a -PLUS
	// variant was among them; nil means that one was if it could be.
	Announced []string
	// Certificate is the server's own certificate on this connection, where it
	// is known. It allows tls-server-end-point (RFC 5929 §4) beside
	// tls-exporter.
	Certificate *x509.Certificate

	// Opened is a place for the Credentials to leave what a password has opened beside the account, for whoever opens
	// what follows the login, who takes it out. This package does not look at it.
	Opened any
}

type peerKey struct{}

// WithPeer returns a context that carries p. Servers call it before they use a
// mechanism or ask Credentials anything.
func WithPeer(ctx context.Context, p *Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// PeerOf returns the Peer that ctx carries, never nil.
func PeerOf(ctx context.Context) *Peer {
	if p, ok := ctx.Value(peerKey{}).(*Peer); ok {
		return p
	}
	return &Peer{}
}

// Credentials knows the accounts. Its methods may be called concurrently, and
// must cost the same time for an account that does not exist as for one that
// does.
type Credentials interface {
	// Verify checks a password that was presented in clear and returns the
	// account it belongs to, which need not be spelt as user was. authzid is
	// who the client asks to act as; empty means user. Where it is somebody
	// else, account must be that one's, or err ErrDenied: an account returned
	// that is not authzid's ends in ErrDenied (RFC 4616 §2).
	Verify(ctx context.Context, authzid, user string, password []byte) (account string, err error)
	// Secret returns what is kept to check a challenge's answer without the
	// password, and the account. Where the account does not exist or keeps
	// nothing of this kind, it returns a Secret that no answer fits (see
	// Decoy) rather than an error, so that the exchange looks the same.
	Secret(ctx context.Context, kind Kind, user string) (s Secret, account string, err error)
	// Offers reports whether accounts can be checked by this kind of secret at
	// all, so that a mechanism nobody can use is not announced.
	Offers(kind Kind) bool
}

// Guard is implemented by Credentials that limit guesses. Book is called when
// the answer to a challenge is about to be checked, and should count it as
// wrong: any number of exchanges may have come this far at the same time. An
// error, usually ErrThrottled, ends the exchange unchecked. Otherwise finish is
// called once, with nil if the answer was right (so that it can be taken back)
// or the exchange's error.
type Guard interface {
	Book(ctx context.Context, user string) (finish func(err error), err error)
}

// Tokens is implemented by Credentials that accept bearer tokens
// (XOAUTH2, OAUTHBEARER; RFC 7628).
type Tokens interface {
	Token(ctx context.Context, authzid, user, token string) (account string, err error)
}

// Certificates is implemented by Credentials that accept the client's
// certificate (EXTERNAL, RFC 4422 appendix A); it finds it in PeerOf(ctx).TLS.
type Certificates interface {
	Certificate(ctx context.Context, authzid string) (account string, err error)
}

// Kind names a kind of stored secret.
type Kind int

// The kinds of secret.
const (
	Password    Kind = iota // Verify
	CRAMMD5                 // Secret.CRAM
	ScramSHA1               // Secret.SCRAM
	ScramSHA256             // Secret.SCRAM
	APOP                    // Secret.APOP
)

// Secret is what a server keeps to check the answer to a challenge. Only the
// field of the kind asked for is set.
type Secret struct {
	CRAM  []byte     // the two MD5 states after the HMAC pads, as MakeCRAM gives them
	SCRAM *ScramKeys // RFC 5802 §3
	APOP  []byte     // the shared secret itself (RFC 1939 §7)

	// Others are secrets that are as good, for CRAM-MD5 and SCRAM: the account has a password for each device,
	// say. As clients of SCRAM are told one salt, that of this secret, Others count as far as theirs, and their iterations,
	// are the same. Others of theirs are not looked at.
	Others []Secret
	// Proven, if not nil, is called when a client has proven that it knows this secret rather than one of the others.
	Proven func()
}

// alternatives are the secret and the others.
func (s *Secret) alternatives(visit func(*Secret) (found bool)) *Secret {
	if visit(s) {
		return s
	}
	for i := range s.Others {
		if visit(&s.Others[i]) {
			return &s.Others[i]
		}
	}
	return nil
}

// proven tells whoever wants to know.
func (s *Secret) proven() {
	if s.Proven != nil {
		s.Proven()
	}
}

// Server is the server's side of one exchange.
type Server interface {
	// Next takes the client's response (nil if it sent no initial response)
	// and returns the next challenge. When done is true the exchange has
	// succeeded and account is set; challenge, if not nil, is then additional
	// data of success, which protocols without a place for it send as one
	// more challenge that is answered by an empty response. An error ends the
	// exchange.
	Next(ctx context.Context, response []byte) (challenge []byte, account string, done bool, err error)
}

// Client is the client's side of one exchange.
type Client interface {
	// Start returns the mechanism's name and the initial response; nil if the
	// server speaks first, an empty slice for an empty initial response.
	Start(ctx context.Context) (mechanism string, initial []byte, err error)
	// Next answers a challenge.
	Next(ctx context.Context, challenge []byte) (response []byte, err error)
}

// Mechanism makes the server side of one mechanism.
type Mechanism struct {
	Name string // as announced: "SCRAM-SHA-256"
	// Cleartext: the password itself crosses the connection, so that it
	// should be offered under TLS only.
	Cleartext bool
	// NeedsTLS: it cannot work without TLS at all (EXTERNAL, -PLUS).
	NeedsTLS bool
	// Usable reports whether c can serve it.
	Usable func(c Credentials) bool
	// Fits reports whether it can work on p's connection; nil means on any that
	// NeedsTLS allows.
	Fits func(p *Peer) bool
	// New starts an exchange.
	New func(c Credentials) Server
}
