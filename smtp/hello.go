package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// open is everything before the first command: TLS on a port of implicit TLS,
// and the greeting. It is false if the session is over already.
func (s *session) open() bool {
	s.began = s.conn.Refused == lineserver.Welcome
	if s.srv.TLSMode == ImplicitTLS {
		// Even a refusal can only be said under TLS, and is not worth a handshake.
		if s.conn.Refused != lineserver.Welcome || s.handshake() != nil {
			return false
		}
	}
	switch s.conn.Refused {
	case lineserver.Welcome:
	case lineserver.Stopping:
		s.lastWord(errShutdown)
	default:
		s.lastWord(errTooManyConns)
	}
	s.linger = false // nothing was sent yet that could be lost
	if !s.closing {
		s.greet()
	}
	return true
}

// greet sends the greeting, or the reason why there is none. After 554 the
// session waits for QUIT (RFC 5321 §3.1).
func (s *session) greet() {
	if check := s.srv.hooks.conn; check != nil {
		err := s.ask(func() error { return check(s.context(), &s.pub) })
		if r := s.decision(err, nil); !r.Positive() {
			s.err = r
			s.refuseIn(nil, "CONNECT", "", r)
			if r.Permanent() {
				r = &Reply{Code: 554, Enhanced: r.Enhanced, Text: r.Text, unsaid: r.unsaid}
				s.refused = true
			} else {
				r = &Reply{Code: 421, Enhanced: r.Enhanced, Text: r.Text, unsaid: r.unsaid}
				s.closing = true
			}
			s.say(r)
			return
		}
		s.values = maps.Clone(s.pub.Values)
	}
	s.tolerate()
	text := s.srv.hostname + " ESMTP"
	if s.srv.LMTP {
		text = s.srv.hostname + " LMTP"
	}
	if s.srv.Banner != "" {
		text += " " + s.srv.Banner
	}
	s.say(&Reply{Code: 220, Text: text})
}

func (s *session) helo(args []byte) *Reply {
	if r := s.introduce(string(args), false); r != nil {
		return r
	}
	return &Reply{Code: 250, Text: s.srv.hostname}
}

func (s *session) ehlo(args []byte) *Reply {
	if r := s.introduce(string(args), true); r != nil {
		return r
	}
	return &Reply{Code: 250, Text: s.keywords()}
}

// introduce is what HELO, EHLO and LHLO have in common: they end a transaction
// like RSET (RFC 5321 §4.1.4).
func (s *session) introduce(name string, esmtp bool) *Reply {
	name, ok := heloName(name)
	if !ok {
		return errHelo
	}
	if check := s.srv.hooks.helo; check != nil {
		err := s.ask(func() error { return check(s.context(), &s.pub, name) })
		if r := s.decision(err, nil); !r.Positive() {
			return r
		}
	}
	s.giveUp()
	s.state = ready
	s.pub.Helo, s.pub.ESMTP = name, esmtp
	return nil
}

// heloName takes whatever a client calls itself, as Postfix does: the clients of
// users say "PC of Anna", "(none)" or "[fe80::1%eth0]", and to refuse them is to
// keep them from logging in. The name is for Received fields and the log, where
// what has a syntax of its own there could pass for another part of the field: it
// becomes "?".
func heloName(name string) (string, bool) {
	if name == "" || len(name) > maxDomain {
		return "", false
	}
	if validHelo(name) {
		return name, true
	}
	allowed := "-._+~"
	literal := name[0] == '[' && name[len(name)-1] == ']'
	if literal {
		allowed = "-._+~:%"
		name = name[1 : len(name)-1]
	}
	name = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (isLetDig(byte(r)) || strings.IndexByte(allowed, byte(r)) >= 0) {
			return r
		}
		return '?'
	}, name)
	if literal {
		name = "[" + name + "]"
	}
	return name, true
}

// validHelo accepts what can stand in a Received field: a domain or an address
// literal (RFC 5321 §4.1.1.1), and any word without syntax of its own.
func validHelo(name string) bool {
	if name == "" || len(name) > maxDomain {
		return false
	}
	if name[0] == '[' {
		return name[len(name)-1] == ']' && validLiteral(name[1:len(name)-1])
	}
	if a, err := netip.ParseAddr(name); err == nil && a.Zone() == "" {
		return true // an address without its brackets
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isLetDig(c) && strings.IndexByte("-._+~", c) < 0 {
			return false
		}
	}
	return true
}

// trusted reports whether the connection comes from one of the networks,
// whatever XCLIENT said.
func (s *session) trusted(networks []netip.Prefix) bool {
	return lineserver.Within(s.conn.RemoteAddr(), networks)
}

// startTLS is a rebirth (RFC 3207 §4): what was said before it was never said.
func (s *session) startTLS(args []byte) *Reply {
	switch {
	case len(args) > 0:
		return errNoArgument
	case s.pub.TLS != nil:
		return errTLSAgain
	case s.pub.NoTLS:
		return errNotOffered
	case s.r.Buffered() > 0:
		// Somebody in between may have added it (CVE-2011-0411).
		s.hangUp()
		return errPipelined
	}
	s.say(okTLS)
	s.flush()
	if !s.closing && s.handshake() != nil {
		s.closing = true // in the clear there is nothing more to say
	}
	return nil
}

// handshake puts TLS between the connection and the session. It is a wait like
// that for a command: a client that never ends it is in nobody's way.
func (s *session) handshake() error {
	s.clock.written = time.Time{}
	s.conn.SetWriteDeadline(time.Time{})
	var conn *tls.Conn
	var shown *x509.Certificate
	config := s.srv.TLSConfig
	if s.pub.NoClientCertificate && config.ClientAuth != tls.NoClientCert {
		config = config.Clone()
		config.ClientAuth = tls.NoClientCert
	}
	err := s.conn.Handshake(s.srv.limits.Handshake, func(ctx context.Context) (err error) {
		conn, shown, err = certs.UpgradeShown(ctx, s.conn.Conn, s.r.Buffered(), config)
		return err
	})
	if s.srv.hooks.tls != nil {
		s.ask(func() error { s.srv.hooks.tls(&s.pub, err); return nil })
	}
	if err != nil {
		s.err = err
		return err
	}
	s.forget()
	state := conn.ConnectionState()
	s.net, s.pub.TLS, s.shown = conn, &state, shown
	s.remark(s.pub.TLSName())
	s.r.Reset((*source)(s))
	s.w.Reset((*sink)(s))
	return nil
}

// offerAuth decides which mechanisms work for this client now.
func (s *session) offerAuth() {
	s.announce = nil
	if s.srv.hooks.creds == nil || s.srv.hidden("AUTH") {
		return
	}
	s.peer = &sasl.Peer{Service: "smtp", Hostname: s.srv.hostname, RemoteAddr: s.pub.RemoteAddr, TLS: s.pub.TLS, Certificate: s.shown, Session: s.pub.ID}
	s.announce = sasl.Offered(s.srv.hooks.creds, s.peer, s.srv.CleartextAuth, s.srv.Mechanisms...)
}
