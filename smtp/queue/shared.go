package queue

import (
	"context"
	"iter"
	"time"
)

// Shared is a Spool that the queues of several processes (nodes) have open at once. An entry is worked on by the one node that
// has a claim to it: a number that grows with each claim, and an end that is put off while the node lives. A Queue on a Shared
// keeps in memory only what it has claimed.
//
// Save and Remove of an entry, and Open, hold only under this node's claim: where another node has made one since, they change
// nothing and return an error that is ErrNotFound; to this node the entry is gone. Commit of a new entry claims it, and may be who says
// ErrExists in place of Begin.
type Shared interface {
	Spool

	// Claim gives this node at most n entries that are due and that nobody has, those first that have been due longest.
	Claim(ctx context.Context, n int) ([]Claimed, error)

	// Take claims one entry, due or not. ErrBusy if another node has it, or this one.
	Take(ctx context.Context, id string) (*Claimed, error)

	// Release gives an entry back that this node has claimed; it is due again after wait, or only when somebody asks for it
	// where wait is negative. fresh: the first attempt was written down and not made. It does not wait for the database: a
	// release that is lost ends with the claim.
	Release(id string, wait time.Duration, fresh bool)

	// Ask leaves orders for those who have the entries, and makes entries due that nobody has. Claim, Take, Load and Look return
	// states in which all orders are obeyed, and the next Save strikes those off. It returns how many of the entries are there.
	Ask(ctx context.Context, all ...Asked) (int, error)

	// News are the claims of this node that were lost, and orders for entries that it has; each is told once. When an order is
	// obeyed in memory, Heard says that the next Save is to strike off so many.
	News(ctx context.Context) (News, error)
	Heard(id string, orders int)

	// Discard removes an entry, whoever has it. ErrNotFound if it is not there.
	Discard(ctx context.Context, id string) error

	// Look is Load of at most n entries in the order of age. What cannot be read is passed over.
	Look(ctx context.Context, n int, which Which) ([]Looked, error)

	// Oldest are the places of at most n entries in the order of age, and Find the ids of those that a session brought or one of
	// its transactions did, in that order.
	Oldest(ctx context.Context, n int, which Which) ([]Place, error)
	Find(ctx context.Context, session string) ([]string, error)

	// Count is what there is, as it was some seconds ago at most where there is not too much to count.
	Count(ctx context.Context) (Count, error)

	// Holder names the node that has an entry; "" for none.
	Holder(ctx context.Context, id string) (string, error)

	// Nodes is how many nodes are alive, this one included.
	Nodes() int
}

// Claimed is an entry that this node has. Obeyed: State is changed by orders, and is to be saved. Fresh: the first attempt was
// written down and not made.
type Claimed struct {
	Entry         *Entry
	State         *State
	Obeyed, Fresh bool
}

// News are told by a Shared.
type News struct {
	Lost   []string
	Orders map[string][]Order
}

// Place is an entry's place in the order of age.
type Place struct {
	Queued int64 // nanoseconds since 1970
	ID     string
}

// Asked is an order for one entry.
type Asked struct {
	ID    string
	Order Order
}

// Looked is an entry as it stands in a Shared. Entry is nil where it cannot be read.
type Looked struct {
	Place
	Entry *Entry
	State *State
}

// Which chooses places: those that follow After, of held entries where Held, of a User's where there is one.
type Which struct {
	After Place
	Held  bool
	User  string
}

// Count is how much a Shared holds.
type Count struct {
	Entries, Held int
	Octets        int64
	Oldest        time.Time
}

const (
	// pollEach is how often a node looks for entries that have become due, were given back by others, or are asked for.
	pollEach = time.Second
	// A destination for which there is no place in memory has its entries given back, each for a little longer than the one before,
	// so that they come again at about the pace at which mail leaves.
	spillFirst, spillNext, spillMost = 2 * time.Second, 5 * time.Millisecond, 5 * time.Minute
)

// share is the spool as one that others have open too; nil if it is not.
func (q *Queue) share() Shared {
	s, _ := find[Shared](q.Spool)
	return s
}

// perDestination bounds the attempts of this node at one destination: its part of what all together may have.
func (q *Queue) perDestination() int {
	most := q.config().destinationConcurrency()
	if s := q.share(); s != nil {
		return max(1, most/max(1, s.Nodes()))
	}
	return most
}

// polled is what a queue on a Shared knows of its last look at it. The loop's alone.
type polled struct {
	last  time.Time // of News
	asked time.Time // of a Claim
	full  bool      // it got as many as it had asked for
	nodes int
}

// poll hears what became of the claims and makes new ones, and returns the time until the next look.
func (q *Queue) poll(ctx context.Context, s Shared) time.Duration {
	now := time.Now()
	if now.Sub(q.polled.last) >= pollEach {
		q.polled.last = now
		q.hear(ctx, s)
		if n := q.perDestination(); n != q.polled.nodes {
			q.polled.nodes = n
			q.mu.Lock()
			q.dests.narrow(n)
			q.offerAll()
			q.dispatch()
			q.mu.Unlock()
		}
	}
	for ctx.Err() == nil {
		if time.Since(now) >= pollEach {
			return 0 // more is due than there is place for: meanwhile the rest of the loop has its turn
		}
		q.mu.Lock()
		n := q.maxLoaded() - q.loaded
		// A claim of few costs as much as one of many: without hurry many are waited for.
		if n <= 0 || time.Since(q.polled.asked) < pollEach && !(q.polled.full && n >= q.maxLoaded()/2) {
			q.mu.Unlock()
			break
		}
		n = min(n, 500)
		q.loaded += n // their places are taken while the lock is not held
		q.mu.Unlock()
		q.polled.asked = time.Now()
		got, err := s.Claim(detached(ctx), n) // of what is claimed and not heard of, nobody would know until the claim is over
		q.mu.Lock()
		q.loaded -= n
		for _, c := range got {
			if ctx.Err() != nil {
				s.Release(c.Entry.ID, 0, c.Fresh)
				continue
			}
			q.claimed(c)
		}
		q.dispatch()
		q.mu.Unlock()
		if q.polled.full = len(got) == n; err != nil && ctx.Err() == nil {
			q.log().Error("queue entries cannot be claimed now", "err", err)
		}
	}
	return pollEach
}

