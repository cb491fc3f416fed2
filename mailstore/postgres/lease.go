package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// lock is the lease of one open maildrop.
type lock struct {
	box     int64
	epoch   int64
	version int64 // of the mailbox when it was locked, or older
	server  int64 // the timeline of the server that said so
	lost    atomic.Bool
}

// leases are those that this process holds.
type leases struct {
	mu  sync.Mutex
	all map[int64]*lock // by box
}

func (l *leases) add(k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[int64]*lock)
	}
	l.all[k.box] = k
}

// remove forgets a lease, and reports whether it was known.
func (l *leases) remove(k *lock) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[k.box] != k {
		return false
	}
	delete(l.all, k.box)
	return true
}

// has reports whether a lease is held still.
func (l *leases) has(k *lock) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[k.box] == k
}

func (l *leases) list() (all []*lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.all {
		all = append(all, k)
	}
	return all
}

// take locks a mailbox, if nobody else has it, or has had it for too long without a word, and says of what version it is. nil, without an
// error: there is no such mailbox. That the lock may be lost with the server does no harm: what is done under it asks whether it holds.
// Its number is made of the time, so that nobody who locks the maildrop afterwards gets the same again.
func (s *Store) take(ctx context.Context, name string) (*lock, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	defer s.db.Rollback(conn)
	k, taken := new(lock), false
	one := func(found *bool, into ...any) func(pgx.Row) error {
		return func(row pgx.Row) error {
			err := row.Scan(into...)
			if *found = err == nil; errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		}
	}
	there, held := false, false
	b := new(pgx.Batch)
	b.Queue(database.Relax) // and so, one transaction without a word
	b.Queue(s.in(`insert into $.lease (box, epoch, until) select id, (extract(epoch from clock_timestamp()) * 1000000)::bigint, clock_timestamp() + $2::interval from $.box where name = $1
		on conflict (box) do update set epoch = greatest(lease.epoch + 1, excluded.epoch), until = excluded.until where lease.until < clock_timestamp() returning epoch`), name, s.lease).QueryRow(one(&taken, &k.epoch))
	b.Queue(s.in(`select id, version, `+database.TimelineOf+`, exists(select from $.lease where box = id) from $.box where name = $1`), name).QueryRow(one(&there, &k.box, &k.version, &k.server, &held))
	switch err = conn.SendBatch(ctx, b).Close(); {
	case err != nil:
		return nil, err
	case !there, !taken && !held: // or it has come between one statement and the next
		return nil, nil
	case !taken:
		return nil, mailstore.ErrLocked
	}
	s.held.add(k)
	return k, nil
}

// release gives a maildrop free.
func (s *Store) release(ctx context.Context, locks ...*lock) error {
	var boxes, epochs []int64
	for _, k := range locks {
		if s.held.remove(k) && !k.lost.Load() {
			boxes, epochs = append(boxes, k.box), append(epochs, k.epoch)
		}
	}
	if len(boxes) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.relaxed(ctx, `update $.lease l set until = '-infinity' from unnest($1::bigint[], $2::bigint[]) mine(box, epoch) where l.box = mine.box and l.epoch = mine.epoch`, boxes, epochs)
	return err
}

// releaseAll gives free what is still open when the store closes.
func (s *Store) releaseAll(ctx context.Context) {
	if err := s.release(ctx, s.held.list()...); err != nil {
		s.log.Info("maildrops stay locked for a while", "err", err, "for", s.lease.String())
	}
}

// renewAll renews the leases until the store closes.
func (s *Store) renewAll() {
	tick := time.NewTicker(s.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.renew(); err != nil {
				s.log.Warn("locks of maildrops are not renewed", "err", err)
			}
		case <-s.ends.Done():
			return
		}
	}
}

func (s *Store) renew() error { return s.extend(s.held.list()) }

// extend makes leases last longer, in one statement, and marks those as lost that another has taken. One that was given
// free meanwhile stays so, or its maildrop would be locked with nobody in it.
func (s *Store) extend(locks []*lock) error {
	if len(locks) == 0 {
		return nil
	}
	var boxes, epochs []int64
	for _, k := range locks {
		boxes, epochs = append(boxes, k.box), append(epochs, k.epoch)
	}
	ctx, cancel := context.WithTimeout(s.ends, s.lease/3)
	defer cancel()
	rows, err := s.pool.Query(ctx, s.in(`update $.lease l set until = clock_timestamp() + $3::interval from unnest($1::bigint[], $2::bigint[]) mine(box, epoch)
		where l.box = mine.box and l.epoch = mine.epoch and l.until > '-infinity' returning l.box`), boxes, epochs, s.lease)
	if err != nil {
		return err
	}
	kept := make(map[int64]bool)
	var box int64
	if _, err := pgx.ForEachRow(rows, []any{&box}, func() error { kept[box] = true; return nil }); err != nil {
		return err
	}
	for _, k := range locks {
		if !kept[k.box] && s.held.has(k) {
			k.lost.Store(true)
			s.log.Warn("a maildrop is open elsewhere by now", "box", k.box)
		}
	}
	return nil
}

// fenced runs what changes an open maildrop in one transaction, which holds the lease's row: nobody else can take the lock before
// it is over, and it does nothing if somebody has.
func (s *Store) fenced(ctx context.Context, k *lock, do func(tx pgx.Tx) error) error {
	if s.closed.Load() {
		return mailstore.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if k.lost.Load() {
		return mailstore.ErrLockLost
	}
	// The caller may go; what was begun is brought to its end, for nobody could say otherwise what became of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	_, err := database.Again(func() (bool, error) { return true, s.tryFenced(ctx, k, do) })
	return err
}

func (s *Store) tryFenced(ctx context.Context, k *lock, do func(tx pgx.Tx) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return unavailable("change maildrop", err)
	}
	defer conn.Release()
	s.db.Warning(conn)
	committing := false
	err = pgx.BeginTxFunc(ctx, conn, s.db.Begin(), func(tx pgx.Tx) error {
		var is int64
		switch err := tx.QueryRow(ctx, s.in(`select epoch from $.lease where box = $1 for update`), k.box).Scan(&is); {
		case errors.Is(err, pgx.ErrNoRows) || err == nil && is != k.epoch:
			k.lost.Store(true)
			return mailstore.ErrLockLost
		case err != nil:
			return err
		}
		if err := do(tx); err != nil {
			return err
		}
		committing = true
		return nil
	})
	if warned := s.db.Warned(conn); err == nil && warned != nil {
		return fmt.Errorf("postgres: %w: %w", mailstore.ErrUncertain, warned)
	}
	switch {
	case err == nil || database.TakenBack(err) || errors.Is(err, mailstore.ErrLockLost):
		return err
	case committing && database.Uncertain(err):
		return fmt.Errorf("postgres: %w: %w", mailstore.ErrUncertain, err)
	}
	return unavailable("change maildrop", err)
}
