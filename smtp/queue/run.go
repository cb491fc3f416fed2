package queue

import (
	"context"
	"sync"
	"time"
)

// Run scans the spool and delivers until ctx ends. It then lets no new attempt
// begin, gives those that run the time of Grace, and returns nil. Entries may
// be queued before it and while it runs. It returns an error if the spool
// cannot be scanned, or if it is called a second time.
func (q *Queue) Run(ctx context.Context) error {
	q.start()
	attempts, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	q.mu.Lock()
	if q.state != idle {
		q.mu.Unlock()
		return ErrClosed
	}
	q.state, q.ctx = running, attempts
	q.mu.Unlock()

	q.recollect(ctx)
	var err error
	if q.share() == nil {
		err = q.scan(ctx)
	}
	close(q.scanned)
	if err == nil {
		q.loop(ctx)
	}
	q.mu.Lock()
	q.state = stopped
	q.mu.Unlock()
	grace := time.AfterFunc(cmpOr(q.Grace, defaultGrace), cancel)
	defer grace.Stop()
	q.group.Wait()
	q.giveBack(attempts)
	q.remember(context.WithoutCancel(ctx), time.Time{})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// scan finds what is in the spool. What hinders it, such as too many open files,
// may pass: a queue that does not run while mail is taken in is the worst of all.
func (q *Queue) scan(ctx context.Context) error {
	for pause := time.Second; ; pause *= 2 {
		err := q.Spool.Scan(ctx, q.found)
		if err == nil || ctx.Err() != nil || pause > time.Minute {
			return err
		}
		q.log().Error("the spool cannot be read now", "again_in", pause, "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// found takes up an entry that was in the spool when the queue started.
func (q *Queue) found(id string, st *State) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.index[id] != nil {
		return nil
	}
	it, now := newItem(id, st), time.Now()
	if q.tooFar(it.next, now) {
		it.next, it.wishes = now.UnixNano(), it.wishes|forced
	}
	// Whether the sender wants to hear of a delay stands in the envelope, which
	// is not read here: the entry is looked at when that time comes.
	if at, ok := q.config().Schedule.WarnAt(st.Queued); ok && at.After(now) && !st.Settled() {
		it.sooner(at)
	}
	q.add(it)
	q.file(it)
	return nil
}

// giveBack takes first attempts back that were written down and not made: an
// orderly end, unlike a crash, is to cost nobody a wait. ctx is that of the
// time of grace.
func (q *Queue) giveBack(ctx context.Context) {
	if q.share() != nil {
		q.giveAllBack()
		return
	}
	q.mu.Lock()
	var ids []string
	for id, it := range q.index {
		if it.fresh {
			ids = append(ids, id)
		}
	}
	q.mu.Unlock()
	next := make(chan string)
	var wg sync.WaitGroup
	for range min(len(ids), 32) { // they share syncs
		wg.Go(func() {
			for id := range next {
				if err := q.update(ctx, id, Order{Kind: toUnattempt}); err != nil && !isGone(err) {
					q.log().Warn("first attempt cannot be taken back", "queue", id, "err", err)
				}
			}
		})
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			break // they wait for their second attempt
		}
		next <- id
	}
	close(next)
	wg.Wait()
}

// loop loads what is due until ctx ends.
func (q *Queue) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait := min(q.loadDue(ctx), q.relieve())
		if s := q.share(); s != nil {
			wait = min(wait, q.poll(ctx, s))
		}
		q.remember(ctx, time.Now())
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
	}
}

// loadDue loads what is due, as far as memory allows, and returns the time
// until the next entry is.
func (q *Queue) loadDue(ctx context.Context) time.Duration {
	const longest = time.Minute // a clock that was set is noticed
	q.watchClock(time.Now())
	for ctx.Err() == nil {
		q.mu.Lock()
		if q.loaded >= q.maxLoaded() {
			q.mu.Unlock()
			return longest // the next entry that is done wakes the loop
		}
		it, wait := q.wait.due(time.Now())
		if it == nil {
			q.mu.Unlock()
			return min(wait, longest)
		}
		switch it.state {
		case itemLoaded:
			q.resume(it)
			q.mu.Unlock()
		case itemWaiting:
			q.loaded++ // its place is taken while the lock is not held
			it.state = itemClaimed
			q.mu.Unlock()
			q.load(ctx, it)
		default:
			q.mu.Unlock()
		}
	}
	return 0
}

// load brings an entry into memory that this goroutine has claimed.
func (q *Queue) load(ctx context.Context, it *item) {
	e, st, err := q.Spool.Load(ctx, it.id)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.loaded--
	it.state = itemWaiting
	q.tellClaimants()
	if err != nil {
		q.lost(it, err)
		return
	}
	q.take(it, e, st)
	q.dispatch()
}

// lost files an entry that could not be loaded: for a minute if that may pass,
// for good if there is no such entry any more.
func (q *Queue) lost(it *item, err error) {
	switch {
	case isGone(err):
		q.log().Error("queue entry is gone", "queue", it.id, "err", err)
		q.forget(it)
	default:
		q.log().Error("queue entry cannot be loaded now", "queue", it.id, "err", err)
		q.postpone(it)
	}
}

func (q *Queue) postpone(it *item) {
	it.next = time.Now().Add(time.Minute).UnixNano()
	q.wait.put(it)
	q.poke()
}
