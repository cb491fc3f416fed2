package pop3_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/pop3"
)

// besideUsers are u0 and up, each with a mailbox of its own.
const besideUsers = 200

// besideEnv, set to a directory, makes the test binary a POP3 server of the
// Maildirs in it; set to 1, it enables BenchmarkBeside.
const besideEnv = "POP3_BESIDE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(besideEnv); filepath.IsAbs(dir) {
		serveBeside(dir)
		return
	}
	m.Run()
}

// serveBeside says where it listens and serves until it is killed.
func serveBeside(dir string) {
	store, err := maildir.Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	accounts := newBook()
	for i := range besideUsers {
		accounts.passwords["u"+strconv.Itoa(i)] = "secret"
	}
	srv := benchServer(pop3.BackendFunc(func(ctx context.Context, _ *pop3.Session, account string) (pop3.Drop, error) {
		d, err := store.Open(ctx, account+"@localhost")
		if err != nil {
			return nil, err
		}
		return d, nil
	}))
	srv.Credentials, srv.Log = accounts, slog.New(slog.DiscardHandler)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Addr())
	srv.Serve(l)
}

// contestant is a server in processes of its own, on Maildirs of its own that
// hold the same.
type contestant struct {
	addr string
	pid  int
	uid  int // of the mail; -1: ours
	mail func(user string) string
	next int
}

// besideServer is the command line that keeps a server away from the processor
// that the benchmark uses.
var besideServer = []string{"taskset", "-c", "1"}

func startOurs(b *testing.B) *contestant {
	dir := b.TempDir()
	cmd := exec.Command(besideServer[0], append(besideServer[1:], os.Args[0])...)
	cmd.Env = append(os.Environ(), besideEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(addr, ":") {
		b.Fatal(addr, err)
	}
	return &contestant{addr: strings.TrimSpace(addr), pid: cmd.Process.Pid, uid: -1,
		mail: func(user string) string { return filepath.Join(dir, "localhost", user) }}
}

func startTheirs(b *testing.B) *contestant {
	d := startDovecot(b, besideServer...)
	return &contestant{addr: d.addr, pid: d.pid, uid: d.uid,
		mail: func(user string) string { return filepath.Join(d.dir, "mail", user) }}
}

// deliver puts a message where it belongs, as both servers name theirs.
func (c *contestant) deliver(b *testing.B, user, text string) {
	c.next++
	octets := len(text) + strings.Count(text, "\n")
	writeMail(b, c.mail(user), fmt.Sprintf("%d.M%dP1.test,S=%d,W=%d", 1700000000+c.next/1000, c.next, len(text), octets), text, c.uid)
}

func (c *contestant) fill(b *testing.B, user string, n int, size func(i int) int) {
	newMaildir(b, c.mail(user), c.uid)
	for i := range n {
		text := "Subject: benchmark\n\n" + strings.Repeat(strings.Repeat("x", 75)+"\n", size(i)/76)
		c.deliver(b, user, text)
	}
}

// mixedSizes are sizes of which most are small.
func mixedSizes(i int) int {
	switch {
	case i%100 == 99:
		return 1 << 20
	case i%10 == 9:
		return 128 << 10
	case i%10 > 6:
		return 16 << 10
	}
	return 2 << 10
}

func small(int) int { return 2 << 10 }

// BenchmarkBeside measures this package on package maildir beside Dovecot.
// testdata/beside runs it as it should be.
func BenchmarkBeside(b *testing.B) {
	if os.Getenv(besideEnv) != "1" {
		b.Skip("see testdata/beside")
	}
	for _, who := range []struct {
		name  string
		start func(b *testing.B) *contestant
	}{{"postrider", startOurs}, {"dovecot", startTheirs}} {
		b.Run(who.name, func(b *testing.B) {
			c := who.start(b)
			for i := range besideUsers {
				newMaildir(b, c.mail("u"+strconv.Itoa(i)), c.uid)
			}
			b.Run("idle", c.idle) // first: later the server holds what it has freed
			for _, n := range []int{1000, 100_000} {
				c.fill(b, "u0", n, small)
				b.Run(fmt.Sprintf("login_%d", n), func(b *testing.B) { c.logins(b, "u0", false) })
				b.Run(fmt.Sprintf("login_%d_changed", n), func(b *testing.B) { c.logins(b, "u0", true) })
				os.RemoveAll(c.mail("u0"))
			}
			for i := range 10 {
				c.fill(b, "u"+strconv.Itoa(i), 500, mixedSizes)
			}
			b.Run("retr", func(b *testing.B) { c.retrieve(b, false) })
			b.Run("retr_pipelined", func(b *testing.B) { c.retrieve(b, true) })
		})
	}
}

func (c *contestant) dial(b *testing.B, user string) *pop3.Client {
	d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true}
	client, err := d.Dial(context.Background(), c.addr)
	if err == nil {
		err = client.User(context.Background(), user, "secret")
	}
	if err != nil {
		b.Fatal(err)
	}
	return client
}

