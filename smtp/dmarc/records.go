package dmarc

import "sync"

// Records keeps records by their texts: most mail comes from few domains, and to read a record costs more than to find it
// remembered. A record that changes is another text, so nothing here grows old. The zero value is empty. It may be used by any number
// of goroutines at a time.
type Records struct {
	mu         sync.Mutex
	young, old map[string]*Record
}

// generation is how many records are young. With as many old ones, and the longest texts, that is some 3 MB.
const generation = 256

// parse is Parse, from memory if it can be; nil for what is no record.
func (c *Records) parse(txt string) *Record {
	if c == nil || !IsRecord(txt) {
		r, _ := Parse(txt)
		return r
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.young[txt]
	if r == nil {
		r = c.old[txt]
	}
	if r != nil {
		return r
	}
	r, _ = Parse(txt)
	if len(c.young) >= generation {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[string]*Record)
	}
	c.young[txt] = r
	return r
}
