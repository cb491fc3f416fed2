package smtp

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// maxAuthLine is the longest line of an exchange (RFC 4954 §4).
const maxAuthLine = 12288

// auth is AUTH mechanism [initial-response] (RFC 4954 §4).
func (s *session) auth(args []byte) *Reply {
	name, response := textual.Command(args)
	switch {
	case s.pub.User != "":
		return errAuthAgain
	case len(name) == 0:
		return errSyntax
	}
	if s.announce == nil {
		s.offerAuth() // after HELO
	}
	if len(s.announce) == 0 && s.srv.hooks.creds == nil {
		return errNotOffered
	}
	m, err := sasl.Find(s.announce, string(name))
	if err != nil {
		return s.unknownMechanism(string(name))
	}
	var initial []byte
	if len(response) > 0 {
		if initial, err = sasl.DecodeResponse(response); err != nil {
			return errAuthMalformed
		}
	}
	ctx := sasl.WithPeer(s.context(), s.peer)
	var account string
	run := func(creds sasl.Credentials) (account string, err error) {
		err = s.ask(func() (err error) { account, err = sasl.Exchange(ctx, m.New(creds), initial, s.challenge); return err })
		return account, err
	}
	if hook := s.srv.hooks.auth; hook != nil {
		err = s.ask(func() (err error) { account, err = hook(&s.pub, m.Name, run); return err })
	} else {
		account, err = run(s.srv.hooks.creds)
	}
	if err != nil {
		return s.authFailed(m.Name, err)
	}
	s.pub.User, s.mechanism = account, m.Name
	s.tolerate()
	s.clock.login = time.Time{}
	s.conn.Keep()
	return okAuth
}

// unknownMechanism tells a mechanism that TLS would make possible from one
// that is not there.
func (s *session) unknownMechanism(name string) *Reply {
	if s.pub.TLS == nil && s.srv.offered["STARTTLS"] {
		among := s.srv.Mechanisms
		if among == nil {
			among = sasl.Mechanisms()
		}
		if m, err := sasl.Find(among, name); err == nil && (m.Cleartext || m.NeedsTLS) && (m.Usable == nil || m.Usable(s.srv.hooks.creds)) {
			return errAuthNeedsTLS
		}
	}
	return errAuthUnknown
}

// challenge asks the client and reads its response, which is "*" when it
// gives up.
func (s *session) challenge(challenge []byte) ([]byte, error) {
	s.say(&Reply{Code: 334, Text: base64.StdEncoding.EncodeToString(challenge)})
	s.beginLine()
	line, err := s.r.ReadLine(maxAuthLine)
	if err != nil {
		if errors.Is(err, textual.ErrLineTooLong) {
			return nil, errAuthTooLong
		}
		return nil, connError{err}
	}
	s.traceSecret(line)
	if len(line) == 1 && line[0] == '*' {
		return nil, errAuthCancelled
	}
	return sasl.DecodeResponse(line)
}

// connError is an error of the connection within an exchange.
type connError struct{ error }

// Unwrap is the connection's own error.
func (e connError) Unwrap() error { return e.error }

// authFailed is the answer to an exchange that failed.
func (s *session) authFailed(mechanism string, err error) *Reply {
	var lost connError
	var r *Reply
	switch {
	case errors.As(err, &lost):
		return s.readFailed(lost.error)
	case errors.Is(err, sasl.ErrMalformed):
		s.loginFailed(mechanism)
		return errAuthMalformed
	case errors.Is(err, sasl.ErrThrottled):
		s.loginFailed(mechanism)
		return errAuthThrottled
	case errors.As(err, &r) && !r.Positive():
		if r != errAuthCancelled {
			s.loginFailed(mechanism)
		}
		return s.decision(r, errAuthFailed)
	case errors.Is(err, sasl.ErrDenied):
		s.loginFailed(mechanism)
		return errAuthFailed
	case errors.Is(err, sasl.ErrUnavailable):
		return errAuthLater
	case errors.Is(err, lineserver.ErrPanic):
		return tryLater
	}
	s.pub.LogError(s.srv.log, "cannot authenticate", slog.String("mechanism", strings.ToUpper(mechanism)), slog.Any("err", err))
	return errAuthLater
}

// loginFailed counts a login that was refused.
func (s *session) loginFailed(mechanism string) {
	s.authErrors++
	if s.failedBy == nil {
		s.failedBy = make(map[string]int)
	}
	s.failedBy[mechanism]++
}
