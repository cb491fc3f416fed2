package sink

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Limits bound what a Box keeps. Whatever is reached first, the oldest messages leave. In
// every field 0 means no limit.
type Limits struct {
	Messages int
	Octets   int64 // of the messages and of what is kept to search them
	Age      time.Duration
}

// ErrNotFound says that there is no such message.
var ErrNotFound = errors.New("message not found")

// ErrTooLarge refuses a message that no limit would leave in the Box.
var ErrTooLarge = errors.New("message is larger than all that is kept")

// Box holds the messages. Its methods may be called concurrently; the messages
// they return are copies, whose lists of addresses and defects must not be changed in place.
type Box struct {
	limits Limits
	by     Sorting
	keep   keeper
	begun  time.Time

	mu      sync.RWMutex
	all     []*Message // oldest first
	byID    map[string]*Message
	inboxes map[string][]*Message // oldest first
	made    map[string]*Made
	octets  int64
	serial  uint64
	counts  Counts
	stuck   []*Message    // gone, but their files are still there
	changed chan struct{} // closed and replaced with every change
	watch   watchers
}

// Counts are what happened since the start.
type Counts struct {
	Accepted, AcceptedOctets  uint64
	Rejected, Ignored         uint64
	Deleted                   uint64
	ByNumber, ByOctets, ByAge uint64 // dropped by each limit
}

// keeper keeps the octets of messages and what is known of them over a restart.
type keeper interface {
	// put keeps a message; nil means that it is kept for good.
	put(ctx context.Context, m *Message, raw []byte) error
	// octets gives them back.
	octets(m *Message) ([]byte, error)
	// remove forgets messages.
	remove(ms []*Message) error
	// noteRules keeps the rules that were set for inboxes.
	noteRules(texts map[string]string) error
	// noteMade keeps the inboxes that were made.
	noteMade(made map[string]*Made) error
	// where names the place.
	where() string
	// note keeps what Mark has changed.
	note(ms []*Message) error
}

// NewBox makes an empty Box that keeps its messages in memory.
func NewBox(l Limits, by Sorting) *Box {
	return &Box{
		limits: l, by: by, keep: memory{}, begun: time.Now(),
		byID: make(map[string]*Message), inboxes: make(map[string][]*Message), made: make(map[string]*Made),
		changed: make(chan struct{}),
	}
}

// memory keeps nothing but what the Message itself has.
type memory struct{}

func (memory) put(_ context.Context, m *Message, raw []byte) error { m.raw = raw; return nil }
func (memory) octets(m *Message) ([]byte, error)                   { return m.raw, nil }
func (memory) remove([]*Message) error                             { return nil }
func (memory) noteRules(map[string]string) error                   { return nil }
func (memory) noteMade(map[string]*Made) error                     { return nil }
func (memory) where() string                                       { return "memory" }
func (memory) note([]*Message) error                               { return nil }

// NewID is a new message's id: 22 letters and digits, too many to be guessed.
func NewID() string {
	return rand.Text()[:22]
}

// Put takes a message, with tags beside its own. It returns once it is kept: on stable
// storage, where there is a folder.
func (b *Box) Put(ctx context.Context, id string, e Envelope, raw []byte, tags ...string) error {
	m := newMessage(id, e, raw)
	m.Tags = cleanTags(append(m.Tags, tags...))
	b.mu.RLock()
	m.Inboxes = b.sort(m, raw)
	b.mu.RUnlock()
	if m.cost = m.weigh(); b.limits.Octets > 0 && m.cost > b.limits.Octets {
		return ErrTooLarge
	}
	if err := b.keep.put(ctx, m, raw); err != nil {
		return err
	}
	b.mu.Lock()
	b.insert(m, time.Now())
	b.counts.Accepted++
	b.counts.AcceptedOctets += uint64(m.Size)
	gone := b.overflow(time.Now())
	told := b.copied(m)
	b.happened(Event{Kind: Arrived, ID: m.ID, Message: &told, inboxes: told.Inboxes})
	b.tellGone(gone)
	b.mu.Unlock()
	// The message is kept, whatever becomes of those that left for it.
	b.dispose(gone)
	return nil
}

// dispose removes what limits have dropped. What cannot be removed is kept for Expire, which
// tries again and says why.
func (b *Box) dispose(gone []*Message) error {
	b.mu.Lock()
	gone = append(b.stuck, gone...)
	b.stuck = nil
	b.mu.Unlock()
	err := b.keep.remove(gone)
	if err != nil {
		b.mu.Lock()
		for _, m := range gone {
			b.stuck = append(b.stuck, &Message{ID: m.ID})
		}
		b.mu.Unlock()
	}
	return err
}

