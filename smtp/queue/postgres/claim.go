package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// claims are those of this node, by the entry's id.
type claims struct {
	mu   sync.Mutex
	by   map[string]*claim
	lost []string // not told yet
	turn int      // grows as orders are struck off
}

// claim is one entry that this node has.
type claim struct {
	number int64
	seen   int // orders that the next Save strikes off
	told   int // orders that the queue was told of, those included
}

// put takes note of a new claim, and reports whether it may be used: not while somebody here may still believe in one of before, which he
// must not find renewed.
func (c *claims) put(id string, number int64, orders int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[id] != nil {
		delete(c.by, id)
		c.lost = append(c.lost, id)
	}
	if slices.Contains(c.lost, id) {
		return false
	}
	if c.by == nil {
		c.by = make(map[string]*claim)
	}
	c.by[id] = &claim{number: number, seen: orders, told: orders}
	return true
}

// get returns a copy; its number is 0 where there is no claim.
func (c *claims) get(id string) (is claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.by[id]; k != nil {
		is = *k
	}
	return is
}

// drop forgets a claim of a number, or of any where it is 0.
func (c *claims) drop(id string, number int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.by[id]; k != nil && (number == 0 || k.number == number) {
		delete(c.by, id)
	}
}

// struck: a Save under a claim has struck off orders.
func (c *claims) struck(id string, was claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.by[id]; k != nil && k.number == was.number && was.seen > 0 {
		c.turn++
		k.seen -= was.seen
		k.told -= was.seen
	}
}

// lose takes note of a claim that another node has taken over.
func (c *claims) lose(id string, number int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.by[id]; k != nil && k.number == number {
		delete(c.by, id)
		c.lost = append(c.lost, id)
	}
}

func (c *claims) all() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]int64, len(c.by))
	for id, k := range c.by {
		all[id] = k.number
	}
	return all
}

// nextClaim is the number of a new claim: above all before it, also of those that were lost with a server that failed, for it is made
// of the time. Clocks go wrong and databases are restored, so that what is done under a claim names its node as well.
const nextClaim = `greatest(q.claim + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint)`

// Claim implements queue.Shared. That a claim may be lost with the server does no harm: what is done under it asks whether it holds.
func (s *Spool) Claim(ctx context.Context, n int) ([]queue.Claimed, error) {
	return s.take(ctx, `with due as (select id, fresh from $.queue where due <= now() and id <> all($4) order by due limit $3 for update skip locked)
		update $.queue q set node = $1, claim = `+nextClaim+`, due = clock_timestamp() + $2::interval, fresh = false from due where q.id = due.id returning `+columns+`, due.fresh`, n, s.newer.all())
}

// Take implements queue.Shared.
func (s *Spool) Take(ctx context.Context, id string) (*queue.Claimed, error) {
	if !queue.ValidID(id) {
		return nil, queue.ErrNotFound
	}
	if err := s.free(ctx); err != nil { // what this node is about to give back is free
		return nil, err
	}
	got, err := s.take(ctx, `with it as (select id, fresh from $.queue where id = $3 and not corrupt and (node is null or due <= now()) for update)
		update $.queue q set node = $1, claim = `+nextClaim+`, due = clock_timestamp() + $2::interval, fresh = false from it where q.id = it.id returning `+columns+`, it.fresh`, id)
	if err != nil {
		return nil, err
	}
	if len(got) == 0 {
		if _, _, err := s.Load(ctx, id); err != nil {
			return nil, err
		}
		return nil, queue.ErrBusy
	}
	return &got[0], nil
}

// take runs a statement that claims entries.
func (s *Spool) take(ctx context.Context, statement string, what ...any) (got []queue.Claimed, err error) {
	if s.closed.Load() {
		return nil, queue.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.db.Timeout())
	defer cancel()
	type claimed struct {
		row
		fresh bool
	}
	var found []claimed
	read := func(rows pgx.Rows) error {
		found = nil
		var c claimed
		_, err := pgx.ForEachRow(rows, append(c.into(), &c.fresh), func() error {
			found = append(found, c)
			c.row = row{}
			return nil
		})
		return err
	}
	if _, err := s.db.Relaxed(ctx, read, statement, append([]any{s.node, s.lease}, what...)...); err != nil {
		return nil, failed("claim entries", err)
	}
	for i := range found {
		c := &found[i]
		e, st, err := c.parse()
		if errors.Is(err, spool.ErrNewer) {
			s.giveBack(free{id: c.id, number: c.claim, wait: new(s.leave(c.id, err)), fresh: c.fresh})
			continue
		}
		if err != nil {
			s.putAside(ctx, c.id, err)
			continue
		}
		if !s.held.put(c.id, c.claim, len(c.orders)) {
			s.giveBack(free{id: c.id, number: c.claim, wait: new(time.Second), fresh: c.fresh})
			continue
		}
		got = append(got, queue.Claimed{Entry: e, State: st, Obeyed: len(c.orders) > 0, Fresh: c.fresh})
	}
	return got, nil
}

