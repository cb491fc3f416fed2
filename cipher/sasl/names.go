package sasl

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
)

// Limits of what a client may send, in bytes. RFC 4954 §4 lets a line of
// base64 be 12,288 long.
const (
	maxResponse = 12288
	maxName     = 512
)

// prepareName makes an authentication or authorization identity fit for
// comparison (SASLprep, RFC 4013). Names that it prohibits, with control
// characters for example, no account has.
func prepareName(name string) (string, error) {
	if len(name) > maxName || !utf8.ValidString(name) {
		return "", ErrMalformed
	}
	prepared, err := stringprep.SASLprep.Prepare(name)
	if err != nil || strings.ContainsRune(prepared, 0) {
		return "", ErrMalformed
	}
	return prepared, nil
}

// sameName compares names as accounts are compared, without regard to case.
func sameName(a, b string) bool { return strings.EqualFold(a, b) }

// isWho reports whether account is the one that authzid names: the same, or
// spelt without the domain that account has.
func isWho(account, authzid string) bool {
	if sameName(account, authzid) {
		return true
	}
	at := strings.LastIndexByte(account, '@')
	return at > 0 && !strings.ContainsRune(authzid, '@') && sameName(account[:at], authzid)
}

// actAs decides who user, who has proved to be account, will be: nobody else.
func actAs(authzid, user, account string) (string, error) {
	if authzid == "" || sameName(authzid, user) || isWho(account, authzid) {
		return account, nil
	}
	return "", ErrDenied
}

// verify asks about a password presented in clear. What cannot be one is
// denied without asking.
func verify(ctx context.Context, c Credentials, authzid, user string, password []byte) (string, error) {
	if user == "" || len(password) == 0 || len(password) > MaxPassword {
		return "", ErrDenied
	}
	account, err := c.Verify(ctx, authzid, user, password)
	if err != nil {
		return "", err
	}
	// A Credentials that takes no notice of authzid must not turn a request to
	// be somebody else into a success (RFC 4616 §2).
	if authzid != "" && !sameName(authzid, user) && !isWho(account, authzid) {
		return "", ErrDenied
	}
	return account, nil
}

// guess lets check judge an answer to a challenge, booked before and reported
// after.
func guess(ctx context.Context, c Credentials, user string, check func() error) error {
	guard, ok := c.(Guard)
	if !ok {
		return check()
	}
	finish, err := guard.Book(ctx, user)
	if err != nil {
		return err
	}
	err = check()
	finish(err)
	return err
}

// single is the server's side of a mechanism that takes one response: it asks
// for it with an empty challenge if there was no initial one.
type single struct {
	state int // 0 fresh, 1 asked, 2 ended
	take  func(ctx context.Context, response []byte) (account string, err error)
}

func (s *single) Next(ctx context.Context, response []byte) ([]byte, string, bool, error) {
	if s.state == 0 && response == nil {
		s.state = 1
		return []byte{}, "", false, nil
	}
	if s.state == 2 || len(response) > maxResponse {
		s.state = 2
		return nil, "", false, ErrMalformed
	}
	s.state = 2
	account, err := s.take(ctx, response)
	if err != nil {
		return nil, "", false, err
	}
	return nil, account, true, nil
}
