package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Node is a server that has the store open.
type Node struct {
	ID       string            // tells it from all others, also when it was started anew or its machine has another name
	Host     string            // for people: of which machine, and where there
	Name     string            // what it calls itself
	Version  string            // of its program
	Settings map[string]string // a hash by section, for comparison
	Since    time.Time         // tells its process from those before, and from one that has its ID because one was copied from the other

	// Seen is when it was last heard of, by the clock of the database, and Silent for how long it was not.
	Seen   time.Time
	Silent time.Duration
}

const (
	// SilentAfter is when a server is not heard of any more that announces itself every ten seconds.
	SilentAfter = 35 * time.Second

	// forgotten is when it is forgotten.
	forgotten = 7 * 24 * time.Hour
)

// Announce tells the others of a server; it does so again and again while it runs. Seen and Silent are the store's business. Where
// another process has its ID and was heard of lately, nothing is changed, and that one is returned: the process before, if it was killed,
// or else one that lives.
func (s *Store) Announce(ctx context.Context, n Node) (holder *Node, err error) {
	asking, cancel, err := s.within(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	// Versions before had the place for an ID: what they left is taken away.
	tag, err := s.relaxed(asking, `with old as (delete from $.node where (seen < clock_timestamp() - $7::interval or id = $2) and id <> $1)
		insert into $.node (id, host, name, version, settings, since, seen) values ($1, $2, $3, $4, $5, $6, clock_timestamp())
		on conflict (id) do update set host = excluded.host, name = excluded.name, version = excluded.version, settings = excluded.settings, since = excluded.since, seen = excluded.seen
		where node.since = excluded.since or node.seen < clock_timestamp() - $8::interval`,
		n.ID, n.Host, n.Name, n.Version, n.Settings, n.Since, forgotten, SilentAfter)
	if err != nil || tag.RowsAffected() > 0 {
		return nil, unavailable("announce server", err)
	}
	all, err := s.Nodes(ctx)
	for i := range all {
		if all[i].ID == n.ID {
			holder = &all[i]
		}
	}
	return holder, err
}

// Withdraw is for a server that ends in an orderly way.
func (s *Store) Withdraw(ctx context.Context, n Node) error {
	ctx, cancel, err := s.within(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	_, err = s.relaxed(ctx, `delete from $.node where id = $1 and since = $2`, n.ID, n.Since)
	return unavailable("withdraw server", err)
}

// Nodes are the servers that were announced and not withdrawn, also those that are not heard of any more, by host and id.
func (s *Store) Nodes(ctx context.Context) (all []Node, err error) {
	err = s.reading(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, s.in(`select id, host, name, version, settings, since, seen, greatest(clock_timestamp() - seen, interval '0') from $.node order by host, id`))
		if err == nil {
			all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (n Node, err error) {
				return n, row.Scan(&n.ID, &n.Host, &n.Name, &n.Version, &n.Settings, &n.Since, &n.Seen, &n.Silent)
			})
		}
		return err
	})
	return all, unavailable("list servers", err)
}
