package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// patience is how long a group waits for the row of a mailbox that somebody else has locked, for all of it waits.
const patience = 200 * time.Millisecond

// commit is one message that waits to be made durable.
type commit struct {
	d       *delivery
	top     []byte
	names   []string                    // mailboxes, in order
	domains map[string]*mailstore.Usage // what the domains hold that have a quota, of the whole group
	until   time.Time                   // set where it waits for a mailbox (late)

	done     chan error // takes the answer
	answered bool       // it has it
}

// answer tells what became of it.
func (c *commit) answer(err error) {
	c.done <- err
	c.answered = true
}

// commitAll is what is done with a group.
func (s *Store) commitAll(group []*commit) {
	if group = s.late.others(s.timeout, group); len(group) > 0 {
		s.late.add(s.timeout, s.commitGroup(group, false))
	}
}

// octets is how much of a group a message makes up.
func (c *commit) octets() int { return len(c.d.text.Rest) }

// commitGroup makes messages durable and tells each what became of it, but for those that it returns: somebody else keeps one of their
// mailboxes locked. With skip it does not wait for these at all.
func (s *Store) commitGroup(group []*commit, skip bool) (apart []*commit) {
	// Not that of any of them, for all would share the fate of the first who goes; and what is committed is committed.
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	_, err := database.Again(func() (begun bool, err error) {
		apart, err = s.tryGroup(ctx, group, skip, &begun)
		if !skip && isHeld(err) {
			skip = true
			apart, err = s.tryGroup(ctx, group, skip, &begun)
		}
		return begun, err
	})
	for _, c := range group {
		if !c.answered && !slices.Contains(apart, c) { // tryGroup has told those it refused
			c.answer(unavailable("store message", err))
		}
	}
	return apart
}

// isHeld reports whether a row was not to be had in time.
func isHeld(err error) bool {
	var of *pgconn.PgError
	return errors.As(err, &of) && of.Code == "55P03" // lock_not_available
}

// boxRow is what is known of a mailbox whose row is locked.
type boxRow struct {
	id   int64
	next int64 // its next uid
	use  mailstore.Usage
}

// tryGroup stores what can be stored of a group in one transaction, and answers those who have no room itself. Before begun is set
// nothing is on its way. What it returns was left out, for with skip it waits for no mailbox that somebody has locked.
func (s *Store) tryGroup(ctx context.Context, group []*commit, skip bool, begun *bool) (apart []*commit, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	defer s.db.Rollback(conn)
	s.db.Warning(conn)
	lock := s.lockBoxes
	if skip {
		lock = s.lockFree
	}
	boxes, err := lock(ctx, conn, namesOf(group))
	if err != nil {
		return nil, err
	}
	group, apart = partGroup(group, boxes)
	rows, err := s.place(ctx, conn, group, boxes)
	if err != nil {
		return nil, err
	}
	if len(rows.bodies.ids) == 0 {
		return apart, nil
	}
	*begun = true
	err = s.write(ctx, conn, rows)
	if err == nil {
		err = s.db.Warned(conn)
	}
	if err != nil && database.Uncertain(err) {
		return apart, s.settle(group, boxes, err)
	}
	return apart, err
}

// partGroup parts those messages of a group that are not answered: all their mailboxes are locked for them, or one is another's.
func partGroup(group []*commit, boxes map[string]*boxRow) (whole, apart []*commit) {
	for _, c := range group {
		switch {
		case c.answered:
		case slices.ContainsFunc(c.names, func(name string) bool { return boxes[name] == nil }):
			apart = append(apart, c)
		default:
			whole = append(whole, c)
		}
	}
	return whole, apart
}

