package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	netsmtp "net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// dialogue is a connection driven by hand.
type dialogue struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *dialogue {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	return &dialogue{t, c, bufio.NewReader(c)}
}

// expect reads lines up to one that ends a reply and wants it to begin so.
func (d *dialogue) expect(prefix string) string {
	d.t.Helper()
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			d.t.Fatalf("waiting for %q: %v (got %q)", prefix, err, line)
		}
		if len(line) > 3 && line[3] == '-' && line[0] >= '2' && line[0] <= '5' {
			continue
		}
		if !strings.HasPrefix(line, prefix) {
			d.t.Fatalf("got %q, want %q", line, prefix)
		}
		return line
	}
}

// text reads a multi-line answer (RFC 1939 §3) to its end.
func (d *dialogue) text() string {
	d.t.Helper()
	var b strings.Builder
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			d.t.Fatalf("in a multi-line answer: %v", err)
		}
		if line == ".\r\n" {
			return b.String()
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

func (d *dialogue) say(line string) { fmt.Fprint(d.c, line+"\r\n") }

func (d *dialogue) ask(line, prefix string) string {
	d.t.Helper()
	d.say(line)
	return d.expect(prefix)
}

// postrider runs the program with a command line to its end.
func postrider(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

func (w *world) edit(old, new string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "mail.conf"))
	if err != nil {
		w.t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		w.t.Fatalf("the configuration has no %q", old)
	}
	w.write("mail.conf", strings.Replace(string(text), old, new, 1))
}

func TestReload(t *testing.T) {
	w := newWorld(t)
	session := dial(t, w.addrs["smtp"])
	session.expect("220 ")
	session.ask("EHLO client.test", "250 ")
	session.ask("MAIL FROM:<a@b.test>", "250 ")
	session.ask("RCPT TO:<new@mail.test>", "550 ")

	// Something wrong: it is said with its place, and nothing changes.
	w.edit(`"tarpit": "0s"`, `"tarpit": "0s", "max_recipient": 5`)
	_, said, code := postrider(t, "reload", "-c", w.dir)
	if code != 1 || !strings.Contains(said, "mail.conf:") || !strings.Contains(said, "max_recipients") {
		t.Errorf("reload of a broken file: code %d, %q", code, said)
	}
	session.ask("RCPT TO:<alice@mail.test>", "250 ")

	// Something right: the session that is there goes on, and knows the new account
	// from its next message on.
	w.edit(`"max_recipient": 5`, `"max_recipients": 200, "greeting": "new here"`)
	w.edit(`"Aliases": {`, `"Aliases": {"new@mail.test": "alice@mail.test", `)
	if out, said, code := postrider(t, "reload", "-c", w.dir); code != 0 {
		t.Fatalf("reload: code %d, %s%s\n%s", code, out, said, w.log)
	}
	session.ask("RCPT TO:<new@mail.test>", "550 ")
	session.ask("RSET", "250 ")
	session.ask("MAIL FROM:<a@b.test>", "250 ")
	session.ask("RCPT TO:<new@mail.test>", "250 ")
	session.ask("DATA", "354 ")
	session.ask("Subject: x\r\n\r\ny\r\n.", "250 ")
	fresh := dial(t, w.addrs["smtp"])
	if greeting := fresh.expect("220 "); !strings.Contains(greeting, "new here") {
		t.Errorf("greeting after the reload: %q", greeting)
	}

	// An account that may not log in any more, cannot, also where it was
	// logged in a moment ago (an older project merged new settings into old).
	if len(w.fetchAll(user)) != 1 {
		t.Error("the message is not there")
	}
	w.edit(`"alice@mail.test": {"`, `"alice@mail.test": {"disabled": true, "`)
	if _, said, code := postrider(t, "reload", "-c", w.dir); code != 0 {
		t.Fatalf("reload: code %d, %s", code, said)
	}
	script := fmt.Sprintf(`
import poplib, ssl
c = poplib.POP3_SSL(%q, %s, context=ssl._create_unverified_context())
c.user(%q)
try:
    c.pass_(%q)
    print("logged in")
except poplib.error_proto as e:
    print(e)
`, w.host("pop3s"), w.port("pop3s"), user, password)
	if out, err := runPeer(t, w.dir, "", "python3", "-c", script); err != nil || !strings.Contains(out, "[AUTH]") {
		t.Errorf("login to a disabled account: %v, %s", err, out)
	}
}

