package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore"
)

// The keys of a mailbox whose messages are sealed stand beside these, for all servers that share the store. The store does not know what is in the
// text, and its secrets are not in clear there.

// maxKeys is how long they may be.
const maxKeys = 256 << 10

// keysVersion tells one text of a mailbox's keys from every other.
type keysVersion [16]byte

// Keys are those of a mailbox, nil where it has none, and what tells them from others. Where that is known, of an earlier call, they are not read.
func (s *Store) Keys(user string, known any) (text []byte, is any, same bool, err error) {
	name, _, err := canonical(user)
	if err != nil {
		return nil, nil, false, err
	}
	var had *[16]byte
	if v, ok := known.(keysVersion); ok {
		had = (*[16]byte)(&v)
	}
	var version [16]byte
	err = s.reading(context.Background(), func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, s.in(`select k.version, case when k.version is distinct from $2::uuid then k.text end from $.keys k join $.box b on b.id = k.box where b.name = $1`), name, had).Scan(&version, &text)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil, false, nil
	case err != nil:
		return nil, nil, false, fmt.Errorf("keys of %s: %w", user, unavailable("read keys", err))
	}
	return text, keysVersion(version), text == nil, nil
}

// ChangeKeys replaces what change makes of the keys of a mailbox (nil: there are none) by what that was given, nil being none any more. When it returns nil, that
// is on stable storage; whatever happens, they are those of before or those of after. Two at a time, of two servers also, wait for each other.
func (s *Store) ChangeKeys(ctx context.Context, user string, change func(text []byte) ([]byte, error)) error {
	name, domain, err := canonical(user)
	if err != nil {
		return err
	}
	ctx, cancel, err := s.within(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return unavailable("change keys", err)
	}
	defer conn.Release()
	s.db.Warning(conn)
	refused := false
	err = pgx.BeginTxFunc(ctx, conn, s.db.Begin(), func(tx pgx.Tx) error {
		// Not the mailbox's row: a key is made of a password meanwhile, and mail goes on.
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, s.in("$.keys ")+name); err != nil {
			return err
		}
		var text []byte
		err := tx.QueryRow(ctx, s.in(`select k.text from $.keys k join $.box b on b.id = k.box where b.name = $1`), name).Scan(&text)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		fresh, err := change(text)
		if err == nil && len(fresh) > maxKeys {
			err = errors.New("postgres: too many keys")
		}
		if err != nil {
			refused = true
			return err
		}
		return s.putKeys(ctx, tx, name, domain, fresh)
	})
	if warned := s.db.Warned(conn); err == nil && warned != nil {
		return fmt.Errorf("postgres: change keys: %w: %w", mailstore.ErrUncertain, warned)
	}
	if refused {
		return err
	}
	return unavailable("change keys", err)
}

// putKeys writes the keys of a mailbox, which is made if it is not there, or takes them away.
func (s *Store) putKeys(ctx context.Context, tx pgx.Tx, name, domain string, text []byte) error {
	if text == nil {
		_, err := tx.Exec(ctx, s.in(`delete from $.keys k using $.box b where b.id = k.box and b.name = $1`), name)
		return err
	}
	if _, err := tx.Exec(ctx, s.in(`insert into $.box (name, domain) values ($1, $2) on conflict do nothing`), name, domain); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, s.in(`insert into $.keys (box, text) select id, $2 from $.box where name = $1 on conflict (box) do update set text = excluded.text, version = excluded.version`), name, text)
	if err == nil && tag.RowsAffected() == 0 {
		err = mailstore.ErrNoMailbox
	}
	return err
}

// joinKeys has the keys of a mailbox go with its messages into another, which may have none.
func (s *Store) joinKeys(ctx context.Context, tx pgx.Tx, box, other int64) error {
	var both bool
	if err := tx.QueryRow(ctx, s.in(`select count(*) = 2 from $.keys where box in ($1, $2)`), box, other).Scan(&both); err != nil {
		return err
	}
	if both {
		return errors.New("postgres: its messages are sealed with keys of its own, and the other mailbox has keys as well: unseal it first")
	}
	_, err := tx.Exec(ctx, s.in(`update $.keys set box = $2 where box = $1`), box, other)
	return err
}
