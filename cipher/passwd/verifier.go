package passwd

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// Verifier checks passwords for a server. However many clients log in at a
// time, no more than Concurrency hashes are computed at a time; the others wait
// their turn or until their context ends. Passwords that were right are
// remembered for a while, because a POP3 client that polls would otherwise cost
// an argon2id every few minutes. The zero value works; its fields must not
// change once it is used, and it must not be copied.
type Verifier struct {
	// Concurrency is how many hashes may be computed at a time;
	// 0 means GOMAXPROCS. With the default form each takes 19 MiB; one that
	// takes more counts as several.
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
	// accounts have. Empty means Hash's.
	Like string

	once  sync.Once
	turns turns
	dummy *form
	known memory
}

func (v *Verifier) start() {
	total := v.Concurrency
	if total <= 0 {
		total = runtime.GOMAXPROCS(0)
	}
	v.turns.start(int64(total))
	v.known.start(v.Remember, v.RememberFor)
	if f, err := parseStored(v.Like, v.AllowPlain); err == nil && !f.cheap {
		v.dummy = f
		return
	}
	h := standard
	h.salt = make([]byte, 16)
	v.dummy = &form{memory: h.memory, check: func(password []byte) bool {
		h.compute(password)
		return false
	}}
}

// Verify checks password against the account's stored string: nil,
// ErrMismatch, the context's error if it ended while waiting, or CheckForm's
// error. account only has to be the same for the same account.
//
// A failure costs no less than Dummy does, also where the string is of a form
// that costs nothing, so that the time it takes does not tell which accounts
// exist. Only a right password can be faster.
func (v *Verifier) Verify(ctx context.Context, account, stored string, password []byte) error {
	return v.Try(ctx, Attempt{Account: account, Stored: stored, Password: password})
}

// Login is Verify for sasl.Accounts' Check: an empty stored string stands for an
// account that does not exist, and what does not match is sasl.ErrDenied.
func (v *Verifier) Login(ctx context.Context, account, stored string, password []byte) error {
	err := v.Verify(ctx, account, stored, password)
	if errors.Is(err, ErrMismatch) {
		return fmt.Errorf("%w: %w", sasl.ErrDenied, err)
	}
	return err
}

// Attempt is one login to be checked by Try.
type Attempt struct {
	Account  string
	Stored   string // empty: there is no such account, and Dummy is what happens
	Password []byte
	// Like is the stored string whose cost an account that does not exist
	// imitates; empty means the Verifier's own. Give each name always the same,
	// of some account, and costs do not tell who exists even where accounts
	// are stored in forms of different cost.
	Like string
	// Source is where the client comes from, such as its network. Sources take
	// turns: many attempts from one do not delay those from others.
	Source string
	// Known says that the client has been right about this account before. It
	// goes ahead of all who are not known, so that a storm of guesses does not
	// make users wait.
	Known bool
	// Suspect says that there were wrong guesses from the same source lately.
	// It waits behind those who are not suspects, but gets every fourth turn.
	Suspect bool
	// Allowed, if not nil, is asked when the turn has come, before anything is
	// computed; its error is returned. Here guesses are counted that were still
	// waiting when others of them failed.
	Allowed func() error
	// Anew has the password computed each time, and not remembered: where it is only one of the
	// secrets that are asked for, an answer that comes faster would tell that it is right.
	Anew bool
}

// Try is Verify with a turn of its own.
func (v *Verifier) Try(ctx context.Context, a Attempt) error {
	v.once.Do(v.start)
	if a.Stored == "" {
		return v.pretend(ctx, a)
	}
	account, stored, password := a.Account, a.Stored, a.Password
	if !a.Anew && v.known.holds(account, stored, password) {
		return nil
	}
	f, err := parseStored(stored, v.AllowPlain)
	if err != nil {
		return err
	}
	if len(password) == 0 || len(password) > MaxPassword {
		a.Like = stored
		return v.pretend(ctx, a)
	}
	memory := f.memory
	if f.cheap {
		memory = v.dummy.memory
	}
	release, err := v.acquire(ctx, memory, a)
	if err != nil {
		return err
	}
	defer release()
	// While this one waited, another connection may have shown the password
	// to be right: a client that opens ten at once costs one hash, not ten.
	if !a.Anew && v.known.holds(account, stored, password) {
		return nil
	}
	if f.matches(password) {
		if !a.Anew {
			v.known.add(account, stored, password)
		}
		return nil
	}
	if f.cheap {
		v.dummy.try(bounded(password))
	}
	return ErrMismatch
}

// Dummy does the work of a Verify that fails, for an account that does not
// exist. It returns ErrMismatch, or the context's error.
func (v *Verifier) Dummy(ctx context.Context, password []byte) error {
	return v.Try(ctx, Attempt{Password: password})
}

func (v *Verifier) pretend(ctx context.Context, a Attempt) error {
	dummy := v.dummy
	if f, err := parseStored(a.Like, v.AllowPlain); err == nil && !f.cheap {
		dummy = f
	}
	release, err := v.acquire(ctx, dummy.memory, a)
	if err != nil {
		return err
	}
	defer release()
	dummy.try(bounded(a.Password))
	return ErrMismatch
}

func (v *Verifier) acquire(ctx context.Context, memory uint32, a Attempt) (release func(), err error) {
	n := min(max(1, int64(memory+standard.memory-1)/int64(standard.memory)), v.turns.total)
	rank := rankStranger
	switch {
	case a.Known:
		rank = rankKnown
	case a.Suspect:
		rank = rankSuspect
	}
	if err := v.turns.acquire(ctx, n, rank, a.Source); err != nil {
		return nil, err
	}
	release = func() { v.turns.release(n) }
	if a.Allowed != nil {
		if err := a.Allowed(); err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}

func bounded(password []byte) []byte { return password[:min(len(password), MaxPassword)] }