func TestStop(t *testing.T) {
	w := newWorld(t)
	idle := dial(t, w.addrs["smtp"])
	idle.expect("220 ")
	pop := dial(t, w.addrs["pop3"])
	pop.expect("+OK")
	busy := dial(t, w.addrs["smtp"])
	busy.expect("220 ")
	busy.ask("EHLO client.test", "250 ")
	busy.ask("MAIL FROM:<a@b.test>", "250 ")
	busy.ask("RCPT TO:<alice@mail.test>", "250 ")
	busy.ask("DATA", "354 ")
	busy.say("Subject: in time")
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	idle.expect("421 4.3.2")
	pop.expect("-ERR [SYS/TEMP]")
	busy.say("")
	busy.ask("still here\r\n.", "250 ")
	busy.expect("421 ")
	select {
	case err := <-w.ended:
		if err != nil {
			t.Errorf("exit: %v\n%s", err, w.log)
		}
	case <-time.After(3 * time.Minute):
		t.Fatalf("the daemon did not stop\n%s", w.log)
	}
	w.start()
	if got := w.fetchAll(user); len(got) != 1 || !strings.Contains(got[0], "still here") {
		t.Errorf("after the stop the mailbox holds %q", got)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	w := newWorld(t)
	out, err := exec.Command(binary(t), "serve", "-c", w.dir).CombinedOutput()
	if err == nil {
		t.Fatal("a second daemon runs on the same store")
	}
	if !strings.Contains(string(out), fmt.Sprint(w.cmd.Process.Pid)) {
		t.Errorf("the refusal does not say who holds the store: %s", out)
	}
	session := dial(t, w.addrs["smtp"])
	session.expect("220 ")
}

// killRounds is how often TestKill kills the daemon: 50 times in CI, as often
// as POSTRIDER_CRASH_ROUNDS says, else a few times.
func killRounds() int {
	if n, err := strconv.Atoi(os.Getenv("POSTRIDER_CRASH_ROUNDS")); err == nil {
		return n
	}
	if os.Getenv("CI") == "true" {
		return 50
	}
	return 5
}

// TestKill: whenever the daemon dies, what it has answered 250 to is there
// when it comes back, once and whole. What POP3 gave out and removed does not
// come back either: it would be counted twice.
func TestKill(t *testing.T) {
	w := newWorld(t)
	k := &killed{w: w, acked: make(map[string]bool), have: make(map[string]int)}
	rounds := killRounds()
	for round := range rounds {
		k.round(round)
		// Now and then, so that some rounds find what those before have left.
		if (round+1)%20 == 0 || round == rounds-1 {
			k.collect()
		}
		if (round+1)%100 == 0 {
			t.Logf("%d rounds, %d messages acknowledged, %d copies found", round+1, len(k.acked), len(k.have))
		}
	}
	missing, doubled := k.compare()
	t.Logf("%d rounds, %d messages acknowledged to two mailboxes each, %d copies found; %d missing, %d doubled",
		rounds, len(k.acked), len(k.have), missing, doubled)
	if len(k.acked) < rounds {
		t.Errorf("only %d messages in %d rounds: nothing was tested", len(k.acked), rounds)
	}
}

// killed is what is known of the messages sent to a daemon that is killed again
// and again.
type killed struct {
	w     *world
	acked map[string]bool // by id: answered with 250
	have  map[string]int  // by id and mailbox: how often POP3 gave it
}

// round has four clients send until the daemon is killed, and starts it again.
func (k *killed) round(n int) {
	var mu sync.Mutex
	var senders sync.WaitGroup
	for s := range 4 {
		senders.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", n, s, i)
				if !send(k.w.addrs["smtp"], id) {
					return
				}
				mu.Lock()
				k.acked[id] = true
				mu.Unlock()
			}
		})
	}
	time.Sleep(time.Duration(rand.IntN(150)+20) * time.Millisecond)
	k.w.cmd.Process.Kill()
	<-k.w.ended
	senders.Wait()
	k.w.start()
}

// boxes are those each message of send goes to.
var boxes = []string{user, "bob@mail.test"}

// collect takes everything out of the mailboxes by POP3.
func (k *killed) collect() {
	for _, box := range boxes {
		for _, m := range k.w.fetchAll(box) {
			_, rest, _ := strings.Cut(m, "X-Id: ")
			id, _, _ := strings.Cut(rest, "\r\n")
			k.have[id+" "+box]++
			if !strings.HasSuffix(m, "\r\nend of "+id+"\r\n") {
				k.w.t.Errorf("%s is not whole: %q", id, m)
			}
		}
	}
}

func (k *killed) compare() (missing, doubled int) {
	for id := range k.acked {
		for _, box := range boxes {
			if k.have[id+" "+box] == 0 {
				missing++
				k.w.t.Errorf("%s was acknowledged and is not in the mailbox of %s", id, box)
			}
		}
	}
	for id, n := range k.have {
		if n > 1 {
			doubled++
			k.w.t.Errorf("%s is there %d times", id, n)
		}
	}
	return missing, doubled
}

// send reports whether the message was acknowledged.
func send(addr, id string) bool {
	c, err := netsmtp.Dial(addr)
	if err != nil {
		return false
	}
	defer c.Close()
	if c.Mail("s@elsewhere.test") != nil || c.Rcpt(user) != nil || c.Rcpt("bob@mail.test") != nil {
		return false
	}
	d, err := c.Data()
	if err != nil {
		return false
	}
	fmt.Fprintf(d, "X-Id: %s\r\n\r\n%s\r\nend of %s\r\n", id, strings.Repeat("filler\r\n", 200), id)
	return d.Close() == nil
}
