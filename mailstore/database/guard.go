package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// guard remembers what servers were seen, and what they warned of.
type guard struct {
	file  string // where that is written down; empty: nowhere
	reads bool   // by another

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

// asked is what is asked of every server, as one row of texts. pg_control_system may be called by everybody.
const asked = `select pg_is_in_recovery()::text, current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
	current_setting('synchronous_standby_names'), current_setting('server_version_num'), system_identifier::text,
	case when pg_is_in_recovery() then '0' else (` + TimelineOf + `)::text end,
	(select count(*)::text from pg_stat_replication where sync_state in ('sync', 'quorum')),
	pg_has_role(current_user, 'pg_read_all_stats', 'usage')::text, current_setting('transaction_read_only')
	from pg_control_system()`

// TimelineOf is, in a statement, the number of a server that is not in recovery, which grows with each failover.
const TimelineOf = `('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint`

// check refuses a server that cannot keep what it confirms. It is asked of every new connection, before it is one: where
// several hosts are named, the next is tried then.
func (d *Database) check(ctx context.Context, c *pgconn.PgConn) error {
	results, err := c.Exec(ctx, asked).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 11 {
		return errors.New("the server does not say what it is")
	}
	row := results[0].Rows[0]
	text := func(i int) string { return string(row[i]) }
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(text(i), 10, 64) // 0 is refused below, or means none
		return n
	}
	synchronous, standbys := text(3), number(8)
	switch {
	case text(0) == "true":
		return errRecovery
	case text(10) == "on":
		return errors.New("the server is read-only: default_transaction_read_only is on")
	case number(5) < 140000:
		return fmt.Errorf("the server is PostgreSQL %d; 14 is the oldest that is known to work", number(5)/10000)
	case text(1) != "on":
		return errors.New("the server's fsync is off: what it confirms is lost with the power")
	case text(2) != "on":
		return errors.New("the server's full_page_writes is off: its tables do not survive a loss of power")
	case synchronous == "off":
		return errors.New("synchronous_commit is off: what the server confirms is lost with it")
	case d.o.Replicas > 0 && (text(4) == "" || synchronous == "local"):
		return fmt.Errorf("%w: synchronous_standby_names and synchronous_commit name none (%d wanted)", errStandby, d.o.Replicas)
	case d.o.Replicas > 0 && text(9) != "true": // the states of standbys are empty to him
		return fmt.Errorf("%w that this user may see; an administrator has to: grant pg_read_all_stats to its name", errStandby)
	case int64(d.o.Replicas) > standbys:
		return fmt.Errorf("%w: %d of %d are connected", errStandby, standbys, d.o.Replicas)
	}
	c.CustomData()[timelineKey] = number(7)
	return d.seen.same(number(6), number(7))
}

const timelineKey = "postrider timeline"

// fresh reports whether a connection that is open leads to a server in whose place no other has been seen since.
func (g *guard) fresh(_ context.Context, c *pgx.Conn) (bool, error) {
	timeline, _ := c.PgConn().CustomData()[timelineKey].(int64)
	g.mu.Lock()
	defer g.mu.Unlock()
	return timeline >= g.timeline, nil
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
	if g.system == system && g.timeline == timeline {
		return nil
	}
	g.system, g.timeline = system, timeline
	return g.save()
}

// load reads what an earlier process has seen.
func (g *guard) load() error {
	if g.file == "" {
		return nil
	}
	text, err := os.ReadFile(g.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = fmt.Sscanf(string(text), memory, &g.system, &g.timeline)
	}
	if err != nil {
		return fmt.Errorf("the servers seen before, in %s: %w", g.file, err)
	}
	return nil
}

const memory = "system %d timeline %d\n"

// save writes down what was seen. g.mu is held.
func (g *guard) save() error {
	if g.file == "" || g.reads {
		return nil
	}
	disk, err := durable.Open(filepath.Dir(g.file))
	if err != nil {
		return err
	}
	defer disk.Close()
	return disk.ReplaceFile(context.Background(), g.file, fmt.Appendf(nil, memory, g.system, g.timeline))
}