// insert puts a message at the end of its lists. Its mark is the time, so that marks are
// in order over a restart too; in microseconds, which a script's numbers can hold.
func (b *Box) insert(m *Message, at time.Time) {
	b.serial = max(b.serial+1, uint64(max(0, at.UnixMicro())))
	m.serial = b.serial
	b.all = append(b.all, m)
	b.byID[m.ID] = m
	for _, name := range m.Inboxes {
		b.inboxes[name] = append(b.inboxes[name], m)
	}
	b.octets += m.cost
}

// overflow takes out what the limits no longer hold.
func (b *Box) overflow(now time.Time) (gone []*Message) {
	for len(b.all) > 0 {
		oldest := b.all[0]
		switch {
		case b.limits.Messages > 0 && len(b.all) > b.limits.Messages:
			b.counts.ByNumber++
		case b.limits.Octets > 0 && b.octets > b.limits.Octets:
			b.counts.ByOctets++
		case b.limits.Age > 0 && now.Sub(oldest.Received) > b.limits.Age:
			b.counts.ByAge++
		default:
			return gone
		}
		b.takeOut(oldest)
		gone = append(gone, oldest)
	}
	return gone
}

// Expire drops what has become too old. An error says that files of messages which are gone, now or
// earlier, could not be removed; the next call tries again.
func (b *Box) Expire(now time.Time) error {
	b.mu.Lock()
	gone := b.overflow(now)
	b.tellGone(gone)
	b.mu.Unlock()
	return b.dispose(gone)
}

// takeOut takes one message out of every list.
func (b *Box) takeOut(m *Message) {
	b.all = without(b.all, m)
	delete(b.byID, m.ID)
	for _, name := range m.Inboxes {
		b.shrink(name, m)
	}
	b.octets -= m.cost
}

// shrink takes a message out of an inbox. One that is empty, and that nobody made, is
// no longer there.
func (b *Box) shrink(inbox string, m *Message) {
	left := without(b.inboxes[inbox], m)
	if len(left) == 0 {
		delete(b.inboxes, inbox)
		return
	}
	b.inboxes[inbox] = left
}

// without is a list, in the order of arrival, without one of its messages. The first
// leaves without the others being moved: that is what limits do.
func without(list []*Message, m *Message) []*Message {
	i, found := slices.BinarySearchFunc(list, m.serial, func(o *Message, serial uint64) int { return cmp.Compare(o.serial, serial) })
	switch {
	case !found:
		return list
	case i == 0:
		list[0] = nil
		return list[1:]
	}
	return slices.Delete(list, i, i+1)
}

// tellGone tells the watchers of messages that were dropped by a limit.
func (b *Box) tellGone(gone []*Message) {
	for _, m := range gone {
		b.happened(Event{Kind: Removed, ID: m.ID, inboxes: m.Inboxes})
	}
}

// list is what an inbox holds, oldest first; "" is every message.
func (b *Box) list(inbox string) []*Message {
	if inbox == "" {
		return b.all
	}
	return b.inboxes[inbox]
}

// find is one message of an inbox.
func (b *Box) find(inbox, id string) (*Message, error) {
	m := b.byID[id]
	if m == nil || inbox != "" && !slices.Contains(m.Inboxes, inbox) {
		return nil, ErrNotFound
	}
	return m, nil
}

// copied is a message as it is at this moment, without its octets: who keeps a copy for long,
// such as a watcher that does not read, must not keep what the limits have dropped.
func (b *Box) copied(m *Message) Message {
	c := *m
	c.raw, c.searched = nil, searched{}
	c.Inboxes, c.Tags = slices.Clip(m.Inboxes), slices.Clip(m.Tags) // both are replaced, never changed
	c.Envelope.To, c.To, c.Cc, c.Bcc, c.ReplyTo, c.Defects = slices.Clip(c.Envelope.To), slices.Clip(c.To), slices.Clip(c.Cc), slices.Clip(c.Bcc), slices.Clip(c.ReplyTo), slices.Clip(c.Defects)
	return c
}

// Get is one message of an inbox, by its id.
func (b *Box) Get(inbox, id string) (Message, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m, err := b.find(inbox, id)
	if err != nil {
		return Message{}, err
	}
	return b.copied(m), nil
}

// Octets are those of a message, as it was sent. They must not be changed.
func (b *Box) Octets(inbox, id string) ([]byte, error) {
	b.mu.RLock()
	m, err := b.find(inbox, id)
	b.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	return b.keep.octets(m)
}

