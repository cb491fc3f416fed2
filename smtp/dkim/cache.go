package dkim

import "sync"

// keyCache keeps keys by the text of their records: reading one costs a fraction of a
// verification, and most mail comes from few domains. A record that changes is another
// text, so nothing here grows old. The zero value is empty.
type keyCache struct {
	mu         sync.Mutex
	young, old map[string]parsedKey
}

type parsedKey struct {
	key   *Key
	wrong outcome
}

// generation is how many keys are young. With as many old ones, and the longest records,
// the cache has less than 3 MB.
const generation = 256

// parse is parseKey, from memory if it can be.
func (c *keyCache) parse(record string) (*Key, outcome) {
	if len(record) > maxRecord {
		return parseKey(record)
	}
	c.mu.Lock()
	p, known := c.young[record]
	if !known {
		p, known = c.old[record]
	}
	c.mu.Unlock()
	if known {
		return p.key, p.wrong
	}
	p.key, p.wrong = parseKey(record)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= generation {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[string]parsedKey)
	}
	c.young[record] = p
	return p.key, p.wrong
}
