package postgres

import (
	"context"
	"embed"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/mailstore/database"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// tables are the store's.
var tables = database.Tables{Product: "postrider mail store", Files: schemaFiles, Version: 3}

// migrate makes the tables or brings them up to date, and learns which server this is.
func (s *Store) migrate(ctx context.Context) error {
	err := s.db.Migrate(ctx, tables, func(tx pgx.Tx) error { return errors.Join(s.remember(ctx, tx), s.nameKeys(ctx, tx)) })
	if err != nil {
		return err
	}
	return s.migrateSealing(ctx)
}

// remember compares the server with what the database itself knows of those before, and writes down what is new.
func (s *Store) remember(ctx context.Context, tx pgx.Tx) error {
	var system, timeline int64
	if err := tx.QueryRow(ctx, s.in(`select system, timeline from $.store`)).Scan(&system, &timeline); err != nil {
		return err
	}
	isSystem, isTimeline := s.db.Server()
	if system == isSystem && timeline == isTimeline {
		return nil
	}
	_, err := tx.Exec(ctx, s.in(`update $.store set system = $1, timeline = greatest(timeline, $2)`), isSystem, isTimeline)
	return err
}