// Query says which messages of an inbox are meant.
type Query struct {
	Inbox  string  // "" is all of them
	Search *Search // nil: all
	Before time.Time
	Start  int // how many of the newest to leave out
	Limit  int // at most so many; negative: all
}

// Page is a part of a list, the newest first.
type Page struct {
	Total, Unread          int // of the inbox
	Matched, MatchedUnread int
	Tags                   []string // of the inbox
	Messages               []Message
}

// Find lists messages, the newest first.
func (b *Box) Find(q Query) Page {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := b.list(q.Inbox)
	p := Page{Total: len(list), Tags: tagNames(list), Messages: []Message{}}
	chosen := b.choose(&q, list)
	for i, m := range slices.Backward(list) {
		if !m.Read {
			p.Unread++
		}
		if chosen != nil && !chosen[i] {
			continue
		}
		if p.Matched >= q.Start && (q.Limit < 0 || len(p.Messages) < q.Limit) {
			p.Messages = append(p.Messages, b.copied(m))
		}
		p.Matched++
		if !m.Read {
			p.MatchedUnread++
		}
	}
	return p
}

// searchedTogether is how many messages one goroutine looks through, at least.
const searchedTogether = 5000

// choose says of each message of a list whether it is meant; nil: all are. Long lists are looked through by several at once.
func (b *Box) choose(q *Query, list []*Message) []bool {
	if q.Search == nil && q.Before.IsZero() {
		return nil
	}
	chosen := make([]bool, len(list))
	part := max(searchedTogether, (len(list)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var wait sync.WaitGroup
	for begin := 0; begin < len(list); begin += part {
		wait.Go(func() {
			for i := begin; i < min(begin+part, len(list)); i++ {
				chosen[i] = (q.Before.IsZero() || list[i].Received.Before(q.Before)) && b.matches(q.Search, list[i])
			}
		})
	}
	wait.Wait()
	return chosen
}

// matches reads the octets of a message for those searches that need them.
func (b *Box) matches(s *Search, m *Message) bool {
	return s.match(m, func() []byte {
		raw, _ := b.keep.octets(m) // one that cannot be read has no header that could match
		return raw
	})
}

// After lists messages of an inbox, the oldest first, behind a mark: that of an
// earlier page, or 0. What arrives meanwhile stands behind, so that each message
// comes exactly once.
func (b *Box) After(inbox string, mark uint64, limit int) (page []Message, next uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := b.list(inbox)
	i, _ := slices.BinarySearchFunc(list, mark+1, func(m *Message, serial uint64) int { return cmp.Compare(m.serial, serial) })
	page, next = []Message{}, mark
	for _, m := range list[i:] {
		if len(page) == limit {
			break
		}
		page, next = append(page, b.copied(m)), m.serial
	}
	return page, next
}

// Newest is the newest message of an inbox that the search finds; nil finds all. ErrNotFound says that there is none.
func (b *Box) Newest(inbox string, s *Search) (Message, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, m := range slices.Backward(b.list(inbox)) {
		if b.matches(s, m) {
			return b.copied(m), nil
		}
	}
	return Message{}, ErrNotFound
}

// Totals are how many messages an inbox has, and how many of them were not read.
func (b *Box) Totals(inbox string) (total, unread int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := b.list(inbox)
	for _, m := range list {
		if !m.Read {
			unread++
		}
	}
	return len(list), unread
}

// Tags are those of all messages in an inbox, each once, and how many have it.
func (b *Box) Tags(inbox string) map[string]int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return tagsIn(b.list(inbox))
}

func tagsIn(list []*Message) map[string]int {
	counts := make(map[string]int)
	for _, m := range list {
		for _, t := range m.Tags {
			counts[t]++
		}
	}
	return counts
}

// tagNames are the tags of messages in their order; never nil.
func tagNames(list []*Message) []string {
	tags := tagsIn(list)
	names := slices.AppendSeq(make([]string, 0, len(tags)), maps.Keys(tags))
	slices.Sort(names)
	return names
}

// Counts are what happened since the start, which is told too, and the octets that
// are kept.
func (b *Box) Counts() (c Counts, kept int64, begun time.Time) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.counts, b.octets, b.begun
}

// Refuse counts a message, or an attempt at one, that was refused.
func (b *Box) Refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.Rejected++
}

// Ignore counts a message that was accepted and thrown away.
func (b *Box) Ignore() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.Ignored++
}

// Where names the place where messages are: "memory", or the folder.
func (b *Box) Where() string { return b.keep.where() }
