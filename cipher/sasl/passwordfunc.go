package sasl

import "context"

// PasswordFunc is the short form of Credentials, for PLAIN, LOGIN and POP3's
// PASS: a function that checks a password. nil accepts, ErrDenied (or an error
// that wraps it) says that user or password is wrong, ErrThrottled that nothing
// was checked. Any other error means that it could not be found out (a database
// is down, a context ended): servers answer it as a temporary failure and log
// it, so that clients do not forget a password that is right. remoteAddr is the
// client's address with its port, empty if it is not known.
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
	if err := f(user, string(password), addr); err != nil {
		return "", err
	}
	return user, nil
}

// Secret has none.
func (f PasswordFunc) Secret(context.Context, Kind, string) (Secret, string, error) {
	return Secret{}, "", ErrDenied
}

// Offers says that only passwords can be checked.
func (f PasswordFunc) Offers(kind Kind) bool { return kind == Password }
