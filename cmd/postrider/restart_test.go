package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// managed is a service manager: it passes sockets to each process of the
// service, keeps those that a process gives it, and hears how it is.
type managed struct {
	t     *testing.T
	dir   string // the configuration
	conn  *net.UnixConn
	said  chan string // every message, in its order
	log   *mailtest.Log
	cmd   *exec.Cmd
	ended chan error
	units map[string]*os.File // sockets of units, by name
	mu    sync.Mutex
	kept  map[string]*os.File // by name
}

func newManaged(t *testing.T, dir string) *managed {
	t.Helper()
	place, err := os.MkdirTemp("", "postrider-notify") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(place, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &managed{t: t, dir: dir, conn: conn, said: make(chan string, 1000), log: &mailtest.Log{},
		units: make(map[string]*os.File), kept: make(map[string]*os.File)}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		m.hear()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-heard
		for _, files := range []map[string]*os.File{m.units, m.kept} {
			for _, f := range files {
				f.Close()
			}
		}
		os.RemoveAll(place)
	})
	return m
}

// hear obeys what processes say until the socket is closed.
func (m *managed) hear() {
	for {
		text, oob := make([]byte, 4096), make([]byte, 256)
		n, oobn, _, _, err := m.conn.ReadMsgUnix(text, oob)
		if err != nil {
			return
		}
		words := make(map[string]string)
		for _, line := range strings.Split(string(text[:n]), "\n") {
			key, value, _ := strings.Cut(line, "=")
			words[key] = value
		}
		var fds []int
		if messages, err := syscall.ParseSocketControlMessage(oob[:oobn]); err == nil && len(messages) > 0 {
			fds, _ = syscall.ParseUnixRights(&messages[0])
		}
		m.obey(words, fds)
		m.said <- string(text[:n])
	}
}

func (m *managed) obey(words map[string]string, fds []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := words["FDNAME"]
	if words["FDSTOREREMOVE"] == "1" && m.kept[name] != nil {
		m.kept[name].Close()
		delete(m.kept, name)
	}
	for _, fd := range fds {
		if words["FDSTORE"] == "1" && m.kept[name] == nil {
			m.kept[name] = os.NewFile(uintptr(fd), name)
		} else {
			syscall.Close(fd) // a barrier, or kept already
		}
	}
}

// start runs the next process and returns when it is ready.
func (m *managed) start() {
	m.t.Helper()
	var names []string
	// LISTEN_PID is known only to the process itself.
	m.cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary(m.t), "serve", "-c", m.dir)
	m.mu.Lock()
	for _, files := range []map[string]*os.File{m.units, m.kept} {
		for name, f := range files {
			names = append(names, name)
			m.cmd.ExtraFiles = append(m.cmd.ExtraFiles, f)
		}
	}
	m.mu.Unlock()
	m.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.conn.LocalAddr().String(), "WATCHDOG_USEC=100000",
		fmt.Sprint("LISTEN_FDS=", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended, cmd := make(chan error, 1), m.cmd
	m.ended = ended
	go func() { ended <- cmd.Wait() }()
	m.t.Cleanup(func() { cmd.Process.Kill() })
	m.wait("READY=1")
}

// wait returns the next message with this word in it.
func (m *managed) wait(word string) string {
	m.t.Helper()
	late := time.After(3 * time.Minute)
	for {
		select {
		case text := <-m.said:
			if strings.Contains(text, word) {
				return text
			}
		case err := <-m.ended:
			m.t.Fatalf("waiting for %s: the process ended: %v\n%s", word, err, tail(m.log))
		case <-late:
			m.t.Fatalf("nobody says %s\n%s", word, tail(m.log))
		}
	}
}

// stop ends the process as a restart does.
func (m *managed) stop() {
	m.t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Fatal(err)
	}
	if err := <-m.ended; err != nil {
		m.t.Fatalf("the process ended: %v\n%s", err, tail(m.log))
	}
}