// freed are claims to be given back.
type freed struct {
	mu  sync.Mutex
	all []free
	one sync.Mutex // held by who writes them down
}

type free struct {
	id     string
	number int64
	wait   *time.Duration // nil: until somebody asks
	fresh  bool
}

// Release implements queue.Shared.
func (s *Spool) Release(id string, wait time.Duration, fresh bool) {
	k := s.held.get(id)
	if k.number == 0 {
		return
	}
	s.held.drop(id, k.number)
	f := free{id: id, number: k.number, fresh: fresh}
	if wait >= 0 {
		f.wait = &wait
	}
	s.giveBack(f)
}

func (s *Spool) giveBack(f free) {
	s.freed.mu.Lock()
	defer s.freed.mu.Unlock()
	s.freed.all = append(s.freed.all, f)
}

// freeAll gives back, some times a second, what was released.
func (s *Spool) freeAll() {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.free(s.ends); err != nil && s.ends.Err() == nil {
				s.log.Info("queue entries cannot be given back now", "err", err)
				select { // a database that is away is not told of twenty times a second
				case <-time.After(time.Second):
				case <-s.ends.Done():
				}
			}
		case <-s.ends.Done():
			return
		}
	}
}

// mostFreed bounds what is kept to be given back while the database is away; claims end by themselves.
const mostFreed = 10_000

func (s *Spool) free(ctx context.Context) error {
	s.freed.one.Lock()
	defer s.freed.one.Unlock()
	s.freed.mu.Lock()
	all := s.freed.all
	s.freed.all = nil
	s.freed.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.db.Timeout())
	defer cancel()
	var ids []string
	var numbers []int64
	var waits []*time.Duration
	var fresh []bool
	for _, f := range all {
		ids, numbers, waits, fresh = append(ids, f.id), append(numbers, f.number), append(waits, f.wait), append(fresh, f.fresh)
	}
	_, err := s.db.Relaxed(ctx, nil, `update $.queue q set node = null, fresh = f.fresh,
		due = case when q.orders is not null then now() else coalesce(clock_timestamp() + f.wait, 'infinity') end
		from unnest($1::text[], $2::bigint[], $3::interval[], $4::bool[]) f(id, claim, wait, fresh) where q.id = f.id and q.claim = f.claim and q.node = $5`, ids, numbers, waits, fresh, s.node)
	if err != nil && len(all) < mostFreed {
		s.freed.mu.Lock()
		s.freed.all = append(s.freed.all, all...)
		s.freed.mu.Unlock()
	}
	return failed("give entries back", err)
}

// renewAll puts the ends of claims off until the spool closes.
func (s *Spool) renewAll() {
	tick := time.NewTicker(s.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ctx, cancel := context.WithTimeout(s.ends, s.lease/3)
			if err := errors.Join(s.live(ctx), s.renew(ctx)); err != nil && s.ends.Err() == nil {
				s.log.Warn("claims of queue entries are not renewed", "err", err)
			}
			cancel()
		case <-s.ends.Done():
			return
		}
	}
}

// live says that this node is alive, and learns how many are.
func (s *Spool) live(ctx context.Context) error {
	if _, err := s.db.Relaxed(ctx, nil, `insert into $.queue_node (id, name, until) values ($1, $2, clock_timestamp() + $3::interval)
		on conflict (id) do update set name = excluded.name, until = excluded.until`, s.node, text(s.name), s.lease); err != nil {
		return err
	}
	if _, err := s.db.Relaxed(ctx, nil, `delete from $.queue_node where until < now() - interval '1 day'`); err != nil {
		return err
	}
	var n int64
	err := s.db.Pool.QueryRow(ctx, s.db.In(`select count(*) from $.queue_node where until > now()`)).Scan(&n)
	if err == nil {
		s.nodes.Store(n)
	}
	return err
}

