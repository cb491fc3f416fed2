package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

//go:embed sealing/schema/*.sql
var sealingFiles embed.FS

// migrateSealing brings what sealed messages need into the tables, which are there.
func (s *Store) migrateSealing(ctx context.Context) error {
	files, err := fs.Sub(sealingFiles, "sealing")
	if err != nil {
		return err
	}
	return s.db.Migrate(ctx, database.Tables{Product: "postrider sealed mail", Files: files, Version: 1}, nil)
}

var (
	_ mailstore.SealedStore    = (*Store)(nil)
	_ mailstore.SealedDrop     = (*maildrop)(nil)
	_ mailstore.SealedDelivery = (*delivery)(nil)
)

// mark is what names a delivery's key and message; nil: it is not sealed.
func (d *delivery) mark() *string {
	if d.meta.Seal == nil {
		return nil
	}
	return &d.meta.Seal.Mark
}

// written is how many octets a sealed message has, top and all; nil: it is not sealed.
func (d *delivery) written(top []byte) *int64 {
	if d.meta.Seal == nil {
		return nil
	}
	n := d.text.Octets + int64(len(top))
	return &n
}

// CommitAll implements mailstore.SealedStore. Several are one transaction of their own: what is in one with others' messages may be refused alone.
func (s *Store) CommitAll(ctx context.Context, parts ...mailstore.Part) error {
	var group []*commit
	for _, p := range parts {
		d, ok := p.Delivery.(*delivery)
		if !ok || d.s != s {
			return errors.New("postgres: a delivery of another store")
		}
		if len(d.names) > 0 {
			group = append(group, &commit{d: d, top: p.Top})
		}
	}
	if len(parts) == 1 || len(group) == 1 {
		for _, p := range parts {
			if len(group) == 0 || p.Delivery == group[0].d {
				return p.Delivery.Commit(ctx, p.Top)
			}
		}
	}
	err := errors.New("postgres: a message for nobody")
	if len(group) > 0 {
		err = s.commitTogether(ctx, group)
	}
	if errors.As(err, new(*mailstore.Refused)) {
		return err // all can be committed without them
	}
	for _, p := range parts {
		d := p.Delivery.(*delivery)
		if err == nil || errors.Is(err, mailstore.ErrUncertain) {
			d.over, d.text.Rest = true, nil
		} else if !d.over {
			d.drop()
		}
	}
	return err
}

// commitTogether makes deliveries durable, all of them or none.
func (s *Store) commitTogether(ctx context.Context, group []*commit) error {
	for _, c := range group {
		if err := c.d.end(ctx); err != nil {
			return err
		}
		c.names = slices.Sorted(maps.Keys(c.d.names))
	}
	ctx, cancel, err := s.within(context.WithoutCancel(ctx)) // what is on its way cannot be called back
	if err != nil {
		return err
	}
	defer cancel()
	for again := true; again; again = isHeld(err) && ctx.Err() == nil { // it has waited in the database (patience)
		_, err = database.Again(func() (begun bool, err error) {
			err = s.tryTogether(ctx, group, &begun)
			return begun, err
		})
	}
	if errors.As(err, new(*mailstore.Refused)) {
		return err
	}
	return unavailable("store messages", err)
}

// end is the end of a delivery's text: nothing can be written any more, and all that does not fit into a row is in the database.
func (d *delivery) end(ctx context.Context) error {
	switch {
	case d.over:
		return errors.New("postgres: the delivery is over")
	case d.failed != nil:
		return d.failed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if d.out != nil {
		if err := d.out.end(ctx, &d.text); err != nil {
			return unavailable("write message", err)
		}
	}
	d.ended = true
	if d.received = d.meta.Received; d.received.IsZero() {
		d.received = d.s.clock.now()
	}
	return unavailable("write message", d.s.pieces.End(ctx, &d.text, mostInRow))
}

func (s *Store) tryTogether(ctx context.Context, group []*commit, begun *bool) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	defer s.db.Rollback(conn)
	s.db.Warning(conn)
	for _, c := range group {
		c.done, c.answered = make(chan error, 1), false
	}
	boxes, err := s.lockBoxes(ctx, conn, namesOf(group))
	if err != nil {
		return err
	}
	rows, err := s.place(ctx, conn, group, boxes)
	if err != nil {
		return err
	}
	if err := refusals(group); err != nil {
		return err
	}
	*begun = true
	err = s.write(ctx, conn, rows)
	if err == nil {
		err = s.db.Warned(conn)
	}
	if err != nil && database.Uncertain(err) {
		err = s.settle(group, boxes, err)
		if !slices.ContainsFunc(group, func(c *commit) bool { return !c.answered }) {
			return nil // one transaction: what holds for one holds for all
		}
	}
	return err
}

// refusals are the answers of those that cannot be stored, as one.
func refusals(group []*commit) error {
	all := &mailstore.Refused{Mailboxes: make(map[string]error)}
	for _, c := range group {
		if !c.answered {
			continue
		}
		err := <-c.done
		if r := (*mailstore.Refused)(nil); errors.As(err, &r) {
			maps.Copy(all.Mailboxes, r.Mailboxes)
			continue
		}
		return err
	}
	if len(all.Mailboxes) > 0 {
		return all
	}
	return nil
}

// Reread implements mailstore.SealedDelivery.
func (d *delivery) Reread() (io.ReadCloser, error) {
	if d.over {
		return nil, errors.New("postgres: the delivery is over")
	}
	if d.failed != nil {
		return nil, d.failed
	}
	d.ended = true
	if d.out != nil {
		return d.out.reread(d.ctx), nil
	}
	r := &reader{ctx: d.ctx, s: d.s, body: d.text.ID, chunks: d.text.Pieces, left: d.text.Octets}
	return &rereader{reader: r, rest: d.text.Rest}, nil
}

