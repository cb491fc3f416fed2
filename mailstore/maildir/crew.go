package maildir

import "sync"

// crew runs copiers beside each other, and adds up what they do.
type crew struct {
	sum   *copier
	slots chan struct{}
	wg    sync.WaitGroup
	mu    sync.Mutex // guards sum
}

func newCrew(sum *copier, size int) *crew {
	return &crew{sum: sum, slots: make(chan struct{}, size)}
}

// run waits for a free place and has do work there with a copier of its own.
func (w *crew) run(do func(*copier) error) {
	w.slots <- struct{}{}
	w.wg.Go(func() {
		defer func() { <-w.slots }()
		c := &copier{ctx: w.sum.ctx, c: w.sum.c, fs: w.sum.fs}
		if w.sum.progress != nil {
			c.progress = w.tell
		}
		w.join(c, do(c))
	})
}

// tell passes on what one copier has done, added to what all others had finished.
func (w *crew) tell(part Copied) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sum.progress(w.sum.sum.plus(part))
}

// join adds a copier that has ended to the sum.
func (w *crew) join(c *copier, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, why := range c.unread {
		_ = w.sum.unreadable(name, why)
	}
	c.sum.Failed = 0 // counted by name
	w.sum.sum = w.sum.sum.plus(c.sum)
	if w.sum.err == nil {
		w.sum.err = err
	}
}

func (w *crew) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sum.err != nil
}

// wait ends the crew and returns the first error.
func (w *crew) wait() error {
	w.wg.Wait()
	return w.sum.err
}

func (c Copied) plus(o Copied) Copied {
	return Copied{
		Mailboxes: c.Mailboxes + o.Mailboxes, Messages: c.Messages + o.Messages,
		Copied: c.Copied + o.Copied, Linked: c.Linked + o.Linked,
		Failed: c.Failed + o.Failed, Octets: c.Octets + o.Octets,
	}
}
