package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// schemaVersion is how many steps there are. A step is never changed once it was released, and leaves what is there usable
// for the version before, which may still be running beside this one.
const schemaVersion = 2

// migrate makes the tables or brings them up to date, one process at a time, and learns which server this is.
func (s *Store) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// One after the other: the lock ends with the transaction, so that a pooler does no harm.
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtext('postrider schema'))`); err != nil {
			return err
		}
		version, err := s.version(ctx, tx)
		if err != nil {
			return err
		}
		if version > schemaVersion {
			return fmt.Errorf("schema %s is of version %d; this program knows %d: it is too old", s.schema, version, schemaVersion)
		}
		for version < schemaVersion {
			version++
			text, err := schemaFiles.ReadFile(fmt.Sprintf("schema/%d.sql", version))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, strings.ReplaceAll(string(text), "{{schema}}", s.schema), pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("schema version %d: %w", version, err)
			}
			if _, err := tx.Exec(ctx, s.in(`update $.version set number = $1`), version); err != nil {
				return err
			}
		}
		return s.remember(ctx, tx)
	})
}

// version is that of the tables, 0 where there are none. Nothing is made in a schema that holds something else.
func (s *Store) version(ctx context.Context, tx pgx.Tx) (n int, err error) {
	var schema, ours bool
	var others int
	err = tx.QueryRow(ctx, `select exists(select from pg_namespace where nspname = $1),
		exists(select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = 'version' and c.relkind = 'r'),
		(select count(*)::int from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1)`, s.schema).Scan(&schema, &ours, &others)
	if err != nil {
		return 0, err
	}
	if ours {
		err = tx.QueryRow(ctx, s.in(`select number from $.version where product = 'postrider mail store'`)).Scan(&n)
		if errors.Is(err, pgx.ErrNoRows) {
			err = fmt.Errorf("schema %s belongs to something else", s.schema)
		}
		return n, err
	}
	if others > 0 {
		return 0, fmt.Errorf("schema %s holds something else; name another, or another database", s.schema)
	}
	if !schema {
		if _, err := tx.Exec(ctx, `create schema `+s.schema); err != nil {
			return 0, err
		}
	}
	_, err = tx.Exec(ctx, s.in(`create table $.version (product text primary key, number int not null)`))
	if err == nil {
		_, err = tx.Exec(ctx, s.in(`insert into $.version values ('postrider mail store', 0)`))
	}
	return 0, err
}

// remember compares the server with what the database itself knows of those before, and writes down what is new.
func (s *Store) remember(ctx context.Context, tx pgx.Tx) error {
	var system, timeline int64
	if err := tx.QueryRow(ctx, s.in(`select system, timeline from $.store`)).Scan(&system, &timeline); err != nil {
		return err
	}
	s.seen.mu.Lock()
	isSystem, isTimeline := s.seen.system, s.seen.timeline
	s.seen.mu.Unlock()
	if system == isSystem && timeline == isTimeline {
		return nil
	}
	_, err := tx.Exec(ctx, s.in(`update $.store set system = $1, timeline = greatest(timeline, $2)`), isSystem, isTimeline)
	return err
}
