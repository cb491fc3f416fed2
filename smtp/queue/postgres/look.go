package postgres

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// chosen is what of the queue is of a queue.Which (the first four parameters), in the order of age; the fifth is how many.
const chosen = ` from $.queue q where (queued, id) > ($1, $2 collate "C") and not corrupt and (held or not $3) and ($4 = '' or login = $4) order by queued, id limit $5`

// Look implements queue.Shared.
func (s *Spool) Look(ctx context.Context, n int, which queue.Which) (all []queue.Looked, err error) {
	var found []row
	err = s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.db.Pool.Query(ctx, s.db.In(`select `+columns+chosen), which.After.Queued, which.After.ID, which.Held, text(which.User), n)
		if err == nil {
			found, err = collect(rows)
		}
		return err
	})
	for i := range found {
		r := &found[i]
		e, st, err := r.parse()
		if err != nil {
			s.putAside(ctx, r.id, err) // which says so
		}
		all = append(all, queue.Looked{Place: queue.Place{Queued: r.queued, ID: r.id}, Entry: e, State: st})
	}
	return all, failed("look at queue", err)
}

// Oldest implements queue.Shared.
func (s *Spool) Oldest(ctx context.Context, n int, which queue.Which) (places []queue.Place, err error) {
	err = s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.db.Pool.Query(ctx, s.db.In(`select queued, id`+chosen),
			which.After.Queued, which.After.ID, which.Held, text(which.User), n)
		if err == nil {
			places, err = pgx.CollectRows(rows, pgx.RowToStructByPos[queue.Place])
		}
		return err
	})
	return places, failed("list queue", err)
}

// Find implements queue.Shared.
func (s *Spool) Find(ctx context.Context, session string) (ids []string, err error) {
	like := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text(session)) + "-%"
	err = s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.db.Pool.Query(ctx, s.db.In(`select id from $.queue where not corrupt and (session = $1 or session like $2 and position('-' in substr(session, length($1) + 2)) = 0) order by queued, id`), text(session), like)
		if err == nil {
			ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return ids, failed("find in queue", err)
}

// counted is what was counted last.
type counted struct {
	one  sync.Mutex // held by who counts
	mu   sync.Mutex // guards the rest
	at   time.Time
	took time.Duration
	is   count
}

type count struct {
	queue.Count
	corrupt int
}

// add counts one entry more, until all are counted again.
func (c *counted) add(octets int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.is.Entries++
	c.is.Octets += octets
}

// Count implements queue.Shared. A million entries take a third of a second to count, so that it is done no more often than every five
// seconds, and no more than a twentieth of the time.
func (s *Spool) Count(ctx context.Context) (queue.Count, error) {
	c, err := s.count(ctx)
	return c.Count, err
}

func (s *Spool) count(ctx context.Context) (count, error) {
	c := &s.counted
	c.one.Lock()
	defer c.one.Unlock()
	if is, lately := c.lately(); lately {
		return is, nil
	}
	began := time.Now()
	var now count
	var oldest *int64
	err := s.reading(ctx, func(ctx context.Context) error {
		return s.db.Pool.QueryRow(ctx, s.db.In(`select count(*) filter (where not corrupt), coalesce(sum(size) filter (where not corrupt), 0)::bigint, count(*) filter (where held and not corrupt),
			min(queued) filter (where not corrupt), count(*) filter (where corrupt) from $.queue`)).Scan(&now.Entries, &now.Octets, &now.Held, &oldest, &now.corrupt)
	})
	if err != nil {
		return now, failed("count queue", err)
	}
	if oldest != nil {
		now.Oldest = time.Unix(0, *oldest).UTC()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.is, c.at, c.took = now, time.Now(), time.Since(began)
	return now, nil
}

// lately is what was counted, if that is not too long ago.
func (c *counted) lately() (count, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.is, !c.at.IsZero() && time.Since(c.at) < max(5*time.Second, 20*c.took)
}

// sweepAll throws away what large messages left whose entries are gone, or never were.
func (s *Spool) sweepAll() {
	wait := time.NewTimer(time.Minute)
	defer wait.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-wait.C:
			ctx, cancel := context.WithTimeout(s.ends, 10*time.Minute)
			if err := s.sweep(ctx, 10*time.Minute, database.Idle, turn%6 == 0); err != nil && s.ends.Err() == nil {
				s.log.Info("what messages left in the queue is not swept away", "err", err)
			}
			cancel()
			wait.Reset(10 * time.Minute)
		case <-s.ends.Done():
			return
		}
	}
}

// sweep deletes the pieces of messages whose entries have been gone for so long, and, if all are to be looked through, those of messages that
// were given up.
func (s *Spool) sweep(ctx context.Context, gone, idle time.Duration, all bool) error {
	_, err := s.db.Relaxed(ctx, nil, `with old as (delete from $.queue_gone where at < now() - $1::interval returning body) delete from $.queue_body b using old where b.body = old.body`, gone)
	if err == nil && all {
		_, err = s.pieces.Sweep(ctx, idle, `not exists (select from $.queue q where q.body = p.body) and not exists (select from $.queue_gone g where g.body = p.body)`)
	}
	return err
}
