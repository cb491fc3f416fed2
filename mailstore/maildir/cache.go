package maildir

import "sync"

// listingCache bounds the listings kept in memory over all mailboxes, and lets
// go of those not used for longest.
type listingCache struct {
	max int // messages

	mu    sync.Mutex
	total int
	clock uint64
	held  map[*box]*cached
}

type cached struct {
	cost int
	used uint64
}

// overhead is what a listing costs beyond its messages, in messages.
const overhead = 8

func (c *listingCache) touch(b *box) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.held[b]; h != nil {
		c.clock++
		h.used = c.clock
	}
}

// put notes that b, whose mutex the caller holds, keeps a listing of n
// messages, and evicts others if that is too much.
func (c *listingCache) put(b *box, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make(map[*box]*cached)
	}
	if h := c.held[b]; h != nil {
		c.total -= h.cost
	}
	c.clock++
	c.held[b] = &cached{cost: n + overhead, used: c.clock}
	c.total += n + overhead
	for c.total > c.max {
		if !c.evict(b) {
			return
		}
	}
}

// evict drops the oldest listing but keep's. A box that is busy is being used
// and stays. The search is linear; it happens once per listing read beyond the
// bound, which costs far more.
func (c *listingCache) evict(keep *box) bool {
	var oldest *box
	for b, h := range c.held {
		if b != keep && (oldest == nil || h.used < c.held[oldest].used) {
			oldest = b
		}
	}
	if oldest == nil {
		return false
	}
	if !oldest.mu.TryLock() {
		c.held[oldest].used = c.clock
		return false
	}
	oldest.list, oldest.ids = nil, nil
	oldest.mu.Unlock()
	c.total -= c.held[oldest].cost
	delete(c.held, oldest)
	return true
}
