package daemon

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailtest"
)

const testPassword = "correct horse"

// testConf is a world of two accounts; %s is for what a test adds.
const testConf = `{
	"server_name": "mail.test",
	"data_dir": "data",
	"Listeners": [
		{"address": "127.0.0.1:0", "protocol": "smtp"},
		{"address": "127.0.0.2:0", "protocol": "submission"},
		{"address": "127.0.0.4:0", "protocol": "pop3"},
		{"address": "127.0.0.7:0", "protocol": "smtp", "proxy_from": ["127.0.0.1/32"]},
		{"address": "127.0.0.8:0", "protocol": "smtp", "tls": "required", "greeting": "own words",
			"Limits": {"max_message_size": "64KiB", "max_recipients": 100, "max_connections_per_address": 2}},
		{"address": "127.0.0.9:0", "protocol": "pop3", "tls": "off", "greeting": "own words"},
		{"address": "unix:lmtp.sock", "protocol": "lmtp"},
	],
	"Accounts": {"alice@mail.test": %s, "bob@mail.test": %[1]s},
	"Aliases": {"team@mail.test": ["alice@mail.test", "bob@mail.test"]},
	"SMTP": {"tarpit": "0s"},
	"Log": {"level": "debug"},
	"DKIM": {"sign": false},
	"POP3": {"login_delay": "0s"},
	%s
}`

type testWorld struct {
	*Daemon
	t    *testing.T
	dir  string
	logs *mailtest.Log
	stop func()

	account string // what the settings have of alice and bob
}

// New makes a daemon that no service manager has started.
func New(load func() (*conf.Settings, error), stderr io.Writer) (*Daemon, error) {
	return NewUnder(nil, load, stderr)
}

// start runs a daemon in this process. extra are further settings.
func start(t *testing.T, extra string) *testWorld {
	t.Helper()
	return startWith(t, testConf, extra)
}

// testAccount is an account with testPassword, for every mechanism.
func testAccount(t *testing.T) string {
	t.Helper()
	account, err := oneAccount()
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// oneAccount is made once, for what it costs is meant to be much.
var oneAccount = sync.OnceValues(newAccount)

func newAccount() (string, error) {
	hash, err := passwd.Hash([]byte(testPassword))
	if err != nil {
		return "", err
	}
	scram, err := sasl.MakeScram(sasl.ScramSHA256, []byte(testPassword), 0)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`{"password": %q, "scram_sha_256": %q, "cram_md5": %q}`, hash,
		sasl.FormatScram(sasl.ScramSHA256, scram), sasl.FormatCRAM(sasl.MakeCRAM([]byte(testPassword)))), nil
}

// startWith is start with a world that is another one than testConf.
func startWith(t *testing.T, world, extra string) *testWorld {
	t.Helper()
	return startIn(t, confFolder(t, world, extra))
}

// confFolder is a folder with the settings of a world.
func confFolder(t *testing.T, world, extra string) string {
	t.Helper()
	account := testAccount(t)
	// A Unix socket's path must be short.
	dir, err := os.MkdirTemp("", "pr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text := fmt.Sprintf(world, account, extra)
	text = strings.ReplaceAll(text, "unix:lmtp.sock", "unix:"+filepath.Join(dir, "lmtp.sock"))
	if err := os.WriteFile(filepath.Join(dir, "t.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startIn starts a server with the settings of a folder.
func startIn(t *testing.T, dir string) *testWorld {
	t.Helper()
	var err error
	w := &testWorld{t: t, dir: dir, logs: &mailtest.Log{}, account: testAccount(t)}
	w.Daemon, err = New(func() (*conf.Settings, error) { return conf.Load(dir) }, w.logs)
	if err != nil {
		t.Fatal(err)
	}
	w.Configuration = dir
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// talk is a conversation with one listener.
type talk struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func (w *testWorld) dial(listener string) *talk {
	w.t.Helper()
	addr := w.Addrs()[listener]
	if listener == "lmtp" {
		addr = w.Addrs()["unix:"+filepath.Join(w.dir, "lmtp.sock")]
	}
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(forEver))
	return &talk{w.t, c, bufio.NewReader(c)}
}

// play says each line that begins with "C: " and expects, for each that begins
// with "S: ", a reply that begins with the rest.
func (k *talk) play(script string) (last string) {
	k.t.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if said, ok := strings.CutPrefix(line, "C: "); ok {
			fmt.Fprintf(k.c, "%s\r\n", strings.ReplaceAll(said, `\r\n`, "\r\n"))
			continue
		}
		want, ok := strings.CutPrefix(line, "S: ")
		if !ok {
			continue
		}
		last = k.reply()
		if !strings.HasPrefix(last, want) {
			k.t.Fatalf("got %q, want %q", last, want)
		}
	}
	return last
}

func (k *talk) reply() string {
	k.t.Helper()
	for {
		line, err := k.r.ReadString('\n')
		if err != nil {
			k.t.Fatalf("reading a reply: %v (after %q)", err, line)
		}
		if len(line) < 4 || line[3] != '-' || line[0] < '2' || line[0] > '5' {
			return line
		}
	}
}

// startTLS turns the conversation into one under TLS.
func (k *talk) startTLS(command, want string) {
	k.t.Helper()
	k.play("C: " + command + "\nS: " + want)
	c := tls.Client(k.c, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		k.t.Fatal(err)
	}
	k.c, k.r = c, bufio.NewReader(c)
}

// mailbox is what is in a mailbox, in no order.
func (w *testWorld) mailbox(user string) []string {
	w.t.Helper()
	return w.mailboxBy(user, testPassword)
}

func (w *testWorld) mailboxBy(user, password string) []string {
	w.t.Helper()
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: USER " + user + "\nS: +OK\nC: PASS " + password + "\nS: +OK")
	var n, size int
	fmt.Sscanf(k.play("C: STAT\nS: +OK"), "+OK %d %d", &n, &size)
	var all []string
	for i := range n {
		k.play(fmt.Sprintf("C: RETR %d\nS: +OK", i+1))
		var b strings.Builder
		for {
			line, err := k.r.ReadString('\n')
			if err != nil {
				w.t.Fatal(err)
			}
			if line == ".\r\n" {
				break
			}
			b.WriteString(strings.TrimPrefix(line, "."))
		}
		all = append(all, b.String())
	}
	k.play("C: QUIT\nS: +OK")
	return all
}
