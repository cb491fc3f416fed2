package cipher

import (
	"context"
	"errors"
	"time"
)

// Verifier checks passwords for a server. However many clients log in at a
// time, no more than Concurrency hashes are computed at a time; the others wait
// their turn or until their context ends. Passwords that were right are
// remembered for a while, because a POP3 client that polls would otherwise cost
// an argon2id every few minutes. The zero value works; its fields must not
// change once it is used.
type Verifier struct {
	// Concurrency is how many hashes may be computed at a time;
	// 0 means GOMAXPROCS. With the default form each takes 19 MiB.
	Concurrency int
	// Remember is how many accounts' right passwords are remembered;
	// 0 means 10,000, negative none.
	Remember int
	// RememberFor is how long a right password is remembered after it was last
	// checked against the stored string itself; 0 means 10 minutes.
	RememberFor time.Duration
	// AllowPlain accepts {PLAIN} and {CLEARTEXT} strings.
	AllowPlain bool
	// Like is a stored string whose cost Dummy imitates: the form most
	// accounts have. Empty means HashPassword's.
	Like string
}

// Verify checks password against the account's stored string: nil,
// ErrMismatch, the context's error if it ended while waiting, or CheckForm's
// error. account only has to be the same for the same account.
func (v *Verifier) Verify(ctx context.Context, account, stored string, password []byte) error {
	return errors.ErrUnsupported
}

// Dummy does the work of a Verify that fails, for an account that does not
// exist. It returns ErrMismatch, or the context's error.
func (v *Verifier) Dummy(ctx context.Context, password []byte) error { return ErrMismatch }

// Check is CheckForm, which in addition accepts what AllowPlain allows.
func (v *Verifier) Check(stored string) error { return errors.ErrUnsupported }

// Forget drops what is remembered of an account: it was removed or locked. A
// changed stored string needs no Forget.
func (v *Verifier) Forget(account string) {}
