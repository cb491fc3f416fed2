package daemon

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/control"
)

// Attacks are made on the program itself, in a process of its own, so that what
// they cost can be read from /proc and is not the attacker's own. Each is small
// by default; with POSTRIDER_ATTACK=1 it is as large as docs/limits.md tells.

// victim is a running program under attack.
type victim struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	ended chan error
	addrs map[string]string // by protocol: smtp, submission, pop3, proxied
	stop  func()
}

// attackConf has one listener of each kind; the formats are an account, and what
// a test adds.
const attackConf = `{
	"server_name": "mail.test",
	"data_dir": "data",
	"Listeners": [
		{"address": "127.0.0.1:0", "protocol": "smtp"},
		{"address": "127.0.0.2:0", "protocol": "submission"},
		{"address": "127.0.0.4:0", "protocol": "pop3"},
		{"address": "127.0.0.7:0", "protocol": "smtp", "proxy_from": ["127.0.0.1/32"]},
	],
	%[3]s
	%[4]s
	"Accounts": {"alice@mail.test": %[1]s, "bob@mail.test": %[1]s},
	%[2]s
}`

var listenersOf = map[string]string{"smtp": "127.0.0.1:0", "submission": "127.0.0.2:0", "pop3": "127.0.0.4:0", "proxied": "127.0.0.7:0"}

var program struct {
	once sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if program.path != "" {
		os.RemoveAll(filepath.Dir(program.path))
	}
	os.Exit(code)
}

// heavy is much where the attacks are to be as large as they can, else little.
func heavy(little, much int) int {
	if os.Getenv("POSTRIDER_ATTACK") != "" {
		return much
	}
	return little
}

// underAttack starts the program. extra are further settings.
func underAttack(t *testing.T, extra string) *victim {
	t.Helper()
	return underAttackWith(t, 0, extra)
}

// underAttackWith starts it with so many descriptors, unless 0.
func underAttackWith(t *testing.T, descriptors int, extra string) *victim {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("what an attack costs is read from /proc")
	}
	if testing.Short() {
		t.Skip("the program under attack is a process of its own, of which the race detector sees nothing")
	}
	program.once.Do(func() {
		dir, err := os.MkdirTemp("", "postrider-attack")
		program.path, program.err = filepath.Join(dir, "postrider"), err
		if err == nil {
			var out []byte
			out, program.err = exec.Command("go", "build", "-o", program.path, "../../cmd/postrider").CombinedOutput()
			if program.err != nil {
				program.err = fmt.Errorf("%w\n%s", program.err, out)
			}
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	dir, err := os.MkdirTemp("", "pr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	account := testAccount(t)
	queue := `"Queue": {"deliver": false},`
	if strings.Contains(extra, `"Queue"`) {
		queue = ""
	}
	log := `"Log": {"file": "log"},`
	if strings.Contains(extra, `"Log"`) {
		log = ""
	}
	text := fmt.Sprintf(attackConf, account, extra, queue, log)
	if err := os.WriteFile(filepath.Join(dir, "t.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	v := &victim{t: t, dir: dir, ended: make(chan error, 1), addrs: make(map[string]string)}
	v.stop = sync.OnceFunc(v.end)
	v.cmd = exec.Command(program.path, "serve", "-c", dir)
	if descriptors > 0 {
		v.cmd = exec.Command("sh", "-c", fmt.Sprintf("ulimit -n %d; exec %s serve -c %s", descriptors, program.path, dir))
	}
	v.cmd.Stderr = os.Stderr
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { v.ended <- v.cmd.Wait() }()
	t.Cleanup(func() { v.stop() })
	v.awaitUp()
	return v
}

func (v *victim) end() {
	v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-v.ended:
		if err != nil {
			v.t.Errorf("the program ended: %v", err)
		}
	case <-time.After(forEver):
		v.cmd.Process.Kill()
		v.t.Error("the program does not stop")
	}
	for line := range strings.Lines(v.log()) {
		if _, rest, _ := strings.Cut(line, " "); strings.HasPrefix(rest, "level=ERROR ") || strings.Contains(line, `"level":"ERROR"`) {
			v.t.Errorf("the log tells of trouble: %s", line)
		}
	}
}

// again starts the program once more, after its end.
func (v *victim) again() {
	v.t.Helper()
	v.begin()
	v.awaitUp()
}

// begin starts it, and does not wait.
func (v *victim) begin() {
	v.t.Helper()
	v.cmd, v.ended, v.addrs = exec.Command(program.path, "serve", "-c", v.dir), make(chan error, 1), make(map[string]string)
	v.cmd.Stderr = os.Stderr
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	go func(c *exec.Cmd, ended chan error) { ended <- c.Wait() }(v.cmd, v.ended)
}

func (v *victim) awaitUp() {
	v.t.Helper()
	client := control.NewClient(filepath.Join(v.dir, "data", "control.sock"))
	var s Status
	var err error
	if !within(forEver, func() bool {
		err = client.Call(context.Background(), "status", nil, &s)
		return err == nil
	}) {
		v.t.Fatalf("the program does not come up: %v", err)
	}
	for name, address := range listenersOf {
		v.addrs[name] = s.Listeners[address]
	}
	// The control socket is there before the listeners are served, and
	// what an attack leaves behind is compared with all that runs.
	waitFor(v.t, func() bool { return strings.Contains(v.log(), "serving") })
}

func (v *victim) log() string {
	text, _ := os.ReadFile(filepath.Join(v.dir, "log"))
	return string(text)
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// cost is what a process holds and has used.
type cost struct {
	rss int // kB
	fds int
	gos int // goroutines
	cpu time.Duration
	log int64 // octets
}

func (v *victim) cost() (c cost) {
	v.t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(v.cmd.Process.Pid))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		v.t.Fatalf("the program is gone: %v\n%s", err, tail(v.log()))
	}
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "VmRSS: %d", &c.rss)
	}
	fds, _ := os.ReadDir(filepath.Join(proc, "fd"))
	c.fds = len(fds)
	stat, _ := os.ReadFile(filepath.Join(proc, "stat"))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, i := range []int{11, 12} { // utime and stime, in hundredths
		n, _ := strconv.Atoi(fields[i])
		c.cpu += time.Duration(n) * 10 * time.Millisecond
	}
	var s Status
	if err := control.NewClient(filepath.Join(v.dir, "data", "control.sock")).Call(context.Background(), "status", nil, &s); err == nil {
		c.gos = s.Goroutines
	}
	if info, err := os.Stat(filepath.Join(v.dir, "log")); err == nil {
		c.log = info.Size()
	}
	return c
}

// spend makes an attack and says what it cost.
func (v *victim) spend(what string, attack func()) (during cost) {
	v.t.Helper()
	before, began := v.cost(), time.Now()
	attack()
	after := v.cost()
	during = cost{after.rss - before.rss, after.fds - before.fds, after.gos - before.gos, after.cpu - before.cpu, after.log - before.log}
	v.t.Logf("%s: %d kB, %d descriptors, %v processor, %d octets of log, in %v (resident %d kB)", what,
		during.rss, during.fds, during.cpu, during.log, time.Since(began).Round(time.Millisecond), after.rss)
	return during
}

// recovered waits until as many descriptors are open as before an attack, and as
// many goroutines are there.
func (v *victim) recovered(before cost) {
	v.t.Helper()
	var now cost
	if !within(forEver, func() bool {
		now = v.cost()
		return now.fds <= before.fds+2 && now.gos <= before.gos+4
	}) {
		v.t.Errorf("%d descriptors are open and %d goroutines are there, %d and %d were before the attack", now.fds, now.gos, before.fds, before.gos)
	}
}

// stranger is a client of no account, from an address of its own: n is any
// number up to four million.
func (v *victim) stranger(n int, protocol string) (*talk, error) {
	c, err := v.from(net.IPv4(127, byte(64+n>>16), byte(n>>8), byte(n)).String(), protocol)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(forEver))
	return &talk{v.t, c, bufio.NewReader(c)}, nil
}

