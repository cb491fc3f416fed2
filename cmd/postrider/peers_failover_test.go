package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

var failovers = flag.Int("failovers", 2, "how often TestFailoverServed loses its database")

// ledger is what clients were told, by message: nothing that was acknowledged may be missing, nothing that was removed come back.
type ledger struct {
	mu       sync.Mutex
	stored   map[string]bool // 250
	removed  map[string]bool // QUIT was answered +OK
	doubtful map[string]bool // it was not
	wrong    []string
}

func newLedger() *ledger {
	return &ledger{stored: make(map[string]bool), removed: make(map[string]bool), doubtful: make(map[string]bool)}
}

func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.stored)
}

// send sends messages to the user until stop, and notes what is acknowledged.
func (l *ledger) send(addr, name string, stop <-chan struct{}) {
	for i := 0; ; {
		c, err := smtp.Dial(addr)
		for ; err == nil; i++ {
			select {
			case <-stop:
				c.Close()
				return
			default:
			}
			id := fmt.Sprint(name, "-", i)
			err = sendOne(c, fmt.Sprintf("Subject: %s\r\n\r\n%s", id, strings.Repeat("0123456789abcde\r\n", i%5*3_000)))
			if err == nil {
				l.mu.Lock()
				l.stored[id] = true
				l.mu.Unlock()
			}
		}
		if c != nil {
			c.Close()
		}
		i++
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func sendOne(c *smtp.Client, text string) error {
	if err := errors.Join(c.Mail("a@else.test"), c.Rcpt(user)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return w.Close()
}

// fetch takes all mail out of the user's mailbox, again and again until stop, and notes what became of it.
func (l *ledger) fetch(addr string, stop <-chan struct{}) {
	for {
		l.fetchOnce(addr)
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// fetchOnce is one session. It may end anywhere.
func (l *ledger) fetchOnce(addr string) error {
	l.mu.Lock()
	gone := make(map[string]bool)
	for id := range l.removed {
		gone[id] = true
	}
	l.mu.Unlock()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	c := textproto.NewConn(conn)
	ask := func(line string) (string, error) {
		if line != "" {
			c.PrintfLine("%s", line)
		}
		text, err := c.ReadLine()
		if err == nil && !strings.HasPrefix(text, "+OK") {
			err = errors.New(text)
		}
		return text, err
	}
	var stat string
	for _, line := range []string{"", "USER " + user, "PASS " + password, "STAT"} {
		if stat, err = ask(line); err != nil {
			return err
		}
	}
	var n int
	fmt.Sscanf(stat, "+OK %d", &n)
	var ids []string
	for i := 1; i <= n; i++ {
		if _, err := ask(fmt.Sprint("RETR ", i)); err != nil {
			return err
		}
		lines, err := c.ReadDotLines()
		if err != nil {
			return err
		}
		for _, line := range lines {
			if id, ok := strings.CutPrefix(line, "Subject: "); ok {
				ids = append(ids, id)
				break
			}
		}
		if _, err := ask(fmt.Sprint("DELE ", i)); err != nil {
			return err
		}
	}
	_, err = ask("QUIT")
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if gone[id] {
			l.wrong = append(l.wrong, id+" is back")
		}
		if err == nil {
			l.removed[id] = true
		} else {
			l.doubtful[id] = true
		}
	}
	return err
}

// close finds what is missing, once all is fetched.
func (l *ledger) close(t *testing.T, addr string) {
	t.Helper()
	peertest.Await(t, "the rest of the mail", func() bool { return l.fetchOnce(addr) == nil })
	if err := l.fetchOnce(addr); err != nil {
		t.Error(err)
	}
	for id := range l.stored {
		if !l.removed[id] && !l.doubtful[id] {
			l.wrong = append(l.wrong, id+" is missing")
		}
	}
	for _, what := range l.wrong {
		t.Error(what)
	}
	t.Logf("%d acknowledged, %d removed, of %d it is not known", len(l.stored), len(l.removed), len(l.doubtful))
}

// TestFailoverServed: two servers take mail and give it out while the primary is killed under them and the standby takes its place, over
// and over (-failovers): nothing acknowledged is missing, nothing removed comes back. What was the primary becomes the standby of the other.
func TestFailoverServed(t *testing.T) {
	t.Parallel()
	primary := peertest.Postgres(t, "synchronous_standby_names = 'second'")
	standby := primary.Standby(t, "second")
	var both []*world
	for range 2 {
		both = append(both, newWorld(t, `"data_dir": "data",`, fmt.Sprintf(`"data_dir": "data", "Store": {"postgres": %q},`, peertest.DSN(primary, standby))))
	}
	l, stop := newLedger(), make(chan struct{})
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() { l.send(both[i%2].addrs["smtp"], fmt.Sprint("c", i), stop) })
	}
	for i := range 2 {
		clients.Go(func() { l.fetch(both[i].addrs["pop3s"], stop) })
	}
	grow := func(n int) {
		t.Helper()
		had := l.acknowledged()
		peertest.Await(t, "more mail", func() bool { return l.acknowledged() >= had+n })
	}
	for round := range *failovers {
		grow(20)
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		primary.TakeOver(t, standby)
		grow(20)
		t.Logf("round %d: %d acknowledged", round+1, l.acknowledged())
		primary, standby = standby, primary
		if round+1 == *failovers {
			break
		}
		standby.FollowInStep(t, primary, "second")
	}
	close(stop)
	clients.Wait()
	peertest.SQL(t, primary, "update postrider.lease set until = '-infinity'") // one that was given free on a server that is lost lasts half a minute
	l.close(t, both[0].addrs["pop3s"])
}