// unit opens a socket as a socket unit does and returns its address.
func (m *managed) unit(name, address string) string {
	m.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		m.t.Fatal(err)
	}
	defer l.Close()
	if m.units[name], err = l.(*net.TCPListener).File(); err != nil {
		m.t.Fatal(err)
	}
	return l.Addr().String()
}

// keptAddress is where a socket listens that the process has given away.
func (m *managed) keptAddress(name string) string {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := net.FileListener(m.kept[name])
	if err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	defer l.Close()
	return l.Addr().String()
}

// traffic is deliveries and fetches without a pause, and what became of them.
type traffic struct {
	smtp, pop3s string
	over        atomic.Bool
	running     sync.WaitGroup
	done        chan struct{} // an item for each delivery and fetch that came to its end

	mu             sync.Mutex
	refused, reset []error
	orderly        int // sessions that were told that the server stops
	taken, fetched map[string]int
}

// errStops: the server said that it stops.
var errStops = errors.New("421")

// each runs one session after another.
func (f *traffic) each(session func() error) {
	f.running.Go(func() {
		for !f.over.Load() {
			err := session()
			f.mu.Lock()
			var op *net.OpError
			switch {
			case err == nil:
			case errors.Is(err, errStops):
				f.orderly++
			case errors.As(err, &op) && op.Op == "dial":
				f.refused = append(f.refused, err)
			default:
				f.reset = append(f.reset, err)
			}
			f.mu.Unlock()
			if err == nil {
				select {
				case f.done <- struct{}{}:
				default:
				}
			}
		}
	})
}

// talk says each line and reads a reply to each, which has to begin so.
func talk(c net.Conn, r *bufio.Reader, lines ...string) error {
	for i := 0; i < len(lines); i += 2 {
		say, want := lines[i], lines[i+1]
		var err error
		if say != "" {
			_, err = fmt.Fprint(c, say+"\r\n") // what it says may be there to be read all the same
		}
		for {
			line, readErr := r.ReadString('\n')
			switch {
			case strings.HasPrefix(line, "421 "), strings.HasPrefix(line, "-ERR [SYS/TEMP] server is shutting down"):
				return errStops
			case readErr != nil:
				return fmt.Errorf("after %.20q: %w", say, errors.Join(readErr, err))
			case len(line) > 3 && line[0] != '+' && line[3] == '-':
				continue
			case !strings.HasPrefix(line, want):
				return fmt.Errorf("%.20q is answered %q", say, line)
			}
			break
		}
	}
	return nil
}

// deliver sends one message.
func (f *traffic) deliver(id, to string) error {
	c, err := net.Dial("tcp", f.smtp)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	r := bufio.NewReader(c)
	body := "Subject: " + id + "\r\n\r\n" + strings.Repeat("A line of it.\r\n", 200) + "."
	err = talk(c, r, "", "220 ", "EHLO client.test", "250 ", "MAIL FROM:<x@client.test>", "250 ", "RCPT TO:<"+to+">", "250 ", "DATA", "354 ", body, "250 ")
	if err == nil {
		f.mu.Lock()
		f.taken[id]++
		f.mu.Unlock()
		err = talk(c, r, "QUIT", "221 ")
	}
	return err
}

// fetch takes out everything.
func (f *traffic) fetch(account string) error {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", f.pop3s, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	r := bufio.NewReader(c)
	if err := talk(c, r, "", "+OK", "USER "+account, "+OK", "PASS "+password, "+OK"); err != nil {
		return err
	}
	fmt.Fprint(c, "STAT\r\n")
	stat, err := r.ReadString('\n')
	var n, size int
	if _, scanErr := fmt.Sscanf(stat, "+OK %d %d", &n, &size); scanErr != nil {
		if strings.HasPrefix(stat, "-ERR [SYS/TEMP]") {
			return errStops
		}
		return fmt.Errorf("STAT: %q %w", stat, errors.Join(err, scanErr))
	}
	var ids []string
	for i := range n {
		if err := talk(c, r, fmt.Sprint("RETR ", i+1), "+OK"); err != nil {
			return err
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return fmt.Errorf("in a message: %w", err)
			}
			if id, ok := strings.CutPrefix(line, "Subject: "); ok {
				ids = append(ids, strings.TrimSpace(id))
			}
			if line == ".\r\n" {
				break
			}
		}
		if err := talk(c, r, fmt.Sprint("DELE ", i+1), "+OK"); err != nil {
			return err
		}
	}
	if err := talk(c, r, "QUIT", "+OK"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.fetched[id]++
	}
	return nil
}

