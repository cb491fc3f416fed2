package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/cluster/clustertest"
	"github.com/postrider-mail/postrider/internal/cluster/postgres"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// connect is a database whose schema is a test's own.
func connect(t *testing.T, dsn string) *database.Database {
	t.Helper()
	h := fnv.New64a()
	io.WriteString(h, t.Name())
	db, err := database.Connect(t.Context(), dsn, database.Options{Schema: fmt.Sprintf("state_%x", h.Sum64()), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

var key = seal.GenerateKey()

func having(key seal.Key) func(bool) (seal.Key, error) {
	return func(bool) (seal.Key, error) { return key, nil }
}

func open(t *testing.T, dsn string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), connect(t, dsn), having(key))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	dsn := peertest.DSN(db)
	for _, way := range []struct{ name, dsn string }{{"Direct", dsn}, {"Pooler", peertest.Pooler(t, db)}} {
		t.Run(way.name, func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) cluster.Store { return open(t, way.dsn) })
			clustertest.RunDocuments(t, func(t *testing.T) cluster.Documents { return open(t, way.dsn) })
			clustertest.RunCounts(t, func(t *testing.T) cluster.Counts { return open(t, way.dsn) })
		})
	}
	t.Run("Sealed", func(t *testing.T) { testSealed(t, dsn) })
	t.Run("Keys", func(t *testing.T) { testKeys(t, dsn) })
	t.Run("Unproved", func(t *testing.T) { testUnproved(t, dsn) })
	t.Run("Late", func(t *testing.T) { testLate(t, dsn) })
	t.Run("Sweep", func(t *testing.T) { testSweep(t, dsn) })
	t.Run("Index", func(t *testing.T) { testIndex(t, dsn) })
}

// testIndex: each server asks once a second what was changed, which must not read all documents (names are of no help where a database sorts by a language).
func testIndex(t *testing.T, dsn string) {
	open(t, dsn)
	db := connect(t, dsn)
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `set local enable_seqscan = off`); err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query(t.Context(), db.In(`explain select name from $.document where version >= 1000`))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if all := strings.Join(plan, "\n"); err != nil || !strings.Contains(all, "document_version") {
		t.Errorf("%s %v", all, err)
	}
}

// testSealed: nothing of a document is to be read in the database, and none stands in for another.
func testSealed(t *testing.T, dsn string) {
	s, db := open(t, dsn), connect(t, dsn)
	for _, name := range []string{"a", "b"} {
		if _, err := s.Put(t.Context(), cluster.Change{Name: name, Text: []byte("-----BEGIN PRIVATE KEY----- of " + name)}); err != nil {
			t.Fatal(err)
		}
	}
	var text []byte
	if err := db.Pool.QueryRow(t.Context(), db.In(`select text from $.document where name = 'a'`)).Scan(&text); err != nil || len(text) < 20 || bytes.Contains(text, []byte("PRIVATE")) {
		t.Errorf("%q %v", text, err)
	}
	if _, err := db.Pool.Exec(t.Context(), db.In(`update $.document d set text = (select text from $.document where name = 'b') where name = 'a'`)); err != nil {
		t.Fatal(err)
	}
	if text, _, err := s.Get(t.Context(), "a", ""); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("%q %v", text, err)
	}
}

// testKeys: the first server may make the key, the others need the same.
func testKeys(t *testing.T, dsn string) {
	made := 0
	one := func(mayMake bool) (seal.Key, error) {
		if !mayMake {
			return seal.Key{}, fs.ErrNotExist
		}
		made++
		return key, nil
	}
	wrong := func(ensure func(bool) (seal.Key, error)) error {
		t.Helper()
		s, err := postgres.Open(t.Context(), connect(t, dsn), ensure)
		if err != nil {
			t.Fatal(err)
		}
		_, _, get := s.Get(t.Context(), "x", "")
		_, put := s.Put(t.Context(), cluster.Change{Name: "x", Text: []byte("x"), Anyway: true})
		if err := s.Tell(t.Context(), []cluster.Told{{Kind: "k", Key: "x", Lives: time.Hour}}); err != nil {
			t.Error(err)
		}
		if is := s.Wrong(); !errors.Is(get, is) || !errors.Is(put, is) {
			t.Errorf("%v: %v, %v", is, get, put)
		}
		return s.Wrong()
	}
	if err := wrong(one); err != nil || made != 1 {
		t.Fatal(err)
	}
	if err := wrong(one); !errors.Is(err, postgres.ErrOtherKey) || made != 1 {
		t.Errorf("a second one was made: %v", err)
	}
	if err := wrong(having(seal.GenerateKey())); !errors.Is(err, postgres.ErrOtherKey) {
		t.Errorf("another key opens it: %v", err)
	}
	if err := wrong(having(key)); err != nil {
		t.Error(err)
	}
}

// testUnproved: a database that fails while the key is proved says nothing of the key: a server that took it for another's would go on with keys
// of its own.
func testUnproved(t *testing.T, dsn string) {
	db := connect(t, dsn)
	open(t, dsn)
	for _, text := range []string{`delete from $.document`, `alter table $.document add constraint no check (false) not valid`} {
		if _, err := db.Pool.Exec(t.Context(), db.In(text)); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := postgres.Open(t.Context(), connect(t, dsn), having(key)); err == nil {
		t.Errorf("it is open, with %v", s.Wrong())
	}
	if _, err := db.Pool.Exec(t.Context(), db.In(`alter table $.document drop constraint no`)); err != nil {
		t.Fatal(err)
	}
	if s := open(t, dsn); s.Wrong() != nil {
		t.Error(s.Wrong())
	}
}

// testLate: what a transaction told that began before others and ended after them is heard of.
func testLate(t *testing.T, dsn string) {
	s, db := open(t, dsn), connect(t, dsn)
	tx, err := db.Pool.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), db.In(`insert into $.number values ('k', 'late', 7, clock_timestamp(), clock_timestamp() + interval '1 hour', txid_current())`))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tell(t.Context(), []cluster.Told{{Kind: "k", Key: "early", Level: 1, Lives: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	mark, err := s.Hear(t.Context(), 0, func(cluster.Heard) {})
	if err == nil {
		err = tx.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	found := false
	if _, err = s.Hear(t.Context(), mark, func(h cluster.Heard) { found = found || h.Key == "late" && h.Level == 7 }); err != nil || !found {
		t.Errorf("nobody hears of it: %v", err)
	}
	if next, err := s.Hear(t.Context(), mark+1_000_000, func(cluster.Heard) {}); err != nil || next != 0 {
		t.Errorf("a database of an earlier moment: %d %v", next, err)
	}
}

// testSweep: what is over goes.
func testSweep(t *testing.T, dsn string) {
	s, db := open(t, dsn), connect(t, dsn)
	if err := s.Tell(t.Context(), []cluster.Told{{Kind: "k", Key: "over", Level: 1, Lives: -time.Second}, {Kind: "k", Key: "here", Level: 1, Lives: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left string
	if err := db.Pool.QueryRow(t.Context(), db.In(`select string_agg(convert_from(key, 'UTF8'), ' ') from $.number`)).Scan(&left); err != nil || left != "here" {
		t.Errorf("%q %v", left, err)
	}
}