// claimed takes up an entry that is this node's now. q.mu is held.
func (q *Queue) claimed(c Claimed) {
	if q.index[c.Entry.ID] != nil { // an attempt under a claim that was lost has not ended yet
		q.share().Release(c.Entry.ID, pollEach, c.Fresh)
		return
	}
	it, now := newItem(c.Entry.ID, c.State), time.Now()
	if q.tooFar(it.next, now) {
		it.wishes |= forced
	}
	if c.Obeyed {
		it.wishes |= obeyed
	}
	it.fresh = c.Fresh
	q.add(it)
	if it.state == itemHeld && !c.Obeyed {
		q.letGo(it)
		return
	}
	it.state = itemWaiting
	q.take(it, c.Entry, c.State)
}

// letGo gives an entry back to the spool. q.mu is held.
func (q *Queue) letGo(it *item) {
	wait := max(0, time.Until(time.Unix(0, it.next)))
	if it.next == never {
		wait = -1
	}
	q.letGoFor(it, wait)
}

// letGoFor is letGo for a time. q.mu is held.
func (q *Queue) letGoFor(it *item, wait time.Duration) {
	q.tellClaimants()
	it.state = itemGone
	q.wait.take(it)
	if q.index[it.id] == it {
		delete(q.index, it.id)
		q.octets -= it.size
	}
	q.share().Release(it.id, wait, it.fresh)
}

// spill is how long an entry stays away for which a lane has no place.
func (l *lane) spill() time.Duration {
	l.spilled++
	return min(spillFirst+time.Duration(l.spilled)*spillNext, spillMost)
}

// hear takes note of lost claims, of which nothing may be sent or removed any more, and obeys orders.
func (q *Queue) hear(ctx context.Context, s Shared) {
	news, err := s.News(ctx)
	if err != nil && ctx.Err() == nil {
		q.log().Warn("what others want of queue entries cannot be heard now", "err", err)
	}
	q.mu.Lock()
	for _, id := range news.Lost {
		if it := q.index[id]; it != nil {
			it.wishes |= removed // of this node's memory
		}
	}
	q.mu.Unlock()
	for id, orders := range news.Orders {
		q.group.Go(func() { // it may have to wait for who works on the entry
			if err := q.updateAll(detached(ctx), id, orders, true); err != nil && !isGone(err) {
				q.log().Warn("an order for a queue entry waits for the next attempt", "queue", id, "err", err)
			}
		})
	}
}

// giveAllBack gives back what was claimed and is not being delivered any more.
func (q *Queue) giveAllBack() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.index {
		it.next = min(it.next, time.Now().UnixNano())
		q.letGo(it)
	}
}

// steerElsewhere obeys an order about an entry that this node has not got: at once where nobody has, else by whoever does.
func (q *Queue) steerElsewhere(ctx context.Context, s Shared, id string, o Order) error {
	c, err := s.Take(ctx, id)
	if err != nil {
		if isBusy(err) {
			return ask(ctx, s, id, o)
		}
		return err
	}
	o.Apply(c.State)
	err = s.Save(ctx, id, c.State)
	it := newItem(id, c.State)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.follow(it, c.Entry, c.State)
	it.fresh = c.Fresh
	q.letGo(it)
	return err
}

// ask leaves an order for one entry.
func ask(ctx context.Context, s Shared, id string, o Order) error {
	n, err := s.Ask(ctx, Asked{id, o})
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// page is how many entries of a Shared are looked at, or asked for something, at a time.
const page = 1000

// askAll leaves the orders that order gives for entries, many at a time, and returns how many were there.
func (q *Queue) askAll(ctx context.Context, s Shared, which Which, order func(e *Entry, st *State) (Order, bool)) (n int, err error) {
	for {
		looked, err := s.Look(ctx, page, which)
		if err != nil || len(looked) == 0 {
			return n, err
		}
		var all []Asked
		for _, l := range looked {
			which.After = l.Place
			if l.Entry == nil {
				continue
			}
			if o, yes := order(l.Entry, l.State); yes {
				all = append(all, Asked{l.ID, o})
			}
		}
		if len(all) == 0 {
			continue
		}
		there, err := s.Ask(ctx, all...)
		if n += there; err != nil {
			return n, err
		}
	}
}

// agedOf yields the places of at most n entries by age, all where n is 0.
func (q *Queue) agedOf(ctx context.Context, n int, which Which) iter.Seq2[aged, error] {
	s := q.share()
	return func(yield func(aged, error) bool) {
		if s == nil {
			for _, a := range q.oldest(n, which.Held, aged{which.After.Queued, which.After.ID}) {
				if !yield(a, nil) {
					return
				}
			}
			return
		}
		for got := 0; n == 0 || got < n; {
			most := page
			if n > 0 {
				most = min(page, n-got)
			}
			places, err := s.Oldest(ctx, most, which)
			if err != nil {
				yield(aged{}, err)
				return
			}
			for _, p := range places {
				if !yield(aged{p.Queued, p.ID}, nil) {
					return
				}
				which.After = p
			}
			if got += len(places); len(places) < most {
				return
			}
		}
	}
}
