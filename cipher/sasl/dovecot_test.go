package sasl_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

const dovecotConf = `
protocols =
base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/log
ssl = no
default_internal_user = root
default_login_user = nobody
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = username_format=%u DIR/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`

// startDovecot runs Dovecot's authentication service alone and returns its
// socket.
func startDovecot(t *testing.T, users string) string {
	t.Helper()
	dovecot := program(t, "dovecot")
	if os.Getuid() != 0 {
		t.Skip("dovecot wants to be started by root")
	}
	dir, err := os.MkdirTemp("", "sasl") // t.TempDir's names are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "dovecot.conf")
	os.WriteFile(conf, []byte(strings.ReplaceAll(dovecotConf, "DIR", dir)), 0o600)
	os.WriteFile(filepath.Join(dir, "users"), []byte(users), 0o600)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, dovecot, "-F", "-c", conf)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	socket := filepath.Join(dir, "run", "auth-client")
	for range 1000 {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return socket
		}
		time.Sleep(10 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Fatalf("dovecot does not listen: %s", log)
	return ""
}

// dovecotLogin plays our client against Dovecot, in the words of its
// authentication protocol (version 1.1). Each n is another remote address, so
// that one's failures do not slow down the next.
func dovecotLogin(socket string, n int, c sasl.Client) (user string, err error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ctx := context.Background()
	name, initial, err := c.Start(ctx)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(conn, "VERSION\t1\t1\nCPID\t%d\nAUTH\t1\t%s\tservice=smtp\tsecured\trip=192.0.2.%d", os.Getpid(), name, n)
	if initial != nil {
		fmt.Fprintf(conn, "\tresp=%s", base64.StdEncoding.EncodeToString(initial))
	}
	fmt.Fprint(conn, "\n")
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		field := strings.Split(lines.Text(), "\t")
		switch field[0] {
		case "CONT":
			challenge, err := base64.StdEncoding.DecodeString(field[2])
			if err != nil {
				return "", err
			}
			response, err := c.Next(ctx, challenge)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(conn, "CONT\t1\t%s\n", base64.StdEncoding.EncodeToString(response))
		case "OK":
			for _, f := range field {
				if u, ok := strings.CutPrefix(f, "user="); ok {
					user = u
				}
				if final, ok := strings.CutPrefix(f, "resp="); ok { // data of success
					data, _ := base64.StdEncoding.DecodeString(final)
					if _, err := c.Next(ctx, data); err != nil {
						return "", err
					}
				}
			}
			return user, sasl.Finish(c)
		case "FAIL":
			return "", sasl.ErrDenied
		}
	}
	return "", errors.New("dovecot hung up")
}

// Our clients log in to Dovecot, by the secrets we made for it and by its own.
func TestDovecotAuth(t *testing.T) {
	hash, err := passwd.Hash([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	socket := startDovecot(t, "alice:{PLAIN}secret\n"+
		"bob:"+sasl.FormatCRAM(sasl.MakeCRAM([]byte("secret")))+"\n"+
		"carol:{ARGON2ID}"+hash+"\n")
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, tt := range []struct {
		what, user string
		make       func(user, password string) sasl.Client
	}{
		{"PLAIN", "alice", func(u, p string) sasl.Client { return sasl.PlainClient("", u, p) }},
		{"LOGIN", "alice", sasl.LoginClient},
		{"PLAIN, our argon2id", "carol", func(u, p string) sasl.Client { return sasl.PlainClient("", u, p) }},
		{"CRAM-MD5", "alice", sasl.CRAMMD5Client},
		{"CRAM-MD5, our secret", "bob", sasl.CRAMMD5Client},
		{"SCRAM-SHA-1", "alice", func(u, p string) sasl.Client { return scram(t, "SCRAM-SHA-1", "", u, p, nil) }},
		{"SCRAM-SHA-256", "alice", func(u, p string) sasl.Client { return scram(t, "SCRAM-SHA-256", "", u, p, nil) }},
	} {
		if user, err := dovecotLogin(socket, 2*i, tt.make(tt.user, "secret")); err != nil || user != tt.user {
			t.Errorf("%s: logged in as %q, %v", tt.what, user, err)
		}
		wrong := tt.make(tt.user, "wrong")
		wg.Go(func() { // Dovecot takes its time to refuse
			if user, err := dovecotLogin(socket, 2*i+1, wrong); !errors.Is(err, sasl.ErrDenied) {
				t.Errorf("%s with a wrong password: logged in as %q, %v", tt.what, user, err)
			}
		})
	}
}
