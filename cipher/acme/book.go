package acme

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// bookName is the document that says what the authority was asked for.
const bookName = "orders.json"

// book is what the authority was asked for and what came of it, and who may ask it now. A server that is alone keeps it to be patient also
// when it is started over and over; of several, each goes by what any of them has tried in vain.
type book struct {
	Lease     lease             `json:"lease,omitzero"`
	Directory string            `json:"directory,omitempty"` // of the account
	Account   string            `json:"account,omitempty"`   // its URI
	Names     map[string]*entry `json:"names"`
}

// lease is who may ask the authority, and until when unless he says again that he does: one server at a time does, and one that dies
// lets go by that.
type lease struct {
	By    string    `json:"by"`
	Until time.Time `json:"until"`
}

// entry is what is known of a name.
type entry struct {
	Certificate string        `json:"certificate,omitempty"` // which one is in force
	Asked       time.Time     `json:"asked,omitzero"`        // in vain, last
	Next        time.Time     `json:"next,omitzero"`         // not before
	Wait        time.Duration `json:"wait,omitempty"`        // that led to Next
	Problem     string        `json:"problem,omitempty"`     // of the authority
}

const (
	// leaseTime is how long a lease holds, and leaseAgain how often who has one says that he still asks.
	leaseTime  = time.Minute
	leaseAgain = leaseTime / 3
	// storeTime bounds what is asked of a store where nobody else does.
	storeTime = 15 * time.Second
)

// errBusy: another server asks the authority.
var errBusy = errors.New("acme: another server is asking the authority")

func readBook(text []byte) *book {
	b := new(book)
	if json.Unmarshal(text, b) != nil { // what cannot be read is not known
		b = new(book)
	}
	for name, e := range b.Names {
		if e == nil {
			delete(b.Names, name)
		}
	}
	if b.Names == nil {
		b.Names = make(map[string]*entry)
	}
	return b
}

// entry is that of a name, which is made where there is none.
func (b *book) entry(name string) *entry {
	e := b.Names[name]
	if e == nil {
		e = new(entry)
		b.Names[name] = e
	}
	return e
}

// amend changes the book, and knows it as it is then. What it is asked to do must be possible twice.
func (m *Manager) amend(ctx context.Context, change func(*book) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	text, err := m.store.Update(ctx, bookName, func(text []byte) ([]byte, error) {
		b := readBook(text)
		if err := change(b); err != nil {
			return nil, err
		}
		return json.Marshal(b)
	})
	if err == nil {
		m.know(readBook(text))
	}
	return err
}

// know goes by a book from now on. The account is written down here as well: who makes records of the DNS reads it without the others.
func (m *Manager) know(b *book) {
	m.mu.Lock()
	m.book = b
	m.mu.Unlock()
	if b.Account != "" && b.Directory == m.o.Directory {
		m.keepAccount(b.Account)
	}
}

// claim has this server alone ask the authority: until done, or until held ends because another may. The error is errBusy. A server that is
// alone needs no leave.
func (m *Manager) claim(ctx context.Context) (held context.Context, done func(), err error) {
	if m.o.Store == nil {
		return ctx, func() {}, nil
	}
	at := time.Now()
	by := rand.Text() // this one time: not even a life before of this server is the same
	if err := m.take(ctx, by, true); err != nil {
		return nil, nil, err
	}
	held, lose := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.keepLease(held, lose, by, at)
	}()
	return held, func() {
		lose(nil)
		<-ended
		m.amend(context.WithoutCancel(ctx), func(b *book) error { // else it ends by itself
			if b.Lease.By == by {
				b.Lease = lease{}
			}
			return nil
		})
	}, nil
}

// take takes the lease for a while; the first time, where nobody has it, else where it is still held.
func (m *Manager) take(ctx context.Context, by string, first bool) error {
	return m.amend(ctx, func(b *book) error {
		now := time.Now()
		if b.Lease.By != by && (!first || now.Before(b.Lease.Until)) {
			return errBusy
		}
		b.Lease = lease{by, now.Add(leaseTime)}
		return nil
	})
}

// keepLease says again and again that the lease is needed, until held ends. It loses it where another has taken it, or where nobody could be told
// for so long that one may have.
func (m *Manager) keepLease(held context.Context, lose context.CancelCauseFunc, by string, told time.Time) {
	every := time.NewTicker(leaseAgain)
	defer every.Stop()
	for {
		select {
		case <-held.Done():
			return
		case <-every.C:
		}
		at := time.Now()
		ctx, cancel := context.WithDeadline(held, told.Add(leaseTime-time.Second))
		err := m.take(ctx, by, false)
		cancel()
		switch {
		case err == nil:
			told = at
		case errors.Is(err, errBusy), time.Since(told) >= leaseTime-leaseAgain:
			lose(fmt.Errorf("acme: another server may be asking: %w", err))
			return
		}
	}
}
