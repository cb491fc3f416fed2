package relay

import (
	"context"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// conn is a connection on which messages can be sent.
type conn struct {
	*smtp.Client
	t        target
	d        demand
	key      string
	tls      string // as in queue.Result.TLS
	verified bool
	sent     int // messages

	timer *time.Timer // while in the pool
}

// maxIdle is the most that are kept, whoever they lead to: strangers choose how
// many destinations there are.
const maxIdle = 256

// pool keeps connections for the next message to the same destination. The
// newest is taken first: the others get to end.
type pool struct {
	mu     sync.Mutex
	idle   map[string][]*conn
	n      int // of them
	closed bool
	quits  sync.WaitGroup
}

// take returns a connection that was kept, or nil.
func (p *pool) take(key string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		conns := p.idle[key]
		if len(conns) == 0 {
			return nil
		}
		c := conns[len(conns)-1]
		p.remove(key, len(conns)-1)
		switch {
		case !c.timer.Stop():
			p.quit(c) // its time was up just now, and who ends it finds it no more
		case c.Usable():
			return c
		}
	}
}

// remove takes the i-th connection out. p.mu is held.
func (p *pool) remove(key string, i int) {
	conns := p.idle[key]
	conns = append(conns[:i:i], conns[i+1:]...)
	p.n--
	if len(conns) == 0 {
		delete(p.idle, key)
		return
	}
	p.idle[key] = conns
}

// put keeps a connection for a while.
func (p *pool) put(c *conn, keep time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.n >= maxIdle {
		p.quit(c)
		return
	}
	if p.idle == nil {
		p.idle = make(map[string][]*conn)
	}
	c.timer = time.AfterFunc(keep, func() { p.expire(c) })
	p.idle[c.key] = append(p.idle[c.key], c)
	p.n++
}

func (p *pool) expire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.idle[c.key] {
		if other == c {
			p.remove(c.key, i)
			p.quit(c)
			return
		}
	}
}

// quit says goodbye without keeping anybody waiting. p.mu is held, or the pool
// is not concerned.
func (p *pool) quit(c *conn) {
	p.quits.Add(1)
	go func() {
		defer p.quits.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.Quit(ctx) // nothing depends on it
	}()
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, conns := range p.idle {
		for _, c := range conns {
			c.timer.Stop() // where it is too late, there is nothing to be found any more
			p.quit(c)
		}
	}
	p.idle, p.n = nil, 0
	p.mu.Unlock()
	p.quits.Wait()
}
