package verify

import (
	"context"
	"sync"
	"time"
)

// patience is a context of questions about a client that ends after a time. Most mail is judged by what is remembered,
// and nobody waits for anything: no clock runs before somebody wants to know when to stop.
type patience struct {
	context.Context // of the session
	key             any
	until           time.Time

	once  sync.Once
	timed context.Context
	stop  context.CancelFunc
}

// patient is one for a caller. It has to be given up with over.
func (c caller) patient(ctx context.Context, d time.Duration) *patience {
	return &patience{Context: ctx, key: c.key, until: time.Now().Add(d)}
}

func (p *patience) clock() context.Context {
	p.once.Do(func() { p.timed, p.stop = context.WithDeadline(p.Context, p.until) })
	if p.timed == nil { // it was over before
		ctx, stop := context.WithCancel(p.Context)
		stop()
		return ctx
	}
	return p.timed
}

// over ends it, whether or not its clock has begun.
func (p *patience) over() {
	p.once.Do(func() {})
	if p.stop != nil {
		p.stop()
	}
}

// Deadline implements context.Context.
func (p *patience) Deadline() (time.Time, bool) {
	if at, ok := p.Context.Deadline(); ok && at.Before(p.until) {
		return at, true
	}
	return p.until, true
}

// Done implements context.Context.
func (p *patience) Done() <-chan struct{} { return p.clock().Done() }

// Err implements context.Context.
func (p *patience) Err() error { return p.clock().Err() }

// Value implements context.Context.
func (p *patience) Value(key any) any {
	if key == (clientKey{}) {
		return p.key
	}
	return p.Context.Value(key)
}