// namesOf are the mailboxes of a group, in order.
func namesOf(group []*commit) (names []string) {
	for _, c := range group {
		if !c.answered {
			names = append(names, c.names...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// locking is what a statement is that locks the rows of mailboxes and reads them, in the order of their names, so that no two can wait
// for each other.
const locking = `select name, id, next_uid, messages, octets from $.box where name = any($1) order by name for update`

// into is where the rows that are locked go.
func into(boxes map[string]*boxRow) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var name string
		var b boxRow
		_, err := pgx.ForEachRow(rows, []any{&name, &b.id, &b.next, &b.use.Messages, &b.use.Octets}, func() error {
			row := b
			boxes[name] = &row
			return nil
		})
		return err
	}
}

// lockBoxes begins a transaction and locks the rows of mailboxes. Those that are not there are made. It waits for none for long.
func (s *Store) lockBoxes(ctx context.Context, conn *pgxpool.Conn, names []string) (map[string]*boxRow, error) {
	boxes := make(map[string]*boxRow, len(names))
	b := new(pgx.Batch)
	b.Queue(`begin`)
	b.Queue(s.bounds(patience))
	b.Queue(s.in(locking), names).Query(into(boxes))
	b.Queue(`set local lock_timeout = 0`) // what is to come waits for nobody's row
	if err := conn.SendBatch(ctx, b).Close(); err != nil || len(boxes) == len(names) {
		return boxes, err
	}
	// The locks are given back first, for those of the new rows would be taken out of turn. What is made is committed before anything is
	// stored: nobody could wait for the lock of a row that he does not see, and so for the outcome (settle).
	b = new(pgx.Batch)
	b.Queue(`rollback`)
	s.making(b, names)
	b.Queue(`begin`)
	b.Queue(s.bounds(patience))
	b.Queue(s.in(locking), names).Query(into(boxes))
	b.Queue(`set local lock_timeout = 0`)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	if len(boxes) < len(names) {
		return nil, fmt.Errorf("%d of %d mailboxes could not be made", len(names)-len(boxes), len(names))
	}
	return boxes, nil
}

// lockFree is lockBoxes for those rows alone that nobody has locked.
func (s *Store) lockFree(ctx context.Context, conn *pgxpool.Conn, names []string) (map[string]*boxRow, error) {
	rows, err := conn.Query(ctx, s.in(`select n from unnest($1::text[]) n where not exists (select from $.box where name = n) order by n`), names)
	if err != nil {
		return nil, err
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for _, name := range missing { // each for itself: somebody else may be making it, for long
		b := new(pgx.Batch)
		s.making(b, []string{name})
		if err := conn.SendBatch(ctx, b).Close(); err != nil && !isHeld(err) {
			return nil, err
		}
		s.db.Rollback(conn)
	}
	boxes := make(map[string]*boxRow, len(names))
	b := new(pgx.Batch)
	b.Queue(`begin`)
	b.Queue(s.bounds(0))
	b.Queue(s.in(locking+` skip locked`), names).Query(into(boxes))
	return boxes, conn.SendBatch(ctx, b).Close()
}

// making is a transaction that makes mailboxes where they are not there.
func (s *Store) making(b *pgx.Batch, names []string) {
	domains := make([]string, len(names))
	for i, name := range names {
		_, domains[i], _ = canonical(name)
	}
	b.Queue(`begin`)
	b.Queue(s.bounds(patience))
	b.Queue(s.in(`insert into $.box (name, domain) select * from unnest($1::text[], $2::text[]) order by 1 on conflict do nothing`), names, domains)
	b.Queue(`commit`)
}

// bounds is how long a transaction waits for the lock of a row (0: as long as anything may take), beside database.Vanish.
func (s *Store) bounds(lock time.Duration) string {
	return fmt.Sprintf("%s, set_config('lock_timeout', '%d', true)", s.db.Vanish(), lock.Milliseconds())
}

// missPieces refuses large messages of which pieces are lost.
func (s *Store) missPieces(ctx context.Context, conn *pgxpool.Conn, group []*commit) error {
	var large []database.ID
	for _, c := range group {
		if !c.answered && c.d.text.Pieces > 0 {
			large = append(large, c.d.text.ID)
		}
	}
	if len(large) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, s.in(s.pieces.Whole("$1")+` select body, n from whole`), large)
	if err != nil {
		return err
	}
	there := make(map[database.ID]int)
	var id database.ID
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { there[id] = n; return nil }); err != nil {
		return err
	}
	for _, c := range group {
		if err := c.d.text.Lost(there[c.d.text.ID]); !c.answered && err != nil {
			c.answer(unavailable("store message", err))
		}
	}
	return nil
}

// rowsOf is what a group writes, column by column.
type rowsOf struct {
	bodies struct {
		ids     []database.ID
		refs    []int32
		tops    [][]byte
		data    [][]byte
		chunks  []int32
		octets  []*int64 // of those that are sealed
		objects []pgtype.UUID
		hashes  [][]byte
	}
	msgs struct {
		boxes, uids, sizes []int64
		bodies             []database.ID
		received           []time.Time
		flags              []string
		uidls, marks       []*string
	}
}

// place gives each message of a group its places, or tells it that a mailbox has no room, or that a part of it is lost. Nobody else
// changes these mailboxes meanwhile.
func (s *Store) place(ctx context.Context, conn *pgxpool.Conn, group []*commit, boxes map[string]*boxRow) (*rowsOf, error) {
	for _, ask := range []func(context.Context, *pgxpool.Conn, []*commit) error{s.missPieces, s.missObjects, s.askDomains} {
		if err := ask(ctx, conn, group); err != nil {
			return nil, err
		}
	}
	taken, err := s.takenUIDs(ctx, conn, group, boxes)
	if err != nil {
		return nil, err
	}
	rows := new(rowsOf)
	for _, c := range group {
		if c.answered {
			continue
		}
		if full := s.full(c, boxes); len(full) > 0 {
			c.answer(c.d.refused(full))
			continue
		}
		rows.bodies.ids = append(rows.bodies.ids, c.d.text.ID)
		rows.bodies.refs = append(rows.bodies.refs, int32(len(c.names)))
		rows.bodies.tops = append(rows.bodies.tops, orEmpty(c.top))
		rows.bodies.data = append(rows.bodies.data, orEmpty(c.d.text.Rest))
		rows.bodies.chunks = append(rows.bodies.chunks, int32(c.d.text.Pieces))
		rows.bodies.octets = append(rows.bodies.octets, c.d.written(c.top))
		rows.bodies.objects = append(rows.bodies.objects, c.d.out.uuid())
		rows.bodies.hashes = append(rows.bodies.hashes, c.d.out.sums())
		for _, name := range c.names {
			b, m := boxes[name], &rows.msgs
			m.boxes = append(m.boxes, b.id)
			m.uids = append(m.uids, b.next)
			m.sizes = append(m.sizes, c.size())
			m.bodies = append(m.bodies, c.d.text.ID)
			m.received = append(m.received, c.d.received)
			m.flags = append(m.flags, mailstore.CleanFlags(c.d.meta.Flags))
			m.uidls = append(m.uidls, taken.give(b.id, c.d.meta.UID))
			m.marks = append(m.marks, c.d.mark())
			b.next++
			b.use.Messages++
			b.use.Octets += c.size()
		}
	}
	return rows, nil
}

// orEmpty makes of nothing what is no null.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// uidSet are unique ids that are taken, of mailboxes.
type uidSet map[uidIn]bool

type uidIn struct {
	box int64
	uid string
}

// give returns the id that was asked for, unless it is taken or none was: the store's own then.
func (u uidSet) give(box int64, asked string) *string {
	if asked == "" || u[uidIn{box, asked}] {
		return nil
	}
	u[uidIn{box, asked}] = true
	return &asked
}

// takenUIDs are those of the ids asked for that messages have already.
func (s *Store) takenUIDs(ctx context.Context, conn *pgxpool.Conn, group []*commit, boxes map[string]*boxRow) (uidSet, error) {
	var ids []int64
	var uids []string
	for _, c := range group {
		if !c.answered && c.d.meta.UID != "" {
			for _, name := range c.names {
				ids, uids = append(ids, boxes[name].id), append(uids, c.d.meta.UID)
			}
		}
	}
	taken := make(uidSet)
	if len(ids) == 0 {
		return taken, nil
	}
	rows, err := conn.Query(ctx, s.in(`select m.box, a.uid from unnest($1::bigint[], $2::text[]) a(box, uid) join $.msg m on m.box = a.box and m.uidl = a.uid
		union select m.box, a.uid from unnest($1::bigint[], $2::text[]) a(box, uid) join $.msg m on m.box = a.box and m.uidl is null and replace(m.body::text, '-', '') = a.uid where a.uid ~ '^[0-9a-f]{32}$'`), ids, uids)
	if err != nil {
		return nil, err
	}
	var is uidIn
	_, err = pgx.ForEachRow(rows, []any{&is.box, &is.uid}, func() error {
		taken[is] = true
		return nil
	})
	return taken, err
}

// write inserts the rows and commits, in one go.
func (s *Store) write(ctx context.Context, conn *pgxpool.Conn, rows *rowsOf) error {
	b, m := &rows.bodies, &rows.msgs
	batch := new(pgx.Batch)
	batch.Queue(s.in(`insert into $.body (id, refs, top, data, chunks, octets, object, hashes) select * from unnest($1::uuid[], $2::int[], $3::bytea[], $4::bytea[], $5::int[], $6::bigint[], $7::uuid[], $8::bytea[])`),
		b.ids, b.refs, b.tops, b.data, b.chunks, b.octets, b.objects, b.hashes)
	if slices.ContainsFunc(b.objects, func(id pgtype.UUID) bool { return id.Valid }) {
		batch.Queue(s.in(nameObjects), b.objects)
	}
	batch.Queue(s.in(`insert into $.msg (box, uid, body, size, received, flags, uidl, mark) select * from unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::text[], $7::text[], $8::text[])`),
		m.boxes, m.uids, m.bodies, m.sizes, m.received, m.flags, m.uidls, m.marks)
	batch.Queue(`commit`)
	return conn.SendBatch(ctx, batch).Close()
}
