package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Problem is something wrong with what is outside of the database.
type Problem struct {
	Mailboxes []string // whose message it is
	Object    string   // the key, or what keys begin with
	What      string
	Fixed     bool
}

// Verified counts what VerifyObjects has seen.
type Verified struct {
	Messages, Octets int64 // of which a part is outside
	Problems, Fixed  int64
}

// VerifyObjects reads all that is outside of the database and compares it with what was stored, and looks for objects there that the
// database knows nothing of: it was restored to an earlier moment, or the storage was. With fix these are removed, in the time that
// WithObjects says. Mail may come and go meanwhile.
func (s *Store) VerifyObjects(ctx context.Context, fix bool, report func(Problem)) (v Verified, err error) {
	if s.objects == nil {
		return v, nil
	}
	tell := func(p Problem) {
		v.Problems++
		if p.Fixed {
			v.Fixed++
		}
		report(p)
	}
	for after := (objectID{}); ; {
		some, err := s.textsOutside(ctx, after)
		if err != nil {
			return v, unavailable("verify", err)
		}
		if len(some) == 0 {
			break
		}
		for _, t := range some {
			after = t.object
			octets, wrong := s.verifyText(ctx, t)
			if ctx.Err() != nil {
				return v, ctx.Err()
			}
			v.Messages++
			v.Octets += octets
			if wrong == nil {
				continue
			}
			names, err := s.whose(ctx, t.object)
			if err != nil {
				return v, unavailable("verify", err)
			}
			if len(names) > 0 { // else it was removed since
				tell(Problem{Mailboxes: names, Object: s.objects.of(t.object), What: wrong.Error()})
			}
		}
	}
	return v, s.verifyUnknown(ctx, fix, tell)
}

// textOutside is what a message has outside.
type textOutside struct {
	object objectID
	hashes []byte
}

// textsOutside are the next hundred.
func (s *Store) textsOutside(ctx context.Context, after objectID) (some []textOutside, err error) {
	err = s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.in(`select b.object, b.hashes from $.object o join $.body b on b.object = o.id where o.id > $1 and o.until = 'infinity' order by o.id limit 100`), after)
		if err == nil {
			some, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t textOutside, err error) { return t, row.Scan(&t.object, &t.hashes) })
		}
		return err
	})
	return some, err
}

func (s *Store) verifyText(ctx context.Context, t textOutside) (octets int64, err error) {
	for n := range len(t.hashes) / sha256.Size {
		data, err := s.piece(ctx, t.object, n, t.hashes[n*sha256.Size:][:sha256.Size])
		if err != nil {
			return octets, err
		}
		octets += int64(len(data))
	}
	return octets, nil
}

// whose are the mailboxes that have a message.
func (s *Store) whose(ctx context.Context, object objectID) (names []string, err error) {
	err = s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.in(`select distinct x.name from $.box x join $.msg m on m.box = x.id join $.body b on b.id = m.body where b.object = $1 order by 1`), object)
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return names, err
}

// verifyUnknown looks for objects of this store without a row. A row is there before its objects are, and goes after them: what was
// listed, has no row and is listed again has none for good.
func (s *Store) verifyUnknown(ctx context.Context, fix bool, tell func(Problem)) error {
	seen := objectID{}
	for key, err := range s.objects.List(ctx, s.objects.prefix) {
		if err != nil {
			return unavailable("verify", err)
		}
		id, ok := s.objects.parse(key)
		if !ok {
			tell(Problem{Object: key, What: "nothing that this program makes; it is left alone"})
			continue
		}
		if id == seen { // pieces of one mostly stand side by side
			continue
		}
		seen = id
		fixed, err := s.unknown(ctx, id, fix)
		if errors.Is(err, errKnown) {
			continue
		}
		if err != nil {
			return unavailable("verify", err)
		}
		tell(Problem{Object: s.objects.of(id), What: "the database does not know it", Fixed: fixed})
	}
	return nil
}

var errKnown = errors.New("the database knows it")

// parse is which object a key is of.
func (o *objects) parse(key string) (id objectID, ok bool) {
	name, _, found := strings.Cut(strings.TrimPrefix(key, o.prefix), "/")
	text, err := hex.DecodeString(name)
	if !found || err != nil || len(text) != len(id) {
		return id, false
	}
	return objectID(text), true
}

// unknown reports errKnown where the database has a row for an object, or it is gone; else it makes a row of what is to be removed, if fix says so.
func (s *Store) unknown(ctx context.Context, id objectID, fix bool) (fixed bool, err error) {
	var known bool
	err = s.reading(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, s.in(`select exists(select from $.object where id = $1)`), id).Scan(&known)
	})
	if err != nil {
		return false, err
	}
	if known {
		return false, errKnown
	}
	there := false
	for _, err := range s.objects.List(ctx, s.objects.of(id)) {
		if err != nil {
			return false, err
		}
		there = true
		break
	}
	if !there {
		return false, errKnown
	}
	if !fix {
		return false, nil
	}
	_, err = s.pool.Exec(ctx, s.in(`insert into $.object (id, until, dead) values ($1, clock_timestamp(), clock_timestamp()) on conflict do nothing`), id)
	if err != nil {
		return false, fmt.Errorf("write down what is to be removed: %w", err)
	}
	return true, nil
}
