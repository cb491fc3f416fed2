package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// guard remembers what servers were seen, and what they warned of.
type guard struct {
	mu       sync.Mutex
	system   int64
	timeline int64
	warned   map[*pgconn.PgConn]string
}

// notice keeps a connection's last warning. PostgreSQL says by a warning alone that a commit's wait for its standby was
// cancelled.
func (g *guard) notice(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized != "WARNING" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.warned == nil {
		g.warned = make(map[*pgconn.PgConn]string)
	}
	g.warned[c] = n.Message
}

// warning returns what a connection was last warned of, and forgets it.
func (g *guard) warning(c *pgconn.PgConn) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	text := g.warned[c]
	delete(g.warned, c)
	return text
}

func (g *guard) forget(c *pgconn.PgConn) { g.warning(c) }

// Errors of a server that is not to be trusted with mail.
var (
	errRecovery = errors.New("the server is in recovery: it only repeats what another does")
	errStandby  = errors.New("the server has too few synchronous standbys")
)

// check refuses a server that cannot keep the store's promises. It is asked of every new connection: behind one name there may
// be another server each time.
func (s *Store) check(ctx context.Context, c *pgx.Conn) error {
	var (
		recovery                  bool
		fsync, pages, sync, names string
		version                   int
		system, timeline          int64
		standbys                  int
	)
	err := c.QueryRow(ctx, `select pg_is_in_recovery(), current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
		current_setting('synchronous_standby_names'), current_setting('server_version_num')::int, system_identifier,
		case when pg_is_in_recovery() then 0 else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint end,
		(select count(*)::int from pg_stat_replication where sync_state in ('sync', 'quorum'))
		from pg_control_system()`).Scan(&recovery, &fsync, &pages, &sync, &names, &version, &system, &timeline, &standbys)
	if err != nil {
		return err
	}
	switch {
	case recovery:
		return errRecovery
	case version < 140000:
		return fmt.Errorf("the server is PostgreSQL %d; 14 is the oldest that is known to work", version/10000)
	case fsync != "on":
		return errors.New("the server's fsync is off: what it confirms is lost with the power")
	case pages != "on":
		return errors.New("the server's full_page_writes is off: its tables do not survive a loss of power")
	case sync == "off":
		return errors.New("synchronous_commit is off: what the server confirms is lost with it")
	case s.replicas > 0 && (names == "" || sync == "local"):
		return fmt.Errorf("%w: synchronous_standby_names and synchronous_commit name none (%d wanted)", errStandby, s.replicas)
	case s.replicas > standbys:
		return fmt.Errorf("%w: %d of %d are connected", errStandby, standbys, s.replicas)
	}
	return s.seen.same(system, timeline)
}

// same refuses another database than before, and one that is older: the primary of before a failover, which has come back and
// knows nothing of what was stored since.
func (g *guard) same(system, timeline int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.system != 0 && system != g.system:
		return fmt.Errorf("this is another database than before (system identifier %s, not %s)", strconv.FormatUint(uint64(system), 10), strconv.FormatUint(uint64(g.system), 10))
	case timeline < g.timeline:
		return fmt.Errorf("the server is older than one that was seen before (timeline %d, not %d): another has taken its place", timeline, g.timeline)
	}
	g.system, g.timeline = system, timeline
	return nil
}
