package cipher

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
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
	// accounts have. Empty means HashPassword's.
	Like string

	once  sync.Once
	slots *semaphore.Weighted
	total int64
	dummy *form
	known memory
}

func (v *Verifier) start() {
	v.total = int64(v.Concurrency)
	if v.total <= 0 {
		v.total = int64(runtime.GOMAXPROCS(0))
	}
	v.slots = semaphore.NewWeighted(v.total)
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
	v.once.Do(v.start)
	if v.known.holds(account, stored, password) {
		return nil
	}
	f, err := parseStored(stored, v.AllowPlain)
	if err != nil {
		return err
	}
	if len(password) == 0 || len(password) > MaxPassword {
		return v.Dummy(ctx, password)
	}
	memory := f.memory
	if f.cheap {
		memory = v.dummy.memory
	}
	release, err := v.acquire(ctx, memory)
	if err != nil {
		return err
	}
	defer release()
	// While this one waited, another connection may have shown the password
	// to be right: a client that opens ten at once costs one hash, not ten.
	if v.known.holds(account, stored, password) {
		return nil
	}
	if f.matches(password) {
		v.known.add(account, stored, password)
		return nil
	}
	if f.cheap {
		v.dummy.check(bounded(password))
	}
	return ErrMismatch
}

// Dummy does the work of a Verify that fails, for an account that does not
// exist. It returns ErrMismatch, or the context's error.
func (v *Verifier) Dummy(ctx context.Context, password []byte) error {
	v.once.Do(v.start)
	release, err := v.acquire(ctx, v.dummy.memory)
	if err != nil {
		return err
	}
	defer release()
	v.dummy.check(bounded(password))
	return ErrMismatch
}

// Check is CheckForm, which in addition accepts what AllowPlain allows.
func (v *Verifier) Check(stored string) error {
	_, err := parseStored(stored, v.AllowPlain)
	return err
}

// Forget drops what is remembered of an account: it was removed or locked. A
// changed stored string needs no Forget.
func (v *Verifier) Forget(account string) {
	v.once.Do(v.start)
	v.known.drop(account)
}

// acquire waits for as many slots as the memory asks for. A form larger than
// all of them together runs alone.
func (v *Verifier) acquire(ctx context.Context, memory uint32) (release func(), err error) {
	n := min(max(1, int64(memory+standard.memory-1)/int64(standard.memory)), v.total)
	if err := v.slots.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { v.slots.Release(n) }, nil
}

func bounded(password []byte) []byte { return password[:min(len(password), MaxPassword)] }
