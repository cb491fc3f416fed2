// Package postgres keeps in a database what belongs to all servers on it (package cluster).
//
// Documents are sealed with a key that every server has in a file (secret_key_file), and are bound to their names: neither who
// administers the database nor who gets a backup of it reads a key that mail is signed with, or puts one in place of another. That all servers
// have the same key is proved by a document.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/mailstore/database"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// tables are those of this package.
var tables = database.Tables{Product: "postrider state", Files: schemaFiles, Version: 1}

// longest bounds one thing that is asked for, where the database does not: nobody waits for a document that long.
const longest = 10 * time.Second

// Store is a cluster.Store and a cluster.Counts in a database. It is safe for concurrent use, and needs no Close: the database is its owner's.
type Store struct {
	db    *database.Database
	key   seal.Key
	wrong error // why nothing can be sealed or opened
}

var (
	_ cluster.Store  = (*Store)(nil)
	_ cluster.Counts = (*Store)(nil)
)

// ErrOtherKey: the servers on this database seal with another key.
var ErrOtherKey = errors.New("the servers on this database have another secret key than this one: copy theirs (secret_key_file) here, and restart")

const (
	proofName = "proof"
	proofText = "postrider"
)

// Open opens what is in a database, whose tables are made or brought up to date. ensure gives the key that documents are sealed with;
// it may make one only if first is set, which it is where no server has sealed anything yet. A server whose key is another than that of those
// before it, or is missing, has a Store all the same, which counts with the others; what is wrong with it is in Wrong, and each document's
// error.
func Open(ctx context.Context, db *database.Database, ensure func(first bool) (seal.Key, error)) (*Store, error) {
	if err := db.Migrate(ctx, tables, nil); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	s := &Store{db: db}
	sealed, _, err := s.sealed(ctx, proofName, "")
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	key, err := ensure(sealed == nil)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrOtherKey
	}
	var secret []byte
	if err == nil {
		secret, err = key.Derive("state in a database")
	}
	if err == nil {
		s.key, err = seal.NewKey(secret)
	}
	if err == nil {
		if err = s.prove(ctx); err != nil && !errors.Is(err, ErrOtherKey) {
			return nil, err // which says nothing of the key
		}
	}
	s.wrong = err
	return s, nil
}

// Wrong is why documents can neither be read nor written: ErrOtherKey, as a rule; nil: they can.
func (s *Store) Wrong() error { return s.wrong }

