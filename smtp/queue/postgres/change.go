package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// change is one entry that is to be made, saved or removed, durably.
type change struct {
	id    string
	under claim   // for those that are there
	new   *writer // to be made
	state []byte  // to be saved, with held
	held  bool
	gone  bool       // to be removed
	done  chan error // takes the answer
}

// apply has changes made in one transaction, together with those of others, and waits for what became of them also when ctx ends
// meanwhile: what is on its way cannot be called back, and the database's time-out bounds it. The errors are those of each.
func (s *Spool) apply(ctx context.Context, all ...*change) (errs []error) {
	errs = make([]error, len(all))
	fail := func(err error) []error {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	for _, c := range all {
		c.done = make(chan error, 1)
	}
	switch err := s.changes.Put(ctx, all...); {
	case errors.Is(err, database.ErrEnded):
		return fail(queue.ErrClosed)
	case err != nil:
		return fail(err)
	}
	for i, c := range all {
		errs[i] = <-c.done
	}
	return errs
}

// Save implements queue.Spool.
func (s *Spool) Save(ctx context.Context, id string, st *queue.State) error {
	k := s.held.get(id)
	if k.number == 0 {
		return queue.ErrNotFound
	}
	err := s.apply(ctx, &change{id: id, under: k, state: spool.FormatState(st), held: st.Held})[0]
	switch {
	case err == nil:
		s.held.struck(id, k)
	case errors.Is(err, queue.ErrNotFound):
		s.held.lose(id, k.number)
	}
	return err
}

// Remove implements queue.Spool.
func (s *Spool) Remove(ctx context.Context, id string) error {
	k := s.held.get(id)
	if k.number == 0 {
		return queue.ErrNotFound
	}
	err := s.apply(ctx, &change{id: id, under: k, gone: true})[0]
	switch {
	case err == nil:
		s.held.drop(id, k.number)
	case errors.Is(err, queue.ErrNotFound):
		s.held.lose(id, k.number)
	}
	return err
}

// octets is how much of a group a change makes up.
func (c *change) octets() int {
	if c.new == nil {
		return len(c.state)
	}
	return len(c.new.text.Rest)
}

// changeGroup makes changes durable and tells each what became of it.
func (s *Spool) changeGroup(group []*change) {
	// In one order, so that no two groups wait for each other.
	slices.SortStableFunc(group, func(a, b *change) int { return cmp.Compare(a.id, b.id) })
	// Not the context of any of them, for all would share the fate of the first who goes.
	ctx, cancel := context.WithTimeout(context.Background(), s.db.Timeout())
	defer cancel()
	made := make(map[*change]bool)
	begun, err := database.Again(func() (bool, error) { return s.tryGroup(ctx, group, made) })
	if err != nil && begun && database.Uncertain(err) {
		err = s.settle(ctx, group, made, err)
	}
	for _, c := range group {
		switch {
		case err != nil:
			c.done <- failed("change queue", err)
		case made[c]:
			c.done <- nil
		case c.new != nil && c.new.lost != nil:
			c.done <- failed("change queue", c.new.lost)
		case c.new != nil:
			c.done <- queue.ErrExists
		default:
			c.done <- queue.ErrNotFound // as another has it, or nobody
		}
	}
}

// tryGroup makes what can be made of a group in one transaction. Where it has not begun nothing is on its way.
func (s *Spool) tryGroup(ctx context.Context, group []*change, made map[*change]bool) (begun bool, err error) {
	conn, err := s.db.Pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	defer s.db.Rollback(conn)
	s.db.Warning(conn)
	b := new(pgx.Batch)
	b.Queue(`begin`)
	b.Queue(s.db.Vanish())
	s.queue(b, group, made, false)
	b.Queue(`commit`)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return true, err
	}
	return true, s.db.Warned(conn)
}

// settle makes a group's changes after a commit whose outcome is not known. Each can be made twice: the rows of the lost transaction
// are waited for, and what it did is found done. Something written beside that proves that it holds, on the standbys too. Only a
// removal that was done leaves no trace; that somebody has removed it is as good. Orders are struck off only the first time: those that
// stay because that was lost are told once more, and to obey twice is to obey once.
func (s *Spool) settle(ctx context.Context, group []*change, made map[*change]bool, cause error) error {
	// The node's row is no promise, and may be lost: it is made where it is not there.
	barrier := fmt.Sprintf(`insert into $.queue_node (id, name, until, barrier) values ('%s', '', now(), 1) on conflict (id) do update set barrier = queue_node.barrier + 1`, s.node)
	err := s.db.ProvenSoon(ctx, barrier, func(tx pgx.Tx) error {
		b := new(pgx.Batch)
		s.queue(b, group, made, true)
		var ids []string
		for _, c := range group {
			if c.new != nil {
				ids = append(ids, c.id)
			}
		}
		there := make(map[string]database.ID)
		b.Queue(s.db.In(`select id, body from $.queue where id = any($1)`), ids).Query(func(rows pgx.Rows) error {
			var id string
			var body database.ID
			_, err := pgx.ForEachRow(rows, []any{&id, &body}, func() error { there[id] = body; return nil })
			return err
		})
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		for _, c := range group {
			if c.new != nil && there[c.id] == c.new.text.ID {
				made[c] = true
			}
		}
		return nil
	}, nil)
	if err != nil {
		s.log.Error("it is not known what of the queue was written", "changes", len(group), "err", errors.Join(cause, err))
		return errors.Join(cause, err)
	}
	return nil
}

