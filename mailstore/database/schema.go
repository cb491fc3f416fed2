package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Tables are those of one product: a file schema/N.sql for each of its versions from 1 on, in which "{{schema}}" stands for the
// schema's name. A step is never changed once it was released, and leaves what is there usable for the version before, which may
// still be running beside this one.
type Tables struct {
	Product string // its name in the table "version", from which it is never changed; it begins with "postrider "
	Files   fs.FS
	Version int
}

// Migrate makes tables or brings them up to date, one process at a time, and calls then in the same transaction. It is done anew where the database took it back:
// a server that is running uses tables in another order than they are changed in.
func (d *Database) Migrate(ctx context.Context, t Tables, then func(tx pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	_, err := Again(func() (bool, error) { return true, d.migrate(ctx, t, then) })
	return err
}

func (d *Database) migrate(ctx context.Context, t Tables, then func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		// One after the other: the lock ends with the transaction, so that a pooler does no harm.
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtext('postrider schema'))`); err != nil {
			return err
		}
		version, err := d.version(ctx, tx, t.Product)
		if err != nil {
			return err
		}
		if version > t.Version {
			return fmt.Errorf("schema %s is of version %d; this program knows %d: it is too old", d.o.Schema, version, t.Version)
		}
		for version < t.Version {
			version++
			text, err := fs.ReadFile(t.Files, fmt.Sprintf("schema/%d.sql", version))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, strings.ReplaceAll(string(text), "{{schema}}", d.o.Schema), pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("schema version %d: %w", version, err)
			}
			if _, err := tx.Exec(ctx, d.In(`update $.version set number = $1 where product = $2`), version, t.Product); err != nil {
				return err
			}
		}
		if then == nil {
			return nil
		}
		return then(tx)
	})
}

// version is that of a product's tables, 0 where there are none. Nothing is made in a schema that holds something else than ours.
func (d *Database) version(ctx context.Context, tx pgx.Tx, product string) (n int, err error) {
	var schema, ours bool
	var others int
	err = tx.QueryRow(ctx, `select exists(select from pg_namespace where nspname = $1),
		exists(select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = 'version' and c.relkind = 'r'),
		(select count(*)::int from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1)`, d.o.Schema).Scan(&schema, &ours, &others)
	if err != nil {
		return 0, err
	}
	if !ours {
		if others > 0 {
			return 0, fmt.Errorf("schema %s holds something else; name another, or another database", d.o.Schema)
		}
		if !schema {
			if _, err := tx.Exec(ctx, `create schema `+d.o.Schema); err != nil {
				return 0, err
			}
		}
		if _, err = tx.Exec(ctx, d.In(`create table $.version (product text primary key, number int not null)`)); err != nil {
			return 0, err
		}
		_, err = tx.Exec(ctx, d.In(`insert into $.version values ($1, 0)`), product)
		return 0, err
	}
	err = tx.QueryRow(ctx, d.In(`select number from $.version where product = $1`), product).Scan(&n)
	if !errors.Is(err, pgx.ErrNoRows) {
		return n, err
	}
	var known bool
	if err := tx.QueryRow(ctx, d.In(`select exists(select from $.version where product like 'postrider %')`)).Scan(&known); err != nil {
		return 0, err
	}
	if !known {
		return 0, fmt.Errorf("schema %s belongs to something else", d.o.Schema)
	}
	_, err = tx.Exec(ctx, d.In(`insert into $.version values ($1, 0)`), product)
	return 0, err
}

// Server is which server was seen last: the identifier of the database and its timeline.
func (d *Database) Server() (system, timeline int64) {
	d.seen.mu.Lock()
	defer d.seen.mu.Unlock()
	return d.seen.system, d.seen.timeline
}

// Saw takes note of a timeline, as if a connection had met it: servers of lower ones are not used any more.
func (d *Database) Saw(timeline int64) {
	d.seen.mu.Lock()
	defer d.seen.mu.Unlock()
	d.seen.timeline = max(d.seen.timeline, timeline)
}
