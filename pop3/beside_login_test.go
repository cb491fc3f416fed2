package pop3_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
)

// BenchmarkBesideLogin measures what clients cost that poll: connect, log in,
// STAT, QUIT, over and over with the same accounts. The whole program, whose
// passwords are stored as argon2id, beside Dovecot, whose passwords are stored
// in clear, so that its check costs nothing. testdata/beside runs it.
//
// cpu-ms/login is the time that the server's processor worked; logins/cpu-s is
// how many it could serve of that kind, and does not depend on what else the
// machine does.
func BenchmarkBesideLogin(b *testing.B) {
	if os.Getenv(besideEnv) != "1" {
		b.Skip("see testdata/beside")
	}
	ours := startProgram(b)
	contestants := []struct {
		name string
		poller
	}{{"postrider", ours}}
	for name, settings := range map[string][]string{
		"dovecot":       nil,
		"dovecot_cache": {"auth_cache_size=10M"},
		// Processes that serve one user after the other, which is less than
		// Dovecot's own separation of users.
		"dovecot_cache_reuse": {"auth_cache_size=10M", "service/pop3/service_count=0"},
	} {
		d := startDovecotWith(b, settings, besideServer...)
		for i := range besideUsers {
			newMaildir(b, filepath.Join(d.dir, "mail", fmt.Sprintf("u%d@localhost", i)), d.uid)
		}
		contestants = append(contestants, struct {
			name string
			poller
		}{name, poller{d.addr, d.pid}})
	}
	for _, kind := range []string{"plain", "tls", "tls_resumed"} {
		for _, c := range contestants {
			b.Run(kind+"/"+c.name, func(b *testing.B) { c.polls(b, kind) })
		}
	}
}

// poller is a server to be polled.
type poller struct {
	addr string
	pid  int
}

// startProgram builds and starts the program, and returns its POP3 listener.
func startProgram(b *testing.B) poller {
	dir, program := b.TempDir(), filepath.Join(b.TempDir(), "postrider")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/postrider").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	hash, err := passwd.Hash([]byte("secret"))
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	var accounts strings.Builder
	for i := range besideUsers {
		fmt.Fprintf(&accounts, "\"u%d@localhost\": %q, ", i, hash)
	}
	text := fmt.Sprintf(`{"server_name": "localhost", "data_dir": "data", "POP3": {"cleartext_auth": true}, "Log": {"level": "warn"},
		"Listeners": [{"address": %q, "protocol": "pop3"}], "Accounts": {%s}}`, addr, accounts.String())
	if err := os.WriteFile(filepath.Join(dir, "mail.conf"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(besideServer[0], append(besideServer[1:], program, "serve", "-c", dir)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return poller{addr, cmd.Process.Pid}
		}
		time.Sleep(50 * time.Millisecond) // another program's start: nothing to wait for
	}
	b.Fatalf("the program does not start: %s", said.String())
	return poller{}
}

func (p poller) polls(b *testing.B, kind string) {
	const clients, users = 8, 50
	conf := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	if kind == "tls_resumed" {
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(users)
	}
	var resumed atomic.Int64
	for i := range users { // from now on the same accounts again
		if err := poll(p.addr, i, kind, conf, &resumed); err != nil {
			b.Fatal(err)
		}
	}
	var n atomic.Int64
	before := cpu(p.pid)
	b.ResetTimer()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if err := poll(p.addr, int(i)%users, kind, conf, &resumed); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	used := cpu(p.pid) - before
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	b.ReportMetric(float64(resumed.Load()*100)/float64(b.N+users), "%resumed")
	b.ReportMetric(used.Seconds()*1000/float64(b.N), "cpu-ms/login")
	b.ReportMetric(float64(b.N)/max(used.Seconds(), 0.001), "logins/cpu-s")
}

// poll is one visit.
func poll(addr string, user int, kind string, conf *tls.Config, resumed *atomic.Int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { c.Close() }()
	r := bufio.NewReader(c)
	say := func(line string) {
		var text string
		if err == nil && line != "" {
			_, err = io.WriteString(c, line+"\r\n")
		}
		if err == nil {
			text, err = r.ReadString('\n')
		}
		if err == nil && !strings.HasPrefix(text, "+OK") {
			err = errors.New(line + ": " + text)
		}
	}
	say("")
	if kind != "plain" {
		say("STLS")
		c = tls.Client(c, conf)
		r = bufio.NewReader(c)
	}
	say("USER u" + strconv.Itoa(user) + "@localhost")
	say("PASS secret")
	say("STAT")
	say("QUIT")
	if t, ok := c.(*tls.Conn); ok && err == nil && t.ConnectionState().DidResume {
		resumed.Add(1)
	}
	return err
}

// cpu is the time that a process and its descendants, also those that have
// ended, have worked.
func cpu(pid int) (used time.Duration) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	if fields := strings.Fields(rest); len(fields) > 14 {
		for _, ticks := range fields[11:15] {
			n, _ := strconv.Atoi(ticks)
			used += time.Duration(n) * 10 * time.Millisecond
		}
	}
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range children {
		list, _ := os.ReadFile(name)
		for _, child := range strings.Fields(string(list)) {
			n, _ := strconv.Atoi(child)
			used += cpu(n)
		}
	}
	return used
}