// Nodes implements queue.Shared.
func (s *Spool) Nodes() int { return int(max(1, s.nodes.Load())) }

// renew puts off the ends of all claims, in one statement, and finds those that another node has taken over. Rows that are being
// changed just now are this node's, as a rule: they have their turn the next time. What was given back meanwhile has no node.
func (s *Spool) renew(ctx context.Context) error {
	all := s.held.all()
	if len(all) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(all))
	numbers := make([]int64, len(ids))
	for i, id := range ids {
		numbers[i] = all[id]
	}
	if _, err := s.db.Relaxed(ctx, nil, `with mine as (select q.id from $.queue q join unnest($1::text[], $2::bigint[]) m(id, claim) on q.id = m.id and q.claim = m.claim and q.node = $4 for update of q skip locked)
		update $.queue q set due = clock_timestamp() + $3::interval from mine where q.id = mine.id`, ids, numbers, s.lease, s.node); err != nil {
		return err
	}
	rows, err := s.db.Pool.Query(ctx, s.db.In(`select q.id from $.queue q join unnest($1::text[], $2::bigint[]) m(id, claim) on q.id = m.id and q.claim = m.claim where q.node = $3`), ids, numbers, s.node)
	if err != nil {
		return err
	}
	var id string
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { delete(all, id); return nil }); err != nil {
		return err
	}
	for id, number := range all {
		s.held.lose(id, number)
	}
	return nil
}

// Ask implements queue.Shared.
func (s *Spool) Ask(ctx context.Context, all ...queue.Asked) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.db.Timeout())
	defer cancel()
	var ids []string
	var orders [][]queue.Order
	for _, a := range all {
		ids, orders = append(ids, a.ID), append(orders, []queue.Order{a.Order})
	}
	// Rows are locked in one order, so that no two who ask wait for each other.
	tag, err := s.db.Pool.Exec(ctx, s.db.In(`with asked as (select q.id, a.o from unnest($1::text[], $2::jsonb[]) a(id, o) join $.queue q on q.id = a.id and not q.corrupt order by q.id for update of q)
		update $.queue q set orders = coalesce(q.orders, '[]'::jsonb) || asked.o, due = case when q.node is null then now() else q.due end from asked where q.id = asked.id`), ids, orders)
	return int(tag.RowsAffected()), failed("leave an order", err)
}

// News implements queue.Shared.
func (s *Spool) News(ctx context.Context) (news queue.News, err error) {
	s.held.mu.Lock()
	turn := s.held.turn
	s.held.mu.Unlock()
	all := make(map[string][]queue.Order)
	err = s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.db.Pool.Query(ctx, s.db.In(`select id, orders from $.queue where node = $1 and orders is not null`), s.node)
		if err != nil {
			return err
		}
		var id string
		var orders []queue.Order
		_, err = pgx.ForEachRow(rows, []any{&id, &orders}, func() error { all[id], orders = orders, nil; return nil })
		return err
	})
	s.held.mu.Lock()
	defer s.held.mu.Unlock()
	news.Lost, s.held.lost = s.held.lost, nil
	if turn != s.held.turn {
		clear(all) // some may have been struck off since: there is a next time
	}
	for id, orders := range all {
		k := s.held.by[id]
		if k == nil || k.told >= len(orders) {
			continue
		}
		if news.Orders == nil {
			news.Orders = make(map[string][]queue.Order)
		}
		news.Orders[id] = orders[k.told:]
		k.told = len(orders)
	}
	return news, failed("hear news", err)
}

// Heard implements queue.Shared.
func (s *Spool) Heard(id string, orders int) {
	s.held.mu.Lock()
	defer s.held.mu.Unlock()
	if k := s.held.by[id]; k != nil {
		k.seen += orders
	}
}

// Holder implements queue.Shared.
func (s *Spool) Holder(ctx context.Context, id string) (name string, err error) {
	err = s.reading(ctx, func(ctx context.Context) error {
		return s.db.Pool.QueryRow(ctx, s.db.In(`select n.name from $.queue q join $.queue_node n on n.id = q.node where q.id = $1 and q.due > now()`), id).Scan(&name)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return name, failed("find holder", err)
}
