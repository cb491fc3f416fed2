package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// accepted are the entries whose senders were told that they are queued.
type accepted struct {
	mu  sync.Mutex
	all []string

	// rests is held while nothing is to be sent: a standby that is made anew copies all that the database has, and would never
	// come to an end where that grew meanwhile.
	rests sync.RWMutex
}

func (a *accepted) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.all...)
}

// one queues an entry at a node, and notes it if that was confirmed.
func (a *accepted) one(ctx context.Context, n *node, e *queue.Entry, text string) {
	a.rests.RLock()
	defer a.rests.RUnlock()
	if err := n.Submit(ctx, e, strings.NewReader(text)); err == nil {
		a.mu.Lock()
		a.all = append(a.all, e.ID)
		a.mu.Unlock()
	}
}

// feed queues entries at a node until stop.
func (a *accepted) feed(t *testing.T, n *node, name string, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		e := &queue.Entry{ID: fmt.Sprint(name, "-", i), From: smtp.Path{Local: "ann", Domain: "example.org"},
			To: []queue.Recipient{{Path: smtp.Path{Local: "bob", Domain: fmt.Sprintf("d%d.example", i%20)}}}}
		// Some are large: their pieces are not durable before their entries are.
		a.one(t.Context(), n, e, "text of "+e.ID+strings.Repeat("x", i%20/19*100_000))
	}
}

// TestFailover: the primary is killed while two nodes take mail and send it, and the standby takes its place, round after round
// (POSTRIDER_FAILOVERS says how often, 1 where it says nothing). Nothing whose sender was told that it is queued is missing, and nothing is sent
// again that had left the queue before.
func TestFailover(t *testing.T) {
	t.Parallel()
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("POSTRIDER_FAILOVERS")); err == nil {
		rounds = n
	}
	const small = "max_wal_size = 64MB" // what a promoted server has to go through
	primary := peertest.Postgres(t, "synchronous_standby_names = 'second'", small)
	standby := primary.Standby(t, "second", small)
	dsn := peertest.DSN(primary, standby)
	nodes := []*node{start(t, dsn, "a", nil), start(t, dsn, "b", nil)}
	sent := func(id string) int { return nodes[0].post.times(id) + nodes[1].post.times(id) }
	var took accepted
	stop := make(chan struct{})
	var feeders sync.WaitGroup
	for i := range 6 {
		feeders.Go(func() { took.feed(t, nodes[i%2], fmt.Sprint("f", i), stop) })
	}
	more := func(what string) {
		t.Helper()
		had := len(took.list())
		peertest.Await(t, what, func() bool { return len(took.list()) >= had+40 })
	}
	left := make(map[string]bool)
	looked := 0
	for round := range rounds {
		more("mail")
		before := took.list()
		for _, id := range before[looked:] {
			if _, _, err := nodes[0].spool.Load(t.Context(), id); errors.Is(err, queue.ErrNotFound) {
				left[id] = true
			}
		}
		looked = len(before)
		primary.Kill()
		standby.Promote(t)
		peertest.SQL(t, standby, "alter system set synchronous_standby_names = ''")
		peertest.SQL(t, standby, "select pg_reload_conf()")
		more("mail at the other server")
		primary, standby = standby, primary
		if round+1 == rounds {
			break
		}
		took.rests.Lock()
		standby.Follow(t, primary, "second", small)
		took.rests.Unlock()
		peertest.SQL(t, primary, "alter system set synchronous_standby_names = 'second'")
		peertest.SQL(t, primary, "select pg_reload_conf()")
		peertest.SQL(t, primary, `do $$ begin for i in 1..600 loop
			perform pg_stat_clear_snapshot(); exit when exists (select from pg_stat_replication where sync_state = 'sync'); perform pg_sleep(0.05);
			end loop; end $$`)
	}
	close(stop)
	feeders.Wait()
	all := took.list()
	beside(t, peertest.DSN(primary))(`update $.queue set due = now() where due < now() + interval '1 minute' and node is null`) // what waits for its next attempt
	peertest.Await(t, "all to be sent", func() bool {
		for _, id := range all {
			if sent(id) == 0 {
				return false
			}
		}
		return true
	})
	twice := 0
	for _, id := range all {
		if n := sent(id); n > 1 && left[id] {
			t.Errorf("%s had left the queue, and was sent %d times", id, n)
		} else if n > 1 {
			twice++
		}
	}
	if len(left) == 0 {
		t.Error("nothing had left the queue before")
	}
	t.Logf("%d accepted, %d had left before a kill, %d under way were sent twice", len(all), len(left), twice)
}
