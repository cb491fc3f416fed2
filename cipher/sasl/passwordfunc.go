package sasl

import (
	"context"
	"errors"
)

// PasswordFunc is the short form of Credentials, for PLAIN, LOGIN and POP3's
// PASS: a function that checks a password. nil accepts. Any error means no, and
// is in the chain of the error that Verify returns beside ErrDenied; only
// ErrThrottled is passed on alone. remoteAddr is the client's address with its
// port, empty if it is not known.
//
// It takes as long for an account that does not exist as for one that does only
// if the function does.
type PasswordFunc func(user, password, remoteAddr string) error

// Verify calls f. It lets nobody act as somebody else.
func (f PasswordFunc) Verify(ctx context.Context, authzid, user string, password []byte) (account string, err error) {
	if authzid != "" && authzid != user {
		return "", ErrDenied
	}
	addr := ""
	if a := PeerOf(ctx).RemoteAddr; a != nil {
		addr = a.String()
	}
	switch err := f(user, string(password), addr); {
	case err == nil:
		return user, nil
	case errors.Is(err, ErrThrottled):
		return "", err
	default:
		return "", errors.Join(ErrDenied, err)
	}
}

// Secret has none.
func (f PasswordFunc) Secret(context.Context, Kind, string) (Secret, string, error) {
	return Secret{}, "", ErrDenied
}

// Offers says that only passwords can be checked.
func (f PasswordFunc) Offers(kind Kind) bool { return kind == Password }