// logins polls a mailbox, with a message more each time if it changes.
func (c *contestant) logins(b *testing.B, user string, changes bool) {
	ctx := context.Background()
	c.dial(b, user).Quit(ctx) // the first visit reads the mailbox
	for b.Loop() {
		if changes {
			c.deliver(b, user, "Subject: one more\n\nHello.\n")
		}
		client := c.dial(b, user)
		if _, _, err := client.Stat(ctx); err != nil {
			b.Fatal(err)
		}
		client.Quit(ctx)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "polls/s")
}

// retrieve gets the messages of ten mailboxes over ten connections, one after
// the other or pipelined.
func (c *contestant) retrieve(b *testing.B, pipelined bool) {
	const conns, mails = 10, 500
	ctx := context.Background()
	var octets int64
	numbers := make([]int, mails)
	for i := range numbers {
		numbers[i] = i + 1
	}
	clients := make([]*pop3.Client, conns)
	for i := range clients {
		clients[i] = c.dial(b, "u"+strconv.Itoa(i))
		clients[i].RetrAll(ctx, numbers, func(int, *pop3.Text, error) error { return nil }) // into the page cache
	}
	for b.Loop() {
		results := make(chan int64, conns)
		for _, client := range clients {
			go func() {
				var total int64
				take := func(_ int, m *pop3.Text, err error) error {
					if err == nil {
						n, cerr := io.Copy(io.Discard, m)
						total, err = total+n, cerr
					}
					return err
				}
				var err error
				if pipelined {
					err = client.RetrAll(ctx, numbers, take)
				} else {
					for _, n := range numbers {
						m, rerr := client.Retr(ctx, n)
						if err = take(n, m, rerr); err != nil {
							break
						}
					}
				}
				if err != nil {
					b.Error(err)
				}
				results <- total
			}()
		}
		for range clients {
			octets += <-results
		}
	}
	b.ReportMetric(float64(b.N*conns*mails)/b.Elapsed().Seconds(), "mails/s")
	b.ReportMetric(float64(octets)/1e6/b.Elapsed().Seconds(), "MB/s")
	for _, client := range clients {
		client.Quit(ctx)
	}
}

// idle measures what sessions that have logged in add to the server's
// processes, shared pages counted in proportion.
func (c *contestant) idle(b *testing.B) {
	for b.Loop() {
		c.dial(b, "u0").Quit(context.Background())
		before := pss(c.pid)
		var clients []*pop3.Client
		for i := range besideUsers {
			clients = append(clients, c.dial(b, "u"+strconv.Itoa(i)))
		}
		b.ReportMetric(float64(pss(c.pid)-before)/besideUsers, "kB/session")
		for _, client := range clients {
			client.Quit(context.Background())
		}
	}
}

// pss is the proportional set size of a process and its descendants in kB.
func pss(pid int) (kB int) {
	rollup, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(rollup)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Pss:" {
			kB, _ = strconv.Atoi(fields[1])
		}
	}
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range children {
		list, _ := os.ReadFile(name)
		for _, child := range strings.Fields(string(list)) {
			n, _ := strconv.Atoi(child)
			kB += pss(n)
		}
	}
	return kB
}
