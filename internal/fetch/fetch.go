package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/pop3"
)

// Account is a maildrop on another server, and the mailbox its mail is to be in.
type Account struct {
	Login, Password string
	Server          string // "host:port"
	Address         string // the mailbox here
}

// String names the account, without its password.
func (a *Account) String() string { return a.Address + " (" + a.Login + " at " + a.Server + ")" }

// Fetcher takes over maildrops. Its fields must not change while it is in use.
type Fetcher struct {
	Store mailstore.Store
	// Dialer says how to connect. User and Password are each account's own.
	Dialer pop3.Dialer
	// State is the folder that says what has come already. It is made.
	State string
	// AtOnce is how many maildrops are fetched at once; 0 means 4. Two that go into one mailbox
	// take turns.
	AtOnce int
	// Delete removes there what is on stable storage here.
	Delete bool
	// MaxMessage is how large a message may be, in octets; a larger one is named, and not even read where it has an id. 0 means any size.
	MaxMessage int64
	// Tries is how many connections in a row may bring nothing new before a maildrop is given up;
	// 0 means 5.
	Tries int
	// Pause is the wait before the n-th try, n from 1; nil means a second, doubled up to a minute.
	Pause func(n int) time.Duration
	// Progress is told now and then how far an account has come; may be nil. It is called
	// by several goroutines at once.
	Progress func(Result)
}

// Result is what became of one account.
type Result struct {
	Account *Account
	Listed  int   // messages in the other server's list
	Done    int64 // that came
	There   int64 // that had come already
	Removed int   // that were removed there
	Octets  int64 // of those that came
	// Notes say what is odd about the other server, Failed which messages could not be taken, by
	// name and with the reason.
	Notes, Failed []string
	// Err is why the account is not done.
	Err error
}

// Complete reports whether everything that the other server lists is here, under its own id.
func (r *Result) Complete() bool { return r.Err == nil && len(r.Failed) == 0 }

// All fetches every account, some at once, and gives the results in the order of the accounts.
// Each is told to done, which may be nil, as soon as it is known, one at a time.
func (f *Fetcher) All(ctx context.Context, accounts []Account, done func(Result)) []Result {
	results := make([]Result, len(accounts))
	var wg sync.WaitGroup
	var mu sync.Mutex // guards done
	boxes := make(map[string]*sync.Mutex)
	for i := range accounts {
		boxes[accounts[i].Address] = new(sync.Mutex)
	}
	slots := make(chan struct{}, max(1, orDefault(f.AtOnce, 4)))
	for i := range accounts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			box := boxes[accounts[i].Address]
			box.Lock()
			results[i] = f.One(ctx, &accounts[i])
			box.Unlock()
			if done != nil {
				mu.Lock()
				defer mu.Unlock()
				done(results[i])
			}
		})
	}
	wg.Wait()
	return results
}

func orDefault(n, usual int) int {
	if n <= 0 {
		return usual
	}
	return n
}

// One fetches one account.
func (f *Fetcher) One(ctx context.Context, a *Account) Result {
	t := &taking{Fetcher: f, a: a, sum: Result{Account: a}, failed: make(map[string]string), noted: make(map[string]bool)}
	s, err := openState(f.State, a)
	if err != nil {
		t.sum.Err = err
		return t.sum
	}
	t.state = s
	t.sum.Err = t.run(ctx)
	if err := s.close(); t.sum.Err == nil {
		t.sum.Err = err
	}
	for _, name := range t.order {
		if why := t.failed[name]; why != "" {
			t.sum.Failed = append(t.sum.Failed, name+": "+why)
		}
	}
	return t.sum
}

// taking is one account being fetched.
type taking struct {
	*Fetcher
	a     *Account
	state *state

	mu     sync.Mutex
	sum    Result
	failed map[string]string // why, by the message's name; empty: it came after all
	order  []string          // of the names
	noted  map[string]bool
}

