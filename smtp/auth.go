package smtp

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
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
		var r *Reply
		if initial, r = decodeResponse(response); r != nil {
			return r
		}
	}
	ctx := sasl.WithPeer(s.context(), s.peer)
	run := func(creds sasl.Credentials) (string, error) { return s.exchange(ctx, m.New(creds), initial) }
	var account string
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

// decodeResponse undoes base64; "=" is a response of no octets.
func decodeResponse(line []byte) ([]byte, *Reply) {
	if len(line) == 1 && line[0] == '=' {
		return []byte{}, nil
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(b, line)
	if err != nil {
		return nil, errAuthMalformed
	}
	return b[:n], nil
}

// exchange runs challenges and responses to their end.
func (s *session) exchange(ctx context.Context, m sasl.Server, response []byte) (account string, err error) {
	for {
		var challenge []byte
		var done bool
		err := s.ask(func() (err error) {
			challenge, account, done, err = m.Next(ctx, response)
			return err
		})
		switch {
		case err != nil:
			return "", err
		case done && challenge == nil:
			return account, nil
		}
		response, err = s.challenge(challenge)
		switch {
		case err != nil:
			return "", err
		case done && len(response) > 0:
			return "", sasl.ErrMalformed
		case done:
			return account, nil
		}
	}
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
	response, r := decodeResponse(line)
	if r != nil {
		return nil, r
	}
	return response, nil
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
		s.authErrors++
		return errAuthMalformed
	case errors.Is(err, sasl.ErrThrottled):
		s.authErrors++
		return errAuthThrottled
	case errors.As(err, &r) && !r.Positive():
		if r != errAuthCancelled {
			s.authErrors++
		}
		return s.decision(r, errAuthFailed)
	case errors.Is(err, sasl.ErrDenied):
		s.authErrors++
		return errAuthFailed
	case errors.Is(err, errPanic):
		return tryLater
	}
	s.srv.log.Error("cannot authenticate", "session", s.pub.ID, "remote", addrString(s.pub.RemoteAddr), "mechanism", strings.ToUpper(mechanism), "err", err)
	return errAuthLater
}