// prove makes the document that proves the key, or is proved by it.
func (s *Store) prove(ctx context.Context) error {
	text, err := cluster.Update(ctx, s, proofName, func(text []byte) ([]byte, error) {
		if text != nil {
			return nil, nil
		}
		return []byte(proofText), nil
	})
	switch {
	case errors.Is(err, seal.ErrOpen), err == nil && string(text) != proofText:
		return ErrOtherKey
	case err != nil:
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// Get implements cluster.Store.
func (s *Store) Get(ctx context.Context, name string, known cluster.Version) ([]byte, cluster.Version, error) {
	if s.wrong != nil {
		return nil, "", s.wrong
	}
	box, v, err := s.sealed(ctx, name, known)
	if err != nil || box == nil {
		return nil, v, err
	}
	text, err := s.key.Open(box, []byte(name))
	if err != nil {
		return nil, "", fmt.Errorf("%s in the database: %w", name, err)
	}
	if text == nil {
		text = []byte{}
	}
	return text, v, nil
}

func (s *Store) sealed(ctx context.Context, name string, known cluster.Version) (box []byte, v cluster.Version, err error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	var n int64
	err = s.db.Reading(ctx, func(ctx context.Context) error {
		return s.db.Pool.QueryRow(ctx, s.db.In(`select version, case when version = $2 then null else text end from $.document where name = $1`),
			name, number(known)).Scan(&n, &box)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, "", nil
	}
	return box, cluster.Version(strconv.FormatInt(n, 10)), err
}

// number is a version as the database has it; 0 is none's.
func number(v cluster.Version) int64 {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n <= 0 {
		return 0
	}
	return n
}

// Put implements cluster.Store. A version is the number of a transaction, so that one that was taken away and made anew has another.
func (s *Store) Put(ctx context.Context, changes ...cluster.Change) ([]cluster.Version, error) {
	if s.wrong != nil {
		return nil, s.wrong
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	boxes := make([][]byte, len(changes))
	for i, c := range changes {
		if c.Text == nil {
			continue
		}
		var err error
		if boxes[i], err = s.key.Seal(c.Text, []byte(c.Name)); err != nil {
			return nil, err
		}
	}
	// Rows are locked in the order of their names.
	order := make([]int, len(changes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(changes[a].Name, changes[b].Name) })
	now := make([]cluster.Version, len(changes))
	err := s.db.Proven(ctx, `select 1`, func(tx pgx.Tx) error {
		for _, i := range order {
			var err error
			if now[i], err = s.put(ctx, tx, &changes[i], boxes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	var of *pgconn.PgError
	if errors.As(err, &of) && of.Code == "23505" || database.TakenBack(err) { // two have made the same document
		err = cluster.ErrChanged
	}
	if err != nil {
		return nil, err
	}
	return now, nil
}

// put makes one change in a transaction.
func (s *Store) put(ctx context.Context, tx pgx.Tx, c *cluster.Change, box []byte) (cluster.Version, error) {
	text, args := "", []any{c.Name}
	switch {
	case box == nil && c.Anyway:
		text = `delete from $.document where name = $1`
	case box == nil:
		text, args = `delete from $.document where name = $1 and version = $2`, append(args, number(c.Was))
	case c.Anyway:
		text = `insert into $.document as d (name, text, version) values ($1, $2, txid_current())
			on conflict (name) do update set text = excluded.text, version = greatest(excluded.version, d.version + 1) returning version`
		args = append(args, box)
	case c.Was == "":
		text = `insert into $.document (name, text, version) values ($1, $2, txid_current()) on conflict (name) do nothing returning version`
		args = append(args, box)
	default:
		text = `update $.document set text = $2, version = greatest(txid_current(), version + 1) where name = $1 and version = $3 returning version`
		args = append(args, box, number(c.Was))
	}
	if box == nil {
		done, err := tx.Exec(ctx, s.db.In(text), args...)
		if err == nil && done.RowsAffected() == 0 && !c.Anyway {
			err = fmt.Errorf("%s: %w", c.Name, cluster.ErrChanged)
		}
		return "", err
	}
	var n int64
	err := tx.QueryRow(ctx, s.db.In(text), args...).Scan(&n)
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("%s: %w", c.Name, cluster.ErrChanged)
	}
	return cluster.Version(strconv.FormatInt(n, 10)), err
}

// Changed implements cluster.Documents. A version is no less than the number of the transaction that wrote it; a mark is as in Hear.
func (s *Store) Changed(ctx context.Context, prefix string, since cluster.Mark) (all map[string]cluster.Version, next cluster.Mark, err error) {
	all = make(map[string]cluster.Version)
	err = s.db.Reading(ctx, func(ctx context.Context) error {
		rows, err := s.db.Pool.Query(ctx, s.db.In(`with now as (select txid_snapshot_xmin(txid_current_snapshot()) mark)
			select now.mark, d.name, d.version from now left join $.document d on d.version >= $1 and starts_with(d.name, $2)`), int64(since), prefix)
		if err != nil {
			return err
		}
		var mark int64
		var name *string
		var version *int64
		_, err = pgx.ForEachRow(rows, []any{&mark, &name, &version}, func() error {
			if name != nil {
				all[*name] = cluster.Version(strconv.FormatInt(*version, 10))
			}
			return nil
		})
		next = cluster.Mark(mark)
		return err
	})
	if err != nil {
		return nil, since, fmt.Errorf("what was changed: %w", err)
	}
	if next < since { // it was put back to an earlier moment
		next = 0
	}
	return all, next, nil
}
