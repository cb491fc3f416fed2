package verify

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// What strangers can have the DNS asked. Whom they name is their choice, and the servers of what they name
// may be theirs too, and answer late or never.

const (
	mostQuestions   = 700 // under way at a time for all of them; the queue's own need room beside these
	mostOfOne       = 64  // for one client's network
	mostEarly       = 100 // transactions of one network whose questions begin at MAIL, though no message follows
	earlyAgain      = 2 * time.Second
	mostEarlyCounts = 10_000
)

// bounds count what is under way. The zero value is ready.
type bounds struct {
	mu    sync.Mutex
	all   chan struct{}
	one   map[netip.Prefix]*questions
	spare []*questions // of nobody at the moment
	early map[netip.Prefix]early
}

type questions struct {
	block  netip.Prefix
	places chan struct{}
	n      int // that have a place or want one
}

// mostSpare is how many are kept for the next networks. A message asks some ten questions one after the other.
const mostSpare = 32

// early is how many transactions have been begun in vain.
type early struct {
	n    int
	last time.Time
}

// clientKey is where a context says for whom the DNS is asked.
type clientKey struct{}

// caller is for whom the DNS is asked: one who connects, or a network of them.
type caller struct {
	network netip.Prefix
	key     any // the same, for contexts: made once
}

func callerAt(a net.Addr) caller {
	network := lineserver.Block(a)
	return caller{network, network}
}

// context is one for questions about the client.
func (c caller) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, clientKey{}, c.key)
}

// enter waits for a place for one question of the context's client. leave gives it back.
func (b *bounds) enter(ctx context.Context) (*questions, error) {
	block, _ := ctx.Value(clientKey{}).(netip.Prefix)
	q := b.of(block)
	if err := place(ctx, q.places); err != nil {
		b.gone(q)
		return nil, err
	}
	if err := place(ctx, b.all); err != nil {
		<-q.places
		b.gone(q)
		return nil, err
	}
	return q, nil
}

func (b *bounds) leave(q *questions) {
	<-b.all
	<-q.places
	b.gone(q)
}

// of counts one more question of a network.
func (b *bounds) of(block netip.Prefix) *questions {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all, b.one = make(chan struct{}, mostQuestions), make(map[netip.Prefix]*questions)
	}
	q := b.one[block]
	if q == nil {
		if last := len(b.spare) - 1; last >= 0 {
			q, b.spare = b.spare[last], b.spare[:last]
		} else {
			q = &questions{places: make(chan struct{}, mostOfOne)}
		}
		q.block = block
		b.one[block] = q
	}
	q.n++
	return q
}

// gone counts one less.
func (b *bounds) gone(q *questions) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.n--; q.n > 0 {
		return
	}
	delete(b.one, q.block)
	if len(b.spare) < mostSpare {
		b.spare = append(b.spare, q)
	}
}

func place(ctx context.Context, places chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select { // as nearly always, and the context need not be waited for
	case places <- struct{}{}:
		return nil
	default:
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begins reports whether the questions of a client's transaction may begin at MAIL, and not when there
// is a message.
func (b *bounds) begins(block netip.Prefix) bool {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.early[block].at(now)
	if e.n >= mostEarly {
		return false
	}
	if b.early == nil {
		b.early = make(map[netip.Prefix]early)
	}
	if _, known := b.early[block]; !known && len(b.early) >= mostEarlyCounts {
		for other, o := range b.early {
			if o.at(now).n == 0 {
				delete(b.early, other)
			}
		}
		if len(b.early) >= mostEarlyCounts {
			return false
		}
	}
	e.n++
	b.early[block] = e
	return true
}

// at is what is left of the count by a time.
func (e early) at(now time.Time) early {
	gone := int(now.Sub(e.last) / earlyAgain)
	if gone >= e.n {
		return early{last: now}
	}
	return early{n: e.n - max(gone, 0), last: e.last.Add(time.Duration(max(gone, 0)) * earlyAgain)}
}

// came notes that a message followed.
func (b *bounds) came(block netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, known := b.early[block]; known && e.n > 1 {
		e.n--
		b.early[block] = e
	} else {
		delete(b.early, block)
	}
}

// bounded asks within the bounds. What is remembered is no question.
type bounded struct {
	Resolver
	memory  Resolver // nil: there is none
	*bounds          // nil: nobody is asked,
	missed  *bool    // and it is set where that would have been needed
}

// dns asks within what strangers may have asked.
func (v *Verifier) dns() Resolver {
	return bounded{Resolver: v.Resolver, memory: v.Memory, bounds: &v.bounds}
}

// recalling asks nobody, and sets missed where memory has no answer.
func (v *Verifier) recalling(missed *bool) Resolver { return bounded{memory: v.Memory, missed: missed} }

// answered reports whether an error, or none, is what the DNS says.
func answered(err error) bool { return err == nil || trouble(err) == "permerror" }

func within[T any](ctx context.Context, b bounded, ask func(Resolver) (T, error)) (none T, err error) {
	if b.memory != nil {
		if found, err := ask(b.memory); answered(err) {
			return found, err
		}
	}
	if b.bounds == nil {
		*b.missed = true
		return none, context.Canceled
	}
	q, err := b.enter(ctx)
	if err != nil {
		return none, err
	}
	defer b.leave(q)
	return ask(b.Resolver)
}

func (b bounded) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return within(ctx, b, func(r Resolver) ([]string, error) { return r.LookupTXT(ctx, name) })
}

func (b bounded) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return within(ctx, b, func(r Resolver) ([]netip.Addr, error) { return r.LookupNetIP(ctx, network, host) })
}

func (b bounded) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return within(ctx, b, func(r Resolver) ([]*net.MX, error) { return r.LookupMX(ctx, name) })
}

func (b bounded) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	return within(ctx, b, func(r Resolver) ([]string, error) { return r.LookupAddr(ctx, addr) })
}

func (b bounded) NameExists(ctx context.Context, name string) (bool, error) {
	return within(ctx, b, func(r Resolver) (bool, error) { return r.NameExists(ctx, name) })
}

// RememberedTXT implements dkim.Rememberer.
func (b bounded) RememberedTXT(name string) (texts []string, err error, known bool) {
	if b.memory == nil {
		return nil, nil, false
	}
	texts, err = b.memory.LookupTXT(context.Background(), name)
	return texts, err, answered(err)
}
