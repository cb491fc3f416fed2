package database_test

import (
	"sync"
	"testing"
	"testing/fstest"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// TestMigrateBeside: tables are brought up to date beside a server that uses them in the other order: whose transaction the database takes back does it anew.
func TestMigrateBeside(t *testing.T) {
	t.Parallel()
	db, err := database.Connect(t.Context(), peertest.DSN(peertest.Postgres(t)), database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	tables := func(version int) database.Tables {
		return database.Tables{Product: "postrider test", Version: version, Files: fstest.MapFS{
			"schema/1.sql": {Data: []byte(`create table {{schema}}.first (n int); create table {{schema}}.second (n int);`)},
			"schema/2.sql": {Data: []byte(`alter table {{schema}}.first add column m int; alter table {{schema}}.second add column m int;`)},
		}}
	}
	if err := db.Migrate(t.Context(), tables(1), nil); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Pool.Begin(t.Context()) // of the version before
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), db.In(`insert into $.second values (1)`)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := db.Migrate(t.Context(), tables(2), nil); err != nil {
			t.Error(err)
		}
	})
	peertest.Await(t, "the migration to wait", func() (yes bool) {
		err := tx.QueryRow(t.Context(), `select count(*) = 1 from pg_locks where not granted`).Scan(&yes)
		return err == nil && yes
	})
	_, err = tx.Exec(t.Context(), db.In(`insert into $.first values (1)`))
	if err != nil && !database.TakenBack(err) {
		t.Error(err)
	}
	if err == nil {
		err = tx.Commit(t.Context())
	} else {
		err = tx.Rollback(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
	all.Wait()
}