// run connects until all has come, or there is no more progress.
func (t *taking) run(ctx context.Context) error {
	for n, tries := 0, orDefault(t.Tries, 5); ; {
		had := t.sum.Done
		err := t.session(ctx)
		if err == nil || ctx.Err() != nil || !worthRetrying(err) {
			return err
		}
		if n++; t.sum.Done > had {
			n = 1
		}
		if n >= tries {
			return err
		}
		select {
		case <-time.After(t.pause(n)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *taking) pause(n int) time.Duration {
	if t.Pause != nil {
		return t.Pause(n)
	}
	return min(time.Second<<(n-1), time.Minute)
}

// permanent is an error that another try will not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// worthRetrying: a connection that broke, a maildrop that is in use there or here, a server that
// asks for patience. A refused login is none, as guesses lock accounts, nor is a certificate that is not believed.
func worthRetrying(err error) bool {
	var never permanent
	var refused *pop3.Error
	var unverified *tls.CertificateVerificationError
	var unknown *net.DNSError
	switch {
	case errors.As(err, &never), errors.As(err, &unverified), errors.As(err, &unknown) && unknown.IsNotFound:
		return false
	case errors.Is(err, pop3.ErrInUse), errors.Is(err, pop3.ErrLoginDelay), errors.Is(err, pop3.ErrTemporary), errors.Is(err, mailstore.ErrLocked):
		return true
	case errors.As(err, &refused), errors.Is(err, pop3.ErrCleartext), errors.Is(err, mailstore.ErrNoSpace), errors.Is(err, mailstore.ErrPoisoned):
		return false
	}
	return true
}

// session is one connection: what it lists and has not come is fetched.
func (t *taking) session(ctx context.Context) error {
	d := t.Dialer
	d.User, d.Password = t.a.Login, t.a.Password
	c, err := d.Dial(ctx, t.a.Server)
	if err != nil {
		return explained(err)
	}
	defer c.Close()
	all, err := t.list(ctx, c)
	if err != nil {
		return err
	}
	want, known, pool := t.missing(all)
	t.count(func(r *Result) { r.Listed, r.There = len(all), int64(len(all)-len(want))-r.Done })
	src := newSource(ctx, c, t.state, want, pool, nameOf)
	if t.Delete {
		src.stored = make(map[int]record)
	}
	defer src.Close()
	if err := t.take(ctx, src); err != nil {
		return err
	}
	if src.changed > 0 {
		return permanent{fmt.Errorf("%d messages have other unique ids than when they came: they are here under those of then", src.changed)}
	}
	if t.Delete {
		for number, r := range known {
			src.stored[number] = r
		}
		return t.remove(ctx, c, src.stored)
	}
	_ = c.Quit(ctx) // nothing depends on it
	return nil
}

// explained says what to do about an error that is a setting's.
func explained(err error) error {
	if errors.Is(err, pop3.ErrCleartext) {
		return fmt.Errorf("%w, and the server offers no TLS", err)
	}
	return err
}

// list asks for numbers, sizes and ids. An id that two messages have is none.
func (t *taking) list(ctx context.Context, c *pop3.Client) ([]listed, error) {
	sizes, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]listed, len(sizes))
	var at map[int]int // where numbers are not those of the places, as almost everywhere
	for i, m := range sizes {
		all[i] = listed{number: m.Number, size: m.Size}
		if m.Number != i+1 && at == nil {
			at = make(map[int]int, len(sizes))
		}
	}
	for i, m := range sizes {
		if at != nil {
			at[m.Number] = i
		}
	}
	ids, err := c.UIDL(ctx)
	var refused *pop3.Error
	if errors.As(err, &refused) && !worthRetrying(err) {
		t.note("the server has no unique ids (%v): each run reads all messages again, and clients that leave mail on the server will do so once", refused.Text)
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	times := make(map[sum]int32, len(ids))
	for _, m := range ids {
		times[sumOf(m.UID)]++
	}
	doubled := 0
	for _, m := range ids {
		i, ok := at[m.Number]
		if at == nil {
			i, ok = m.Number-1, m.Number <= len(all)
		}
		switch {
		case !ok:
			return nil, permanent{fmt.Errorf("%w: UIDL has a message %d that LIST has not", pop3.ErrMalformed, m.Number)}
		case times[sumOf(m.UID)] > 1:
			doubled++
		default:
			all[i].uid = m.UID
		}
	}
	if doubled > 0 {
		t.note("%d messages share their unique ids with others: they get new ones, and are read again in each run", doubled)
	}
	return all, nil
}

// missing are the messages that have not come, as far as their ids tell; known are those
// that have, by number, and pool what came under ids that are not in the list.
func (t *taking) missing(all []listed) (want []listed, known map[int]record, pool map[sum]int) {
	there := make(map[sum]bool) // of those that have come
	if t.Delete {
		known = make(map[int]record)
	}
	var latest int64
	gap := 0 // where in want those begin that stand behind the last one that has come
	for _, l := range all {
		// What has no id has to be read all the same, to know whether it has come.
		l.after, l.large = latest, t.MaxMessage > 0 && l.size > t.MaxMessage && l.uid != ""
		if l.uid == "" {
			want = append(want, l)
			continue
		}
		id := sumOf(l.uid)
		message, came := t.state.byID[id]
		if !came {
			want = append(want, l)
			continue
		}
		there[id] = true
		latest = max(latest, message.micros)
		for ; gap < len(want); gap++ {
			want[gap].before = latest
		}
		if t.Delete {
			known[l.number] = record{sum: message.sum, uid: l.uid}
		}
	}
	return want, known, t.state.pool(there)
}

// nameOf names a message for people.
func nameOf(l listed) string {
	if l.uid == "" {
		return fmt.Sprintf("message %d", l.number)
	}
	return fmt.Sprintf("message %d (%s)", l.number, shortened(l.uid, mostName))
}

// take puts messages into the mailbox, and returns when they are on stable storage and
// written down.
func (t *taking) take(ctx context.Context, src *source) error {
	was := t.sum
	stats, err := archive.Import(ctx, t.Store, t.a.Address, src, archive.Options{
		MaxMessage: t.MaxMessage,
		Progress: func(s archive.Stats) {
			t.count(func(r *Result) { r.Done, r.Octets = was.Done+s.Done, was.Octets+s.Octets })
		},
		Problem: func(name string, err error) {
			if !errors.Is(err, errBroken) {
				t.fail(name, err.Error())
			}
		},
		Stored: func(m *archive.Message) {
			renamed := src.storedOne(m)
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.failed[m.Name] != "" {
				t.failed[m.Name] = ""
			}
			if renamed {
				t.failLocked(m.Name, "another message here has its id; it came under "+m.UID)
			}
		},
	})
	t.count(func(r *Result) {
		r.There = min(r.There+stats.Skipped+src.passed, int64(r.Listed)-r.Done)
	})
	if serr := t.state.sync(); err == nil {
		err = serr
	}
	if src.err != nil {
		return permanent{src.err}
	}
	if src.broken != nil && ctx.Err() == nil {
		return src.broken
	}
	return err
}

// remove removes messages there. What is gone is known only when QUIT was answered.
func (t *taking) remove(ctx context.Context, c *pop3.Client, stored map[int]record) error {
	numbers := make([]int, 0, len(stored))
	for number := range stored {
		numbers = append(numbers, number)
	}
	if len(numbers) == 0 {
		return c.Quit(ctx)
	}
	slices.Sort(numbers)
	if err := c.DeleAll(ctx, numbers); err != nil {
		return fmt.Errorf("remove there: %w", err)
	}
	if err := c.Quit(ctx); err != nil {
		return fmt.Errorf("remove there: %w", err)
	}
	for _, number := range numbers {
		if err := t.state.gone(stored[number]); err != nil {
			return permanent{err}
		}
	}
	t.count(func(r *Result) { r.Removed += len(numbers) })
	return nil
}

func (t *taking) count(change func(*Result)) {
	t.mu.Lock()
	change(&t.sum)
	now := t.sum
	t.mu.Unlock()
	if t.Progress != nil {
		t.Progress(now)
	}
}

func (t *taking) note(format string, args ...any) {
	if !t.noted[format] {
		t.noted[format] = true
		t.sum.Notes = append(t.sum.Notes, fmt.Sprintf(format, args...))
	}
}

func (t *taking) fail(name, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failLocked(name, why)
}

func (t *taking) failLocked(name, why string) {
	if _, ok := t.failed[name]; !ok {
		t.order = append(t.order, name)
	}
	t.failed[name] = shortened(strings.TrimPrefix(why, "pop3: "), mostWhy)
}

// What a server says is shown by its beginning: it may have as many messages as it wants to, and refuse each with a line of 12 kB.
const (
	mostWhy  = 300
	mostName = 80
)

func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