// restarts is how often the tests restart: 10, or what POSTRIDER_RESTARTS says.
func restarts() int {
	if n, err := strconv.Atoi(os.Getenv("POSTRIDER_RESTARTS")); err == nil {
		return n
	}
	return 10
}

// TestRestarts: with sockets that are handed over, be they of units or kept by
// the manager, no restart under traffic refuses or resets a connection, and what
// was taken is there once.
func TestRestarts(t *testing.T) {
	for _, way := range []string{"units", "kept"} {
		t.Run(way, func(t *testing.T) {
			w := newWorldStopped(t)
			m := newManaged(t, w.dir)
			f := &traffic{done: make(chan struct{}, 1), taken: make(map[string]int), fetched: make(map[string]int)}
			if way == "units" {
				for name, place := range places {
					address := m.unit(name, place)
					if name == "smtp" { // the others by their names
						f.smtp = address
						w.edit(`"`+place+`"`, `"`+address+`"`)
						continue
					}
					w.edit(`"`+place+`",`, `"`+place+`", "socket": "`+name+`",`)
					if name == "pop3s" {
						f.pop3s = address
					}
				}
			}
			m.start()
			if way == "kept" {
				f.smtp, f.pop3s = m.keptAddress("kept-127.0.0.1%3a0"), m.keptAddress("kept-127.0.0.5%3a0")
			}
			accounts := []string{user, "bob@mail.test"}
			for i, account := range append(accounts, accounts...) {
				n := 0
				f.each(func() error {
					n++
					return f.deliver(fmt.Sprintf("%d-%d", i, n), account)
				})
			}
			for _, account := range accounts {
				f.each(func() error { return f.fetch(account) })
			}
			for range restarts() {
				for range 10 {
					<-f.done
				}
				m.stop()
				m.start()
			}
			f.over.Store(true)
			f.running.Wait()
			for _, account := range accounts {
				if err := f.fetch(account); err != nil {
					t.Error(err)
				}
			}
			m.stop()
			t.Logf("%d restarts: %d refused, %d reset, %d told 421 or -ERR; %d messages taken", restarts(), len(f.refused), len(f.reset), f.orderly, len(f.taken))
			if len(f.refused)+len(f.reset) > 0 {
				t.Errorf("refused %v, reset %v\n%s", f.refused, f.reset, tail(m.log))
			}
			for id := range f.taken {
				if f.fetched[id] != 1 {
					t.Errorf("message %s came %d times", id, f.fetched[id])
				}
			}
			for _, trouble := range []string{"service manager", "cut off"} {
				if strings.Contains(m.log.String(), trouble) {
					t.Errorf("%q is in the log", trouble)
				}
			}
		})
	}
}

