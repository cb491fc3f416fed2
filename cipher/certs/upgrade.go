package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrBuffered: the peer had sent bytes behind its STARTTLS or STLS before the
// handshake. Somebody may have put them there in the clear to be taken for
// what the peer says under TLS (RFC 3207 §4.2, CVE-2011-0411), so the
// connection must end.
var ErrBuffered = errors.New("certs: data received ahead of the TLS handshake")

// HandshakeTimeout bounds Upgrade's handshake where its context has no
// deadline of its own.
const HandshakeTimeout = 30 * time.Second

// Upgrade makes the server's TLS connection of conn, behind STARTTLS or STLS or
// on a port of implicit TLS, and finishes the handshake before it returns.
// buffered is how many bytes the caller has read from conn but not consumed:
// anything but 0 is ErrBuffered. The handshake ends with ctx, and after
// HandshakeTimeout if ctx has no deadline; conn's own deadlines are left as
// they were found, except that a handshake cut short leaves conn unusable.
//
// After an error nothing may be said on conn any more: close it.
func Upgrade(ctx context.Context, conn net.Conn, buffered int, cfg *tls.Config) (*tls.Conn, error) {
	if buffered != 0 {
		return nil, ErrBuffered
	}
	if cfg == nil {
		return nil, errors.New("certs: upgrade without a TLS configuration")
	}
	return handshake(ctx, tls.Server(conn, cfg))
}

// UpgradeShown is Upgrade, and tells which of the server's certificates the
// client was shown: a SASL server binds to it (EndPointBinding). It is nil where
// that cannot be known: the session was resumed, or cfg chooses with a
// GetCertificate that is neither of this package nor made by Noting.
func UpgradeShown(ctx context.Context, conn net.Conn, buffered int, cfg *tls.Config) (*tls.Conn, *x509.Certificate, error) {
	shown := new(shownCertificate)
	over, err := Upgrade(context.WithValue(ctx, shownKey{}, shown), conn, buffered, cfg)
	if err != nil {
		return nil, nil, err
	}
	if cfg.GetCertificate == nil && cfg.GetConfigForClient == nil && len(cfg.Certificates) == 1 {
		shown.note(&cfg.Certificates[0])
	}
	return over, shown.leaf, nil
}

// Noting makes UpgradeShown see what get chooses.
func Noting(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := get(hello)
		if ctx := hello.Context(); err == nil && ctx != nil {
			if shown, ok := ctx.Value(shownKey{}).(*shownCertificate); ok {
				shown.note(cert)
			}
		}
		return cert, err
	}
}

type shownKey struct{}

// shownCertificate is where a handshake, which is one goroutine, writes down
// what it has shown.
type shownCertificate struct{ leaf *x509.Certificate }

func (s *shownCertificate) note(cert *tls.Certificate) {
	if leaf, err := leafOf(cert); err == nil {
		s.leaf = leaf
	}
}

// UpgradeClient is Upgrade for the client's side: it makes the client's TLS
// connection of conn. cfg must say whom to expect (ServerName) or how to check
// it otherwise.
func UpgradeClient(ctx context.Context, conn net.Conn, buffered int, cfg *tls.Config) (*tls.Conn, error) {
	if buffered != 0 {
		return nil, ErrBuffered
	}
	if cfg == nil {
		return nil, errors.New("certs: upgrade without a TLS configuration")
	}
	return handshake(ctx, tls.Client(conn, cfg))
}

func handshake(ctx context.Context, conn *tls.Conn) (*tls.Conn, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, HandshakeTimeout)
		defer cancel()
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("certs: TLS handshake: %w", err)
	}
	return conn, nil
}
