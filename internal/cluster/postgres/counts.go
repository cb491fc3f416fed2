package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/internal/cluster"
)

// Tell implements cluster.Counts.
func (s *Store) Tell(ctx context.Context, all []cluster.Told) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b cluster.Told) int { // so that no two servers wait for each other
		if c := strings.Compare(a.Kind, b.Kind); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	})
	const write = `insert into $.number as n (kind, key, level, at, until, tx)
		select kind, key, level, clock_timestamp(), clock_timestamp() + make_interval(secs => lives), txid_current()
			from unnest($1::text[], $2::bytea[], $3::float8[], $4::float8[]) x(kind, key, level, lives)
		on conflict (kind, key) do update set at = excluded.at, until = greatest(n.until, excluded.until), tx = excluded.tx, level = `
	if err := s.tell(ctx, write+`excluded.level`, all, true); err != nil {
		return err
	}
	// How fast it falls is the same for all of a kind.
	return s.tell(ctx, write+`excluded.level + greatest(0, n.level - extract(epoch from excluded.at - n.at)
		* coalesce((select f.falls from unnest($5::text[], $6::float8[]) f(kind, falls) where f.kind = n.kind), 0))`, all, false)
}

func (s *Store) tell(ctx context.Context, text string, all []cluster.Told, replace bool) error {
	var kinds, fallsOf []string
	var keys [][]byte
	var levels, lives, falls []float64
	for _, t := range all {
		if t.Replace != replace {
			continue
		}
		kinds, keys = append(kinds, t.Kind), append(keys, []byte(t.Key))
		levels, lives = append(levels, t.Level), append(lives, t.Lives.Seconds())
		if !slices.Contains(fallsOf, t.Kind) {
			fallsOf, falls = append(fallsOf, t.Kind), append(falls, t.Falls)
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	args := []any{kinds, keys, levels, lives}
	if !replace {
		args = append(args, fallsOf, falls)
	}
	if _, err := s.db.Relaxed(ctx, nil, text, args...); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// Hear implements cluster.Counts. A mark is a number of a transaction before which all had ended when it was made: one that began early and
// is committed late is missed by nobody.
func (s *Store) Hear(ctx context.Context, since cluster.Mark, heard func(cluster.Heard)) (next cluster.Mark, err error) {
	err = s.db.Reading(ctx, func(ctx context.Context) error {
		rows, err := s.db.Pool.Query(ctx, s.db.In(`with now as (select txid_snapshot_xmin(txid_current_snapshot()) mark)
			select now.mark, n.kind, n.key, n.level, extract(epoch from clock_timestamp() - n.at)::float8
				from now left join $.number n on n.tx >= $1 and n.until > clock_timestamp()`), int64(since))
		if err != nil {
			return err
		}
		var mark int64
		var kind *string
		var key []byte
		var level, age *float64
		_, err = pgx.ForEachRow(rows, []any{&mark, &kind, &key, &level, &age}, func() error {
			if kind != nil {
				heard(cluster.Heard{Kind: *kind, Key: string(key), Level: *level, Age: time.Duration(max(0, *age) * float64(time.Second))})
			}
			return nil
		})
		next = cluster.Mark(mark)
		return err
	})
	if err != nil {
		return since, fmt.Errorf("state: %w", err)
	}
	if next < since { // it was put back to an earlier moment
		next = 0
	}
	return next, nil
}

// mostNumbers is how many of a kind are kept. Strangers can cause any number.
const mostNumbers = 1_000_000

// Sweep takes away what nobody needs any more, and the oldest where there are too many. It is for one server at a time, and does no harm if
// several do it.
func (s *Store) Sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.db.Timeout())
	defer cancel()
	_, err := s.db.Relaxed(ctx, nil, `delete from $.number where ctid = any(array(select ctid from $.number where until < clock_timestamp() limit 100000))`)
	if err == nil {
		_, err = s.db.Relaxed(ctx, nil, `delete from $.number n using (select kind, (array_agg(at order by at desc))[$1::int] last from $.number group by kind having count(*) > $1) k
			where n.kind = k.kind and n.at <= k.last`, mostNumbers)
	}
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}
