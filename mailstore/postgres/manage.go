package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore"
)

// Purge deletes a mailbox with all its folders, for good. It returns nil when it is gone, also if it was not there. It is ErrLocked
// if a session has it.
func (s *Store) Purge(ctx context.Context, user string) error {
	return s.whole(ctx, user, func(tx pgx.Tx, box int64) error {
		_, err := tx.Exec(ctx, s.in(removal), box, []int64(nil))
		if err == nil {
			_, err = tx.Exec(ctx, s.in(`delete from $.box where id = $1`), box)
		}
		return err
	})
}

// Rename gives the mailbox from another name, with its folders and its unique ids. Where there is a mailbox of that name already, the
// messages join those in it; an id that is taken there is replaced. A mailbox that is not there has nothing to move. It is ErrLocked if
// a session has it.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	a, _, err := canonical(from)
	if err != nil {
		return err
	}
	b, domain, err := canonical(to)
	if err != nil || a == b {
		return err
	}
	return s.whole(ctx, a, func(tx pgx.Tx, box int64) error {
		var other int64
		err := tx.QueryRow(ctx, s.in(`select id from $.box where name = $1 for update`), b).Scan(&other)
		if errors.Is(err, pgx.ErrNoRows) {
			_, err = tx.Exec(ctx, s.in(`update $.box set name = $2, domain = $3 where id = $1`), box, b, domain)
			return err
		}
		if err != nil {
			return err
		}
		return s.join(ctx, tx, box, other)
	})
}

// join moves all that is in one mailbox into another, whose rows are locked.
func (s *Store) join(ctx context.Context, tx pgx.Tx, box, other int64) error {
	if err := s.joinKeys(ctx, tx, box, other); err != nil {
		return err
	}
	for _, text := range []string{
		`insert into $.folder (box, id, name) select $2, (select coalesce(max(id), 0) from $.folder where box = $2) + row_number() over (order by f.id), f.name
			from $.folder f where f.box = $1 and not exists (select from $.folder o where o.box = $2 and o.name = f.name)`,
		`update $.msg m set uidl = replace(gen_random_uuid()::text, '-', '') where m.box = $1 and exists (select from $.msg o where o.box = $2
			and coalesce(o.uidl, replace(o.body::text, '-', '')) = coalesce(m.uidl, replace(m.body::text, '-', '')))`, // a text that both have, too
		`update $.msg m set box = $2, uid = o.next_uid + n.n - 1, modseq = o.version + 1,
			folder = case when m.folder = 0 then 0 else (select t.id from $.folder f join $.folder t on t.box = $2 and t.name = f.name where f.box = $1 and f.id = m.folder) end
			from (select uid, row_number() over (order by uid) n from $.msg where box = $1) n, $.box o where m.box = $1 and o.id = $2 and n.uid = m.uid`,
		`delete from $.box where id = $1 and id <> $2`,
	} {
		if _, err := tx.Exec(ctx, s.in(text), box, other); err != nil {
			return err
		}
	}
	return nil
}

// whole does something with a mailbox, if it is there, that nobody else has open meanwhile.
func (s *Store) whole(ctx context.Context, user string, do func(tx pgx.Tx, box int64) error) error {
	name, _, err := canonical(user)
	if err != nil {
		return err
	}
	asking, cancel, err := s.within(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	k, err := s.take(asking, name)
	if errors.Is(err, mailstore.ErrLocked) || err == nil && k == nil {
		return err
	}
	if err != nil {
		return unavailable("lock mailbox", err)
	}
	err = s.fenced(ctx, k, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.in(`select from $.box where id = $1 for update`), k.box); err != nil {
			return err
		}
		return do(tx, k.box)
	})
	return errors.Join(err, s.release(context.WithoutCancel(ctx), k))
}

// Folders are the names of a mailbox's folders, in order.
func (s *Store) Folders(ctx context.Context, user string) (names []string, err error) {
	name, _, err := canonical(user)
	if err != nil {
		return nil, err
	}
	err = s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.in(`select f.name from $.folder f join $.box b on b.id = f.box where b.name = $1`), name)
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	slices.Sort(names)
	return names, unavailable("list folders", err)
}