func (v *victim) from(address, protocol string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: forEver}
	return d.Dial("tcp", v.addrs[protocol])
}

// attacker is stranger for a test that cannot go on without.
func (v *victim) attacker(n int, protocol string) *talk {
	v.t.Helper()
	k, err := v.stranger(n, protocol)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { k.c.Close() })
	return k
}

// serves demands that an honest client gets its message in, and its owner out.
func (v *victim) serves() {
	v.t.Helper()
	began := time.Now()
	mark := strconv.FormatInt(began.UnixNano(), 36)
	k := v.attacker(1<<20, "smtp")
	k.play(`
		S: 220
		C: EHLO honest.test
		S: 250
		C: MAIL FROM:<honest@far.test>
		S: 250
		C: RCPT TO:<bob@mail.test>
		S: 250
		C: DATA
		S: 354
		C: Subject: ` + mark + `\r\n\r\nhonest\r\n.
		S: 250
		C: QUIT
		S: 221`)
	k = v.attacker(1<<20, "pop3")
	k.play("S: +OK\nC: STLS\nS: +OK")
	over := tls.Client(k.c, &tls.Config{InsecureSkipVerify: true})
	if err := over.Handshake(); err != nil {
		v.t.Fatal(err)
	}
	k.c, k.r = over, bufio.NewReader(over)
	k.play("C: USER bob@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: +OK")
	var n, size int
	fmt.Sscanf(k.play("C: STAT\nS: +OK"), "+OK %d %d", &n, &size)
	fmt.Fprintf(k.c, "RETR %d\r\nQUIT\r\n", n)
	text, _ := io.ReadAll(k.r)
	if !strings.Contains(string(text), mark) {
		v.t.Errorf("the honest message is not there: %q", tail(string(text)))
	}
	v.t.Logf("an honest message in and out in %v", time.Since(began).Round(time.Millisecond))
}

// swarm runs n strangers at the same time, at most 200 of them dialling.
func (v *victim) swarm(n int, each func(i int)) {
	var all sync.WaitGroup
	places := make(chan struct{}, 200)
	for i := range n {
		places <- struct{}{}
		all.Go(func() { defer func() { <-places }(); each(i) })
	}
	all.Wait()
}
