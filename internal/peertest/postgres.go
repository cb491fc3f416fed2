package peertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Database is a PostgreSQL of a test's own.
type Database struct {
	Port int
	dir  string
	proc *process
}

// postgresConf is a server on the loopback interface that keeps what it confirms; it may have a standby.
const postgresConf = `
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = ''
max_connections = 100
shared_buffers = 64MB
wal_level = replica
max_wal_senders = 8
hot_standby = on
log_min_messages = warning
`

// Postgres starts the installed PostgreSQL with an empty database. lines are added to its settings.
func Postgres(t testing.TB, lines ...string) *Database {
	t.Helper()
	d := newDatabase(t)
	d.initialize(t)
	d.configure(t, lines)
	hba := filepath.Join(d.dir, "pg_hba.conf")
	text, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	// It listens to the loopback interface alone, unless a test puts it into a network of its own.
	write(t, hba, string(text)+"host all all 198.18.0.0/15 trust\n", 0o600, owner())
	d.Start(t)
	return d
}

// Standby starts a server that repeats what d does, called name.
func (d *Database) Standby(t testing.TB, name string, lines ...string) *Database {
	t.Helper()
	s := newDatabase(t)
	s.Follow(t, d, name, lines...)
	return s
}

// Follow makes a server anew, as one that repeats what d does, called name. What it had is gone.
func (s *Database) Follow(t testing.TB, d *Database, name string, lines ...string) {
	t.Helper()
	if s.proc != nil {
		s.Kill()
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	mkdir(t, s.dir, 0o700, owner())
	s.tool(t, "pg_basebackup", "--no-sync", "-h", "127.0.0.1", "-p", strconv.Itoa(d.Port), "-U", "postgres", "-D", s.dir, "-X", "stream", "-c", "fast")
	follow := fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=postgres application_name=%s'", d.Port, name)
	s.configure(t, append(slices.Clone(lines), follow))
	write(t, filepath.Join(s.dir, "standby.signal"), "", 0o600, owner())
	s.Start(t)
	Await(t, "the standby to follow", func() bool {
		ask := fmt.Sprintf("select 'yes' from pg_stat_replication where state = 'streaming' and application_name = '%s'", name)
		out, err := d.as(exec.Command(d.program("psql"), "-At", "-h", "127.0.0.1", "-p", strconv.Itoa(d.Port), "-U", "postgres", "-c", ask)).Output()
		return err == nil && strings.TrimSpace(string(out)) == "yes"
	})
}

// NoDatabase is a place for one, in which nothing is yet: what a page says may make it, by Play, and Start starts it.
func NoDatabase(t testing.TB) *Database {
	t.Helper()
	return newDatabase(t)
}

// Dir is where its files are.
func (d *Database) Dir() string { return d.dir }

// Play runs a line of a page in a shell, as the server's owner, who finds the server by his surroundings.
func (d *Database) Play(t testing.TB, line string) {
	t.Helper()
	cmd := d.as(exec.Command("sh", "-c", line))
	cmd.Dir = filepath.Dir(d.dir)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(d.program("initdb"))+":"+os.Getenv("PATH"), "PGHOST=127.0.0.1", fmt.Sprint("PGPORT=", d.Port), "PGUSER=postgres")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

func newDatabase(t testing.TB) *Database {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		missing(t, "PostgreSQL")
	}
	if _, err := user.LookupId(strconv.Itoa(owner())); err != nil {
		t.Skipf("PostgreSQL runs for nobody who has no name: %v", err)
	}
	d := &Database{Port: FreePort(t), dir: filepath.Join(openDir(t), "data")}
	mkdir(t, d.dir, 0o700, owner())
	return d
}

// owner is who runs the server, which refuses to be root.
func owner() int {
	if os.Getuid() == 0 {
		return nobodyID
	}
	return os.Getuid()
}

func (d *Database) program(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	return found[len(found)-1]
}

// as makes a command the owner's.
func (d *Database) as(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = d.dir
	if os.Getuid() == 0 {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
		Become(cmd.SysProcAttr, nobodyID, nobodyID)
	}
	return cmd
}