// rereader reads the pieces that are in the database, then what is in memory.
type rereader struct {
	*reader
	rest []byte
}

func (r *rereader) Read(p []byte) (int, error) {
	if len(r.piece) == 0 && r.next == r.chunks && len(r.rest) > 0 {
		r.piece, r.rest = r.rest, nil
	}
	return r.reader.Read(p)
}

// Mark implements mailstore.SealedDrop.
func (m *maildrop) Mark(i int) string { return m.list[i].mark }

// File implements mailstore.SealedDrop: what finds the message in the tables.
func (m *maildrop) File(i int) string {
	return fmt.Sprintf("msg (%d, %d), body %v", m.lock.box, m.list[i].uid, m.list[i].body)
}

// OpenSealed implements mailstore.SealedDrop.
func (m *maildrop) OpenSealed(ctx context.Context, i int) (io.ReadCloser, int64, error) {
	r, octets, err := m.open(ctx, i)
	if err != nil {
		return nil, 0, err
	}
	if octets == nil {
		return nil, 0, fmt.Errorf("%w: the text is none that was sealed", mailstore.ErrDamaged)
	}
	if len(r.hashes) > 0 { // each piece is compared with its hash, and the reader counts
		r.left = *octets
		return r, *octets, r.Check(ctx)
	}
	var further int64 // in rows of their own
	if r.chunks > 0 {
		err = m.s.reading(ctx, func(ctx context.Context) error {
			return m.s.pool.QueryRow(ctx, m.s.in(`select (select coalesce(sum(octet_length(data)), 0) from $.chunk where body = id and n < chunks)
				from $.body where id = $1`), m.list[i].body).Scan(&further)
		})
	}
	there := int64(len(r.piece)) + further
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, 0, mailstore.ErrGone
	case err != nil:
		return nil, 0, unavailable("open message", err)
	case there != *octets:
		return nil, 0, fmt.Errorf("%w: %d octets, %d were written", mailstore.ErrDamaged, there, *octets)
	}
	r.left = *octets
	return r, *octets, nil
}

// supplant puts another text in a message's place, which keeps its id where that was made of the text before, and throws that away where nobody else has it.
const supplant = `with old as (select m.body from $.msg m where m.box = $1 and m.uid = $2),
	new as (update $.msg m set body = $3, mark = $4, uidl = coalesce(m.uidl, replace(m.body::text, '-', '')) where m.box = $1 and m.uid = $2),
	held as (select b.id, b.refs from $.body b join old on old.body = b.id for update of b),
	less as (update $.body b set refs = b.refs - 1 from held where b.id = held.id and held.refs > 1),
	last as (delete from $.body b using held where b.id = held.id and held.refs <= 1 returning b.id, b.chunks)
	delete from $.chunk c using last where c.body = last.id and last.chunks > 0`

// Replace implements mailstore.SealedDrop. It is one transaction: a message is at no moment in both forms.
func (m *maildrop) Replace(ctx context.Context, i int, seal *mailstore.Seal, write func(io.Writer) error) (err error) {
	uids, err := m.numbers([]int{i})
	if err != nil {
		return err
	}
	if len(uids) == 0 {
		return mailstore.ErrGone
	}
	d := &delivery{s: m.s, ctx: ctx, meta: mailstore.Meta{Seal: seal}, text: database.Text{ID: database.NewID()}, received: time.UnixMicro(m.list[i].received)}
	if m.s.objects != nil {
		d.out = &outside{s: m.s}
	}
	defer func() {
		if err != nil && !errors.Is(err, mailstore.ErrUncertain) {
			d.drop()
		}
	}()
	if err := write(d); err != nil {
		return err
	}
	if err := d.end(ctx); err != nil {
		return err
	}
	if is, was := (&commit{d: d}).size(), m.list[i].size; is != was {
		return fmt.Errorf("%w: %d octets, %d before", mailstore.ErrDamaged, is, was)
	}
	err = m.s.fenced(ctx, m.lock, func(tx pgx.Tx) error {
		if err := m.lockBox(ctx, tx); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, m.s.in(`select from $.msg where box = $1 and uid = $2 and body = $3`), m.lock.box, uids[0], m.list[i].body)
		if err == nil && tag.RowsAffected() == 0 {
			err = mailstore.ErrGone
		}
		if err != nil {
			return err
		}
		if d.text.Pieces > 0 {
			var n int
			if err := tx.QueryRow(ctx, m.s.in(m.s.pieces.Whole("$1")+` select coalesce(max(n), 0) from whole`), []database.ID{d.text.ID}).Scan(&n); err != nil {
				return err
			}
			if err := d.text.Lost(n); err != nil {
				return err
			}
		}
		if err := d.out.name(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, m.s.in(`insert into $.body (id, refs, top, data, chunks, octets, object, hashes) values ($1, 1, '', $2, $3, $4, $5, $6)`),
			d.text.ID, orEmpty(d.text.Rest), d.text.Pieces, d.written(nil), d.out.uuid(), d.out.sums()); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, m.s.in(supplant), m.lock.box, uids[0], d.text.ID, d.mark())
		return err
	})
	if err == nil {
		m.forget([]int{i})
	}
	return err
}

// Marks are those of all messages of a mailbox, folders included: empty, of those that are not sealed. It locks nothing.
func (s *Store) Marks(ctx context.Context, user string) (marks []string, err error) {
	name, _, err := canonical(user)
	if err != nil {
		return nil, err
	}
	err = s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.in(`select coalesce(m.mark, '') from $.msg m join $.box b on b.id = m.box where b.name = $1`), name)
		if err == nil {
			marks, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return marks, unavailable("count", err)
}
