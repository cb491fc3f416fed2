package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/mailtest"
)

// The account of every world, with what makes bad parsers stumble.
const (
	user     = "alice@mail.test"
	password = "pass word, 1\"2'3"
)

var built struct {
	once sync.Once
	path string
	err  error
}

// binary builds the program once for all tests.
func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "postrider-test")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "postrider")
		out, err := exec.Command("go", "build", "-o", built.path, ".").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.path != "" {
		os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(code)
}

// peer finds another project's program, or skips; in CI every peer must be
// there.
func peer(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

// missing ends a test for want of what: in CI it fails.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

// listener names of a world, by the loopback address each one is bound to.
// Ports are the system's choice.
var places = map[string]string{
	"smtp": "127.0.0.1:0", "submission": "127.0.0.2:0", "submissions": "127.0.0.3:0",
	"pop3": "127.0.0.4:0", "pop3s": "127.0.0.5:0",
}

const worldConf = `{
	// A world for tests.
	"server_name": "mail.test",
	"data_dir": "data",
	"Listeners": [
		{"address": "127.0.0.1:0", "protocol": "smtp"},
		{"address": "127.0.0.2:0", "protocol": "submission"},
		{"address": "127.0.0.3:0", "protocol": "submission", "tls": "implicit"},
		{"address": "127.0.0.4:0", "protocol": "pop3"},
		{"address": "127.0.0.5:0", "protocol": "pop3", "tls": "implicit"},
	],
	"TLS": {"certificate_file": "mail.crt", "certificate_key_file": "mail.key"},
	"POP3": {"apop": true},
	"SMTP": {"tarpit": "0s"},
	"DKIM": {"sign": false}, // what makes keys meanwhile would stand between the system calls that a test reads
	"Queue": {"deliver": false},
	"Auth": {"max_failures_per_address": 1000, "max_failures_per_account": 1000},
	"Accounts": {
		"alice@mail.test": %s,
		"bob@mail.test": %s,
	},
	"Aliases": {"team@mail.test": ["alice@mail.test", "bob@mail.test"]},
}
`

// world is a running daemon and what is needed to talk to it.
type world struct {
	t     *testing.T
	dir   string // the configuration folder
	cert  string // the certificate to trust
	cmd   *exec.Cmd
	attr  *syscall.SysProcAttr // of its process
	log   *mailtest.Log
	ended chan error
	addrs map[string]string // by name in places
}

// tail is the last few lines of the log.
func tail(log *mailtest.Log) string {
	lines := strings.Split(log.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-6):], "\n")
}

// newWorld starts the program with worldConf, in which each first text of a
// pair is replaced by the second.
func newWorld(t *testing.T, replace ...string) *world {
	t.Helper()
	w := newWorldStopped(t, replace...)
	w.start()
	return w
}

