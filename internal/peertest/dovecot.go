package peertest

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Ordinary is a user without rights, who runs servers that do not run as root, and has a
// name, as some of them want: the test's own, or nobody if that is root.
type Ordinary struct {
	UID, GID    int
	Name, Group string
}

// AsOrdinary finds the user, and lets them into a folder of the test's, which becomes theirs.
func AsOrdinary(t testing.TB, dir string) *Ordinary {
	t.Helper()
	n := &Ordinary{UID: os.Geteuid(), GID: os.Getegid()}
	if n.UID == 0 {
		n.UID, n.GID = 65534, 65534
	}
	u, err := user.LookupId(strconv.Itoa(n.UID))
	if err != nil {
		missing(t, "a name for user "+strconv.Itoa(n.UID))
	}
	g, err := user.LookupGroupId(strconv.Itoa(n.GID))
	if err != nil {
		missing(t, "a name for group "+strconv.Itoa(n.GID))
	}
	n.Name, n.Group = u.Username, g.Name
	n.Own(t, dir)
	return n
}

// Own gives everything below a folder to the user, and lets them in.
func (n *Ordinary) Own(t testing.TB, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for at := filepath.Dir(dir); at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, n.UID, n.GID)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Attr makes a process theirs.
func (n *Ordinary) Attr() *syscall.SysProcAttr {
	attr := below("")
	if os.Geteuid() == 0 {
		Become(attr, n.UID, n.GID)
	}
	return attr
}

// Run runs a program as the user, with a text as its standard input, and returns what it says.
func (n *Ordinary) Run(t testing.TB, stdin, program string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.SysProcAttr = strings.NewReader(stdin), n.Attr()
	cmd.Env = append(os.Environ(), "HOME=/nonexistent", "USER="+n.Name)
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// Dovecot is Debian's Dovecot with IMAP and POP3, without root.
type Dovecot struct {
	*Ordinary
	IMAP, POP3 string // where it listens, in clear
	Conf       string // its configuration
	p          *process
	log        string
}

// dovecotConf is what Dovecot needs to run without root, on ports of its own.
const dovecotConf = `base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[2]s
first_valid_uid = 1
first_valid_gid = 1
mail_uid = %[2]s
mail_gid = %[3]s
ssl = no
service anvil {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    address = 127.0.0.1
    port = %[4]d
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    address = 127.0.0.1
    port = %[5]d
  }
  inet_listener pop3s {
    port = 0
  }
}
`

// StartDovecot starts Dovecot in a folder, which is made and becomes n's, and waits until it listens: at the addresses
// that are said, or at IMAP and POP3. The settings stand behind those it needs to run in a test, and win. Accounts are for them
// to say.
func StartDovecot(t testing.TB, n *Ordinary, dir, settings string, listens ...string) *Dovecot {
	t.Helper()
	for _, program := range []string{"dovecot", "doveadm"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program)
		}
	}
	for _, part := range []string{"imap", "pop3"} {
		if _, err := os.Stat("/usr/lib/dovecot/" + part); err != nil {
			missing(t, "dovecot-"+part+"d")
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	imap, pop := FreePort(t), FreePort(t)
	d := &Dovecot{Ordinary: n, Conf: filepath.Join(dir, "dovecot.conf"), log: filepath.Join(dir, "log"),
		IMAP: net.JoinHostPort("127.0.0.1", strconv.Itoa(imap)), POP3: net.JoinHostPort("127.0.0.1", strconv.Itoa(pop))}
	if err := os.WriteFile(d.Conf, []byte(fmt.Sprintf(dovecotConf, dir, n.Name, n.Group, imap, pop)+settings), 0o644); err != nil {
		t.Fatal(err)
	}
	n.Own(t, dir)
	program, _ := exec.LookPath("dovecot")
	d.p = runWith(t, n.Attr(), program, "-F", "-c", d.Conf)
	if listens == nil {
		listens = []string{d.IMAP, d.POP3}
	}
	for _, addr := range listens {
		Await(t, "Dovecot at "+addr, func() bool {
			select {
			case <-d.p.ended:
				t.Fatalf("Dovecot ended:\n%s%s", d.p.out.String(), d.Log())
			default:
			}
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return d
}

// Log is what it has said so far.
func (d *Dovecot) Log() string {
	text, _ := os.ReadFile(d.log)
	return string(text)
}

// Errors are the lines of its log that tell of something wrong.
func (d *Dovecot) Errors() (all []string) {
	for _, line := range strings.Split(d.Log(), "\n") {
		for _, word := range []string{"Error:", "Fatal:", "Panic:", "Warning:"} {
			if strings.Contains(line, word) && !strings.Contains(line, "Killed with signal") {
				all = append(all, line)
				break
			}
		}
	}
	return all
}

// Admin runs doveadm.
func (d *Dovecot) Admin(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	out, code := d.Run(t, stdin, "doveadm", append([]string{"-c", d.Conf}, args...)...)
	if code != 0 {
		t.Fatalf("doveadm %s: exit %d, %s\n%s", strings.Join(args, " "), code, out, d.Log())
	}
	return out
}

// Stop stops it.
func (d *Dovecot) Stop() { d.p.stop() }
