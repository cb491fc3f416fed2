package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// cable leads to a network that a test's database has for itself, and can be cut.
type cable struct {
	t          *testing.T
	name       string
	here, away string // addresses of both ends
}

// newNetwork lays the cable, where that is allowed.
func newNetwork(t *testing.T) *cable {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make networks")
	}
	ip := peer(t, "ip")
	n := &cable{t: t, name: fmt.Sprint("prn", os.Getpid()), here: "198.18.77.1", away: "198.18.77.2"}
	if out, err := exec.Command(ip, "netns", "add", n.name).CombinedOutput(); err != nil {
		t.Skipf("no networks of their own here: %s", out)
	}
	t.Cleanup(func() { exec.Command(ip, "netns", "del", n.name).Run() })
	n.ip("link", "add", n.name, "type", "veth", "peer", "name", "there", "netns", n.name)
	n.ip("addr", "add", n.here+"/30", "dev", n.name)
	n.ip("link", "set", n.name, "up")
	n.ip("-n", n.name, "addr", "add", n.away+"/30", "dev", "there")
	n.ip("-n", n.name, "link", "set", "there", "up")
	n.ip("-n", n.name, "link", "set", "lo", "up")
	return n
}

func (n *cable) ip(args ...string) { n.run("ip", args...) }

func (n *cable) run(name string, args ...string) {
	n.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s %s: %v, %s", name, strings.Join(args, " "), err, out)
	}
}

// inside does something on a thread that is in the network: what it starts is there.
func (n *cable) inside(do func()) {
	n.t.Helper()
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread() // and never given back: it ends here
		f, err := os.Open(filepath.Join("/run/netns", n.name))
		if err != nil {
			n.t.Error(err)
			return
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			n.t.Error(err)
			return
		}
		do()
	})
	done.Wait()
	if n.t.Failed() {
		n.t.FailNow()
	}
}

// silence has all answers from there vanish, and nobody is told.
func (n *cable) silence() { n.ip("-n", n.name, "route", "add", "blackhole", n.here+"/32") }

func (n *cable) mend() { n.ip("-n", n.name, "route", "del", "blackhole", n.here+"/32") }

// TestNetworkCut: while answers of the database vanish, mail is told to come again, and so are users; when they come again nothing
// acknowledged is missing, and nobody has to do anything. A line that is slow makes it slow, and no more.
func TestNetworkCut(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	var db *peertest.Database
	n.inside(func() { db = peertest.Postgres(t, "listen_addresses = '*'") })
	w := newWorld(t, `"data_dir": "data",`, fmt.Sprintf(`"data_dir": "data", "Store": {"postgres": "postgres://postgres@%s:%d/postgres?sslmode=disable"},`, n.away, db.Port))
	l := newLedger()
	dial := func() *smtp.Client {
		t.Helper()
		c, err := smtp.Dial(w.addrs["smtp"])
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	send := func(c *smtp.Client, id string, lines int) {
		t.Helper()
		if err := sendOne(c, fmt.Sprintf("Subject: %s\r\n\r\n%s", id, strings.Repeat("0123456789abcde\r\n", lines))); err != nil {
			t.Errorf("%s: %v", id, err)
			return
		}
		l.stored[id] = true
	}
	c := dial()
	for i := range 5 {
		send(c, fmt.Sprint("before-", i), 1_000)
	}
	n.silence()
	var lost sync.WaitGroup
	lost.Go(func() {
		err := sendOne(c, "Subject: cut\r\n\r\n")
		if e, ok := err.(*textproto.Error); !ok || e.Code != 451 {
			t.Errorf("mail while it is cut: %v", err)
		}
	})
	lost.Go(func() {
		if said := login(w); !strings.HasPrefix(said, "-ERR [SYS/TEMP]") {
			t.Errorf("a login while it is cut: %s", said)
		}
	})
	lost.Wait()
	n.mend()
	peertest.Await(t, "a login", func() bool { return strings.HasPrefix(login(w), "+OK") })
	c.Close()
	c = dial()
	defer c.Close()
	for i := range 5 {
		send(c, fmt.Sprint("after-", i), 1_000)
	}
	slow := exec.Command("tc", "-n", n.name, "qdisc", "add", "dev", "there", "root", "tbf", "rate", "1mbit", "burst", "10k", "latency", "2s")
	if out, err := slow.CombinedOutput(); err != nil {
		t.Logf("not slowed: %s", out)
	}
	for i := range 5 {
		send(c, fmt.Sprint("slow-", i), 2_000)
	}
	l.close(t, w.addrs["pop3s"])
}

// login is what a server says to the password of the user.
func login(w *world) string {
	c, err := tls.Dial("tcp", w.addrs["pop3s"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	fmt.Fprintf(c, "USER %s\r\nPASS %s\r\nQUIT\r\n", user, password)
	r, said := bufio.NewReader(c), ""
	for range 3 {
		if said, err = r.ReadString('\n'); err != nil {
			return err.Error()
		}
	}
	return said
}