// newWorldStopped is newWorld that starts nothing.
func newWorldStopped(t *testing.T, replace ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), addrs: make(map[string]string)}
	certPEM, keyPEM, err := certs.SelfSigned("mail.test", "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
	if err != nil {
		t.Fatal(err)
	}
	w.cert = filepath.Join(w.dir, "mail.crt")
	w.write("mail.crt", string(certPEM))
	w.write("mail.key", string(keyPEM))
	w.write("password", password)
	key, err := seal.CreateKey(filepath.Join(w.dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(w.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(w.dir, "secret.key"), filepath.Join(w.dir, "data", "secret.key")); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(worldConf, accountJSON(t, key, user), accountJSON(t, key, "bob@mail.test"))
	w.write("mail.conf", strings.NewReplacer(replace...).Replace(text))
	return w
}

// accountJSON is an account that every mechanism works for.
func accountJSON(t *testing.T, key seal.Key, address string) string {
	t.Helper()
	apop, err := key.SealText([]byte(password), []byte("apop:"+address))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := passwd.Hash([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	scram, err := sasl.MakeScram(sasl.ScramSHA256, []byte(password), 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"password":      hash,
		"scram_sha_256": sasl.FormatScram(sasl.ScramSHA256, scram),
		"apop":          apop,
		"cram_md5":      sasl.FormatCRAM(sasl.MakeCRAM([]byte(password))),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// start runs the program and waits until it serves.
func (w *world) start() {
	w.t.Helper()
	w.log = &mailtest.Log{}
	w.cmd = exec.Command(binary(w.t), "serve", "-c", w.dir)
	w.cmd.Stdout, w.cmd.Stderr, w.cmd.SysProcAttr = w.log, w.log, w.attr
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	w.ended = ended
	cmd := w.cmd
	go func() { ended <- cmd.Wait() }()
	w.t.Cleanup(func() { cmd.Process.Kill() })
	w.waitReady()
}

func (w *world) waitReady() {
	w.t.Helper()
	c := control.NewClient(filepath.Join(w.dir, "data", "control.sock"))
	for range 3600 {
		var s daemon.Status
		err := c.Call(context.Background(), "status", nil, &s)
		if err == nil {
			for name, place := range places {
				w.addrs[name] = s.Listeners[place]
			}
			return
		}
		select {
		case err := <-w.ended:
			w.t.Fatalf("the daemon ended: %v\n%s", err, w.log)
		case <-time.After(50 * time.Millisecond):
		}
	}
	w.t.Fatalf("the daemon does not answer\n%s", w.log)
}

func (w *world) port(name string) string {
	_, port, _ := net.SplitHostPort(w.addrs[name])
	return port
}

func (w *world) host(name string) string {
	host, _, _ := net.SplitHostPort(w.addrs[name])
	return host
}

// fetchAll logs in over TLS, takes every message out of the mailbox and
// removes it. It speaks POP3 by hand: the package's own client would forgive
// the package's own mistakes.
func (w *world) fetchAll(account string) []string {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.addrs["pop3s"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	d := &dialogue{w.t, c, bufio.NewReader(c)}
	d.expect("+OK")
	d.ask("USER "+account, "+OK")
	d.ask("PASS "+password, "+OK")
	var n, size int
	fmt.Sscanf(d.ask("STAT", "+OK"), "+OK %d %d", &n, &size)
	var all []string
	for i := 1; i <= n; i++ {
		d.ask(fmt.Sprint("RETR ", i), "+OK")
		all = append(all, d.text())
		size -= len(all[i-1])
		d.ask(fmt.Sprint("DELE ", i), "+OK")
	}
	if size != 0 {
		w.t.Errorf("STAT and what RETR gave differ by %d octets", size)
	}
	d.ask("QUIT", "+OK")
	return all
}

// untraced takes off the fields that a delivery adds on top: Return-Path and
// one Received.
func untraced(t *testing.T, message string) string {
	t.Helper()
	for _, name := range []string{"Return-Path:", "Received:"} {
		if !strings.HasPrefix(message, name) {
			t.Fatalf("no %s on top of:\n%.500s", name, message)
		}
		for {
			_, rest, ok := strings.Cut(message, "\r\n")
			if !ok {
				t.Fatal("the message ends in its trace fields")
			}
			message = rest
			if !strings.HasPrefix(message, " ") && !strings.HasPrefix(message, "\t") {
				break
			}
		}
	}
	return message
}

// difference shows where two messages part.
func difference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	cut := func(s string) string { return s[max(0, i-30):min(len(s), i+60)] }
	return fmt.Sprintf("%d octets, want %d; at octet %d\n got …%q\nwant …%q", len(got), len(want), i, cut(got), cut(want))
}

// runPeer runs a client to its end and returns what it printed.
func runPeer(t *testing.T, dir, stdin, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, peer(t, name), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// aliasesOf are the aliases of settings as texts.
func aliasesOf(s *conf.Settings) map[string][]string {
	all := make(map[string][]string)
	for from, targets := range s.Book().Aliases {
		all[from.String()] = written(targets)
	}
	return all
}