// queue puts what a group needs into a batch, and into made what of it was done. again: it may have been done before.
func (s *Spool) queue(b *pgx.Batch, group []*change, made map[*change]bool, again bool) {
	clear(made)
	var n, saved, gone []*change
	for _, c := range group {
		switch {
		case c.new != nil:
			n = append(n, c)
		case c.gone:
			gone = append(gone, c)
		default:
			saved = append(saved, c)
		}
	}
	read := func(of []*change) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			done := make(map[string]bool)
			var id string
			_, err := pgx.ForEachRow(rows, []any{&id}, func() error { done[id] = true; return nil })
			for _, c := range of {
				if done[c.id] {
					made[c] = true
				}
			}
			return err
		}
	}
	if len(n) > 0 {
		s.queueNew(b, n, made)
	}
	if len(saved) > 0 {
		var ids []string
		var numbers []int64
		var states [][]byte
		var held []bool
		var seen []int32
		for _, c := range saved {
			ids, numbers, states = append(ids, c.id), append(numbers, c.under.number), append(states, c.state)
			held, seen = append(held, c.held), append(seen, int32(c.under.seen))
		}
		if again {
			clear(seen)
		}
		b.Queue(s.db.In(`update $.queue q set state = s.state, held = s.held, orders = case when s.seen = 0 or q.orders is null then q.orders else
			(select jsonb_agg(o.value order by o.n) from jsonb_array_elements(q.orders) with ordinality o(value, n) where o.n > s.seen) end
			from unnest($1::text[], $2::bigint[], $3::bytea[], $4::bool[], $5::int[]) s(id, claim, state, held, seen) where q.id = s.id and q.claim = s.claim and q.node = $6 returning q.id`),
			ids, numbers, states, held, seen, s.node).Query(read(saved))
	}
	if len(gone) > 0 {
		var ids []string
		var numbers []int64
		for _, c := range gone {
			ids, numbers = append(ids, c.id), append(numbers, c.under.number)
		}
		b.Queue(s.db.In(removal+` using unnest($1::text[], $2::bigint[]) r(id, claim) where q.id = r.id and q.claim = r.claim and q.node = $3`+removalEnd), ids, numbers, s.node).Query(read(gone))
	}
}

// removal removes entries: a small message with its row, a large one once nobody reads it any more.
const (
	removal    = `with gone as (delete from $.queue q`
	removalEnd = ` returning q.id, q.body, q.chunks), small as (delete from $.queue_body b using gone where b.body = gone.body and gone.chunks = 1),
		large as (insert into $.queue_gone (body) select body from gone where chunks > 1 on conflict do nothing) select id from gone`
)

// Discard implements queue.Shared.
func (s *Spool) Discard(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, s.db.Timeout())
	defer cancel()
	tag, err := s.db.Pool.Exec(ctx, s.db.In(removal+` where q.id = $1 and not q.corrupt`+removalEnd), id)
	if err == nil && tag.RowsAffected() == 0 {
		return queue.ErrNotFound
	}
	return failed("remove entry", err)
}

// queueNew puts new entries into a batch, but for large ones of which pieces are lost. Of two that have one id, one is made.
func (s *Spool) queueNew(b *pgx.Batch, n []*change, made map[*change]bool) {
	var c struct {
		ids, logins, sessions       []string
		queued, sizes, claims       []int64
		held                        []bool
		bodies, large               []database.ID
		chunks                      []int32
		data, tops, entries, states [][]byte
	}
	for _, one := range n {
		w := one.new
		c.ids, c.logins, c.sessions = append(c.ids, w.e.ID), append(c.logins, text(w.e.User)), append(c.sessions, text(w.e.Session))
		c.queued, c.sizes, c.claims = append(c.queued, w.e.Queued.UnixNano()), append(c.sizes, w.e.Params.Size), append(c.claims, w.claim)
		c.held, c.bodies = append(c.held, w.st.Held), append(c.bodies, w.text.ID)
		chunks, data := w.text.Pieces, []byte(nil)
		if len(w.text.Rest) > 0 {
			chunks, data = 1, w.text.Rest
		} else if chunks > 0 {
			c.large = append(c.large, w.text.ID)
		}
		c.chunks, c.data, c.tops = append(c.chunks, int32(chunks)), append(c.data, data), append(c.tops, w.top)
		c.entries, c.states = append(c.entries, spool.FormatEntry(w.e)), append(c.states, spool.FormatState(w.st))
	}
	b.Queue(s.db.In(s.pieces.Whole("$16")+`, come as (select * from unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bool[], $10::uuid[], $11::int[], $12::bytea[], $13::bytea[], $14::bytea[], $15::bytea[])
			come(id, login, session, queued, size, claim, held, body, chunks, data, top, envelope, state)),
		new as (select come.* from come left join whole using (body) where chunks <= 1 or chunks = whole.n),
		made as (insert into $.queue (id, login, session, queued, size, claim, held, body, chunks, top, envelope, state, node, due)
			select id, login, session, queued, size, claim, held, body, chunks, top, envelope, state, $1, clock_timestamp() + $2::interval from new on conflict do nothing returning id, body),
		bodies as (insert into $.queue_body (body, n, data) select new.body, 0, new.data from new join made using (body) where new.data is not null)
		select body, -1 from made union all select body, coalesce(whole.n, 0) from come left join whole using (body) where chunks > 1`),
		s.node, s.lease, c.ids, c.logins, c.sessions, c.queued, c.sizes, c.claims, c.held, c.bodies, c.chunks, c.data, c.tops, c.entries, c.states, c.large).Query(func(rows pgx.Rows) error {
		by := make(map[database.ID]*change)
		for _, one := range n {
			by[one.new.text.ID], one.new.lost = one, nil
		}
		var body database.ID
		var there int
		_, err := pgx.ForEachRow(rows, []any{&body, &there}, func() error {
			if there < 0 {
				made[by[body]] = true
			} else {
				by[body].new.lost = by[body].new.text.Lost(there)
			}
			return nil
		})
		return err
	})
}
