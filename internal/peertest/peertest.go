// Package peertest starts real servers for tests: Postfix, Exim, OpenSMTPD, the
// ACME authority Pebble, and a DNS with DNSSEC made of Knot and Unbound. Each runs as a plain child process
// on a free port of the loopback interface, with its files in a directory of its
// own, until the test ends. Nothing of the machine's own services is touched.
//
// Postfix and Pebble are those that are installed. The others are run from a small root
// directory that .ci/peers makes; a test that needs one is skipped where it is
// missing, and fails where the environment says CI=true.
package peertest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for what a test waits for that does not come. It is long, because
// it is never used up where all is well.
const patience = 3 * time.Minute

// missing ends the test for want of what.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}

// needRoot skips tests of those who may not start servers that change their
// user.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can run this server")
	}
}

// root returns a copy of the root directory of .ci/peers, of hard links.
func root(t testing.TB) string {
	t.Helper()
	needRoot(t)
	dir := os.Getenv("POSTRIDER_PEERS")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			missing(t, "a cache directory: "+err.Error())
		}
		dir = filepath.Join(cache, "postrider-peers")
	}
	if _, err := os.Stat(filepath.Join(dir, "recipe")); err != nil {
		missing(t, "the servers that .ci/peers fetches")
	}
	clone := filepath.Join(dir, "run", rand.Text()[:10])
	if err := os.MkdirAll(filepath.Dir(clone), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(clone) })
	if err := link(filepath.Join(dir, "root"), clone); err != nil {
		t.Fatal(err)
	}
	return clone
}

// link copies a tree: directories with their owners, links to all else.
func link(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, name)
		target := filepath.Join(to, rel)
		if !d.IsDir() {
			return os.Link(name, target)
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		uid, gid := ownerOf(fi)
		return errors.Join(os.Mkdir(target, 0o755), os.Chown(target, uid, gid), os.Chmod(target, fi.Mode()))
	})
}

// write makes a file with an owner. It is there whole or not at all, since a
// server may be reading it, and looks a minute old, since Postfix waits until
// nobody can be writing it any more.
func write(t testing.TB, name, text string, mode os.FileMode, uid int) {
	t.Helper()
	next := name + ".new"
	past := time.Now().Add(-time.Minute)
	err := errors.Join(os.WriteFile(next, []byte(text), mode), os.Chown(next, uid, uid), os.Chtimes(next, past, past), os.Rename(next, name))
	if err != nil {
		t.Fatal(err)
	}
}

// openDir is a folder of a test's own that another user can get through.
func openDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mkdir makes a directory with an owner.
func mkdir(t testing.TB, name string, mode os.FileMode, uid int) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(name, 0o755), os.Chown(name, uid, uid), os.Chmod(name, mode)); err != nil {
		t.Fatal(err)
	}
}

// process is a server that runs.
type process struct {
	cmd   *exec.Cmd
	out   output
	ended chan struct{}
}

// output collects what a process says.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// run starts a program below a root directory, "" for the machine's own, and
// stops it when the test ends.
func run(t testing.TB, root, program string, args ...string) *process {
	t.Helper()
	return runWith(t, below(root), program, args...)
}

// runWith is run of a process with attributes of its own.
func runWith(t testing.TB, attr *syscall.SysProcAttr, program string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Path = program // as it is found below root
	cmd.Err = nil
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = attr
	return begin(t, cmd, (*process).stop)
}

// begin starts a command, and ends it when the test ends.
func begin(t testing.TB, cmd *exec.Cmd, end func(*process)) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() { cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		end(p)
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, p.out.String())
		}
	})
	return p
}

// killAlone ends a process at once that is in no group of its own, and has no children.
func (p *process) killAlone() {
	p.cmd.Process.Kill()
	<-p.ended
}

// stop asks the process to end, and ends it and its children if it does not.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
	}
	signal(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// awaitPort waits until somebody listens.
func (p *process) awaitPort(t testing.TB, addr string) {
	t.Helper()
	Await(t, "a server at "+addr, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%s ended:\n%s", p.cmd.Path, p.out.String())
		default:
		}
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// Await waits, three minutes at most, until done says yes; what is for the complaint
// if it does not.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