func (d *Database) tool(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := d.as(exec.Command(d.program(name), args...)).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// configure replaces the settings.
func (d *Database) configure(t testing.TB, lines []string) {
	t.Helper()
	text := fmt.Sprintf(postgresConf, d.Port)
	for _, line := range lines {
		text += line + "\n"
	}
	write(t, filepath.Join(d.dir, "postgresql.conf"), text, 0o600, owner())
}

// Start starts a server that was stopped.
func (d *Database) Start(t testing.TB) {
	t.Helper()
	d.proc = begin(t, d.as(exec.Command(d.program("postgres"), "-D", d.dir)), d.end)
	d.proc.awaitPort(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(d.Port)))
	Await(t, "PostgreSQL to answer", func() bool { // it listens before it does
		return d.as(exec.Command(d.program("pg_isready"), "-q", "-U", "postgres", "-d", "postgres", "-h", "127.0.0.1", "-p", strconv.Itoa(d.Port))).Run() == nil
	})
}

// Kill ends the server and all it has started at once, as a loss of power to it would; Start brings it back.
func (d *Database) Kill() { d.end(d.proc) }

// end kills a server and its children, which are in process groups of their own.
func (d *Database) end(p *process) {
	d.each(p, syscall.SIGKILL)
	<-p.ended
}

// Freeze stops the server in the middle of what it does, until Thaw.
func (d *Database) Freeze() { d.each(d.proc, freeze) }

// Thaw lets a frozen server go on.
func (d *Database) Thaw() { d.each(d.proc, thaw) }

func (d *Database) each(p *process, s syscall.Signal) {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid))
	p.cmd.Process.Signal(s)
	for _, pid := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(pid); err == nil && n > 1 {
			signal(n, s)
		}
	}
}

// Promote makes a standby the one that can be written to.
func (d *Database) Promote(t testing.TB) {
	t.Helper()
	d.tool(t, "pg_ctl", "promote", "-D", d.dir, "-w")
}

// TakeOver kills d and has its standby go on in its place, alone.
func (d *Database) TakeOver(t testing.TB, standby *Database) {
	t.Helper()
	d.Kill()
	standby.Promote(t)
	standby.confirm(t, "")
}

// FollowInStep is Follow, and d acknowledges nothing from then on that s does not have.
func (s *Database) FollowInStep(t testing.TB, d *Database, name string, lines ...string) {
	t.Helper()
	s.Follow(t, d, name, lines...)
	d.confirm(t, name)
	SQL(t, d, `do $$ begin for i in 1..600 loop
		perform pg_stat_clear_snapshot(); exit when exists (select from pg_stat_replication where sync_state = 'sync'); perform pg_sleep(0.05);
		end loop; end $$`)
}

// confirm sets which standby has to have what d acknowledges; empty: none.
func (d *Database) confirm(t testing.TB, name string) {
	t.Helper()
	SQL(t, d, "alter system set synchronous_standby_names = '"+name+"'")
	SQL(t, d, "select pg_reload_conf()")
}

// DSN is a connection string for the databases, of which the first that can be written to is used.
func DSN(all ...*Database) string {
	dsn := "postgres://postgres@"
	for i, d := range all {
		if i > 0 {
			dsn += ","
		}
		dsn += fmt.Sprint("127.0.0.1:", d.Port)
	}
	return dsn + "/postgres?sslmode=disable&target_session_attrs=read-write&connect_timeout=5"
}

// Pooler starts the installed pgbouncer before a database, with a connection for each transaction, and returns the string to
// connect by.
func Pooler(t testing.TB, d *Database) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		missing(t, "pgbouncer")
	}
	port := FreePort(t)
	dir := filepath.Dir(d.dir)
	conf := filepath.Join(dir, "pgbouncer.ini")
	write(t, conf, fmt.Sprintf("[databases]\npostgres = host=127.0.0.1 port=%d user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 4\nignore_startup_parameters = extra_float_digits\n[users]\n", d.Port, port), 0o644, owner())
	begin(t, d.as(exec.Command(program, conf)), (*process).killAlone).awaitPort(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
}

// SQL runs a statement.
func SQL(t testing.TB, d *Database, text string) {
	t.Helper()
	d.tool(t, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", strconv.Itoa(d.Port), "-U", "postgres", "-c", text)
}
