package resolver

import (
	"container/list"
	"time"

	"github.com/miekg/dns"
)

// cache keeps results until they expire or there is no room. It has two parts, each in
// the order of use. What is new is in the first, and moves on to the second when it
// is asked for again; the second may take four fifths of the room, and what it has no room for
// goes back to the first. So names that are asked for once, of which strangers may bring any number,
// push out one another and nothing that is in use.
type cache struct {
	maxEntries int
	maxOctets  int64
	counts     *counts

	items     map[question]*list.Element
	probation part
	protected part
}

type part struct {
	list   list.List // of *entry, the one used last in front
	octets int64
}

type entry struct {
	key       question
	result    *result
	size      int64
	protected bool // which part it is in
}

// overhead is about what an entry takes besides its records, the list's and the map's share included; measured.
const overhead = 480

// largest is the part of the room that one entry may take: a stranger's names can have
// answers of any length.
const largest = 64

func (c *cache) len() int      { return len(c.items) }
func (c *cache) octets() int64 { return c.probation.octets + c.protected.octets }

func (c *cache) part(e *entry) *part {
	if e.protected {
		return &c.protected
	}
	return &c.probation
}

func (c *cache) get(q question, now time.Time) *result {
	el := c.items[q]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry)
	if !now.Before(e.result.expires) {
		c.remove(el)
		return nil
	}
	if e.protected {
		c.protected.list.MoveToFront(el)
		return e.result
	}
	c.move(el, true)
	for c.protected.octets > c.maxOctets/5*4 || c.protected.list.Len() > c.maxEntries/5*4 {
		c.move(c.protected.list.Back(), false)
	}
	return e.result
}

// move takes an entry to the front of the other part.
func (c *cache) move(el *list.Element, protected bool) {
	e := el.Value.(*entry)
	from := c.part(e)
	from.list.Remove(el)
	from.octets -= e.size
	e.protected = protected
	to := c.part(e)
	to.octets += e.size
	c.items[e.key] = to.list.PushFront(e)
}

// put keeps a result for as long as its kind allows.
func (c *cache) put(q question, res *result, now time.Time) {
	keep := res.keep()
	e := &entry{key: q, result: res, size: overhead + int64(len(q.name)) + res.size()}
	if el := c.items[q]; el != nil {
		e.protected = el.Value.(*entry).protected
		c.remove(el)
	}
	if keep <= 0 || e.size > max(c.maxOctets/largest, 4*overhead) {
		return
	}
	res.at, res.expires = now, now.Add(keep)
	if c.items == nil {
		c.items = make(map[question]*list.Element)
	}
	p := c.part(e)
	c.items[q] = p.list.PushFront(e)
	p.octets += e.size
	for c.octets() > c.maxOctets || c.len() > c.maxEntries {
		oldest := c.probation.list.Back()
		if oldest == nil {
			oldest = c.protected.list.Back()
		}
		if now.Before(oldest.Value.(*entry).result.expires) {
			c.counts.evicted.Add(1)
		}
		c.remove(oldest)
	}
}

func (c *cache) remove(el *list.Element) {
	e := el.Value.(*entry)
	p := c.part(e)
	p.list.Remove(el)
	p.octets -= e.size
	delete(c.items, e.key)
}

// knows looks whether anything that is remembered says that a name exists, or not.
func (u *upstream) knows(name string) (exists, known bool) {
	if u.direct {
		return false, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	for _, qtype := range []uint16{dns.TypeTXT, dns.TypeMX, dns.TypeA, dns.TypeAAAA} {
		if res := u.cached(question{name: name, qtype: qtype}, now); res != nil && res.state != failed {
			return res.state != noName, true
		}
	}
	return false, false
}
