package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// Flag implements mailstore.Keeper.
func (m *maildrop) Flag(ctx context.Context, is []int, flags string) error {
	return m.mark(ctx, is, func(had string) string { return mailstore.CleanFlags(had + flags) })
}

// Unflag implements mailstore.Trash.
func (m *maildrop) Unflag(ctx context.Context, is []int, flags string) error {
	return m.mark(ctx, is, func(had string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(flags, r) {
				return -1
			}
			return r
		}, had)
	})
}

// mark changes the flags of messages. Nobody else changes them while the maildrop is locked.
func (m *maildrop) mark(ctx context.Context, is []int, to func(had string) string) error {
	if _, err := m.numbers(is); err != nil {
		return err
	}
	var uids []int64
	var flags []string
	became := make(map[int]string)
	for _, i := range slices.Compact(slices.Sorted(slices.Values(is))) {
		if now := to(m.Flags(i)); !m.gone[i] && now != m.Flags(i) {
			uids, flags = append(uids, m.list[i].uid), append(flags, now)
			became[i] = now
		}
	}
	if len(uids) == 0 {
		return ctx.Err()
	}
	err := m.s.fenced(ctx, m.lock, func(tx pgx.Tx) error {
		if err := m.lockBox(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, m.s.in(`update $.msg g set flags = a.flags, changed = clock_timestamp(), modseq = b.version + 1 from unnest($2::bigint[], $3::text[]) a(uid, flags), $.box b
			where g.box = $1 and b.id = $1 and g.uid = a.uid`), m.lock.box, uids, flags)
		return err
	})
	if err != nil {
		return err
	}
	if m.flags == nil {
		m.flags = make(map[int]string)
	}
	for i, now := range became {
		m.flags[i] = now
	}
	return nil
}

// Move implements mailstore.Keeper. In its folder a message has a number above those of all that came before.
func (m *maildrop) Move(ctx context.Context, is []int, folder string) error {
	uids, err := m.numbers(is)
	switch {
	case err != nil:
		return err
	case !mailstore.IsFolder(folder):
		return fmt.Errorf("postgres: %q cannot be the name of a folder", folder)
	case len(uids) == 0:
		return ctx.Err()
	}
	err = m.s.fenced(ctx, m.lock, func(tx pgx.Tx) error {
		if err := m.lockBox(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, m.s.in(`insert into $.folder (box, id, name) select $1, coalesce(max(id), 0) + 1, $2 from $.folder where box = $1 on conflict do nothing`), m.lock.box, folder); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, m.s.in(`update $.msg g set folder = f.id, uid = b.next_uid + a.n - 1, modseq = b.version + 1 from unnest($2::bigint[]) with ordinality a(uid, n), $.box b, $.folder f
			where g.box = $1 and b.id = $1 and f.box = $1 and f.name = $3 and g.uid = a.uid and g.folder = 0`), m.lock.box, uids, folder)
		return err
	})
	if err == nil {
		m.forget(is)
	}
	return err
}

// sweepAll throws away what messages left that were given up, once an hour and soon after the start.
func (s *Store) sweepAll() {
	wait := time.NewTimer(time.Minute)
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
			ctx, cancel := context.WithTimeout(s.ends, 10*time.Minute)
			if n, err := s.Sweep(ctx); err != nil {
				s.log.Info("pieces of messages that were given up are not swept away", "err", err)
			} else if n > 0 {
				s.log.Info("pieces of messages that were given up are swept away", "pieces", n)
			}
			cancel()
			wait.Reset(time.Hour)
		case <-s.ends.Done():
			return
		}
	}
}

// Sweep deletes the pieces of large messages that were given up, and what is outside of the database and no message needs any more. It
// returns how many there were.
func (s *Store) Sweep(ctx context.Context) (int64, error) {
	n, err := s.pieces.Sweep(ctx, database.Idle, `not exists (select from $.body b where b.id = p.body)`)
	objects, failed := s.sweepObjects(ctx)
	return n + objects, errors.Join(unavailable("sweep", err), failed)
}