// TestManagerHears: a reload, a reload that fails and the stop are said to the
// service manager, and that the daemon is alive.
func TestManagerHears(t *testing.T) {
	w := newWorldStopped(t)
	m := newManaged(t, w.dir)
	m.start()
	m.wait("WATCHDOG=1")
	hangUp := func() (ready string) {
		t.Helper()
		if err := m.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if text := m.wait("RELOADING=1"); !strings.Contains(text, "\nMONOTONIC_USEC=") {
			t.Errorf("no time in %q", text)
		}
		return m.wait("READY=1")
	}
	if text := hangUp(); !strings.Contains(text, "STATUS=serving mail.test on 5 listeners") {
		t.Errorf("after a reload: %q", text)
	}
	w.edit(`"tarpit": "0s"`, `"tarpit": 5`)
	if text := hangUp(); !strings.Contains(text, "mail.conf:") || !strings.Contains(text, "SMTP.tarpit") || strings.Count(text, "\n") != 1 {
		t.Errorf("after a reload that failed: %q", text)
	}
	if n := strings.Count(m.log.String(), "msg=listening"); n != 5 {
		t.Errorf("after reloads that changed no listener, %d lines say \"listening\"", n)
	}
	// A listener that goes is not kept for the next process.
	w.edit(`"tarpit": 5`, `"tarpit": "0s"`)
	w.edit(`{"address": "127.0.0.4:0", "protocol": "pop3"},`, "")
	gone := m.keptAddress("kept-127.0.0.4%3a0")
	hangUp()
	if c, err := net.Dial("tcp", gone); err == nil {
		c.Close()
		t.Error("a listener that was taken out of the settings is still open")
	}
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.wait("STOPPING=1")
	if err := <-m.ended; err != nil {
		t.Fatal(err)
	}
}

// TestStopRefuses: from the moment of stopping connections are refused, while a
// message on its way comes to its end and idle sessions hear why theirs ends.
func TestStopRefuses(t *testing.T) {
	w := newWorld(t)
	idle, busy := dial(t, w.addrs["smtp"]), dial(t, w.addrs["smtp"])
	fetching := dial(t, w.addrs["pop3"])
	fetching.expect("+OK")
	idle.expect("220 ")
	busy.expect("220 ")
	for _, line := range []string{"EHLO client.test", "MAIL FROM:<x@client.test>", "RCPT TO:<" + user + ">"} {
		busy.ask(line, "250 ")
	}
	busy.ask("DATA", "354 ")
	busy.say("Subject: slow\r\n")
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	idle.expect("421 ")
	fetching.expect("-ERR [SYS/TEMP] server is shutting down")
	for name, addr := range w.addrs {
		if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: while it stops, a connection: %v", name, err)
			if err == nil {
				c.Close()
			}
		}
	}
	busy.say("the end\r\n.")
	busy.expect("250 ")
	busy.expect("421 ")
	if err := <-w.ended; err != nil {
		t.Errorf("%v\n%s", err, tail(w.log))
	}
}

// TestServeTakenPorts: where another program has the port, nothing is said that
// would lead to it, and no password is lost.
func TestServeTakenPorts(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.1:2525"); err == nil {
		defer l.Close() // otherwise another program has it, too
	}
	cmd := exec.Command(binary(t), "serve")
	cmd.Dir = t.TempDir()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil || len(out) > 0 || strings.Contains(said.String(), "password") || !strings.Contains(said.String(), "another program listens on 127.0.0.1:2525") {
		t.Errorf("%v, %s%s", err, out, said.String())
	}
	confs, err := filepath.Glob(filepath.Join(cmd.Dir, quickStartDir, "*.conf"))
	if err != nil || len(confs) > 0 {
		t.Errorf("settings with a password that nobody knows are left: %v %v", confs, err)
	}
}

// TestPassedSockets: sockets that do not fit the settings, or were passed to
// another process, are named, and nothing is served.
func TestPassedSockets(t *testing.T) {
	w := newWorldStopped(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		name, pid string
		file      *os.File
		want      []string
	}{
		{"differ", "$$", file, []string{"listeners without a socket: 127.0.0.1:0, 127.0.0.2:0", "sockets without a listener: " + l.Addr().String() + " (postrider.socket)"}},
		{"of another process", "1", file, []string{`LISTEN_PID is "1"`}},
		{"no socket", "$$", null, []string{`"postrider.socket", is not a socket`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", `LISTEN_PID=`+c.pid+` exec "$0" "$@"`, binary(t), "serve", "-c", w.dir)
			cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=postrider.socket")
			cmd.ExtraFiles = []*os.File{c.file}
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Error("it serves")
			}
			for _, want := range c.want {
				if !bytes.Contains(out, []byte(want)) {
					t.Errorf("%q is not in %s", want, out)
				}
			}
		})
	}
}
