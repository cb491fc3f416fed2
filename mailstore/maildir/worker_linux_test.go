package maildir_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// The real crashes happen to another process: this test binary, started again
// with the name of a store in workerEnv. It delivers and removes as fast as it
// can and says on standard output what has been acknowledged.
const workerEnv = "MAILDIR_TEST_WORKER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(workerEnv); dir != "" {
		work(dir)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// say writes one line at once: half a line is no acknowledgement.
func say(mu *sync.Mutex, format string, args ...any) {
	mu.Lock()
	defer mu.Unlock()
	// A removal nobody was told of would look like a loss.
	if _, err := fmt.Printf(format+"\n", args...); err != nil {
		os.Exit(1)
	}
}

func work(dir string) {
	s, err := maildir.Open(dir, maildir.WithReserve(0))
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				// Two share each box; every third goes to another one as well.
				users := []string{fmt.Sprintf("u%d@x", w/2)}
				if i%3 == 0 {
					users = append(users, fmt.Sprintf("u%d@x", (w/2+1)%4))
				}
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				// Some larger than what waits in memory: they go by way of tmp.
				if err := deliverID(s, id, 1<<((w+7*i)%19), users); err != nil {
					say(&mu, "failed %s %v", id, err)
					if s.Err() != nil {
						say(&mu, "poisoned")
						return
					}
					time.Sleep(time.Millisecond)
					continue
				}
				for _, u := range users {
					say(&mu, "delivered %s %s", id, u)
				}
			}
		})
	}
	wg.Go(func() {
		for i := 0; s.Err() == nil; i++ {
			removeSome(s, &mu, fmt.Sprintf("u%d@x", i%4))
		}
	})
	wg.Wait()
}

// deliverID delivers a message that proves itself: id, length and checksum.
func deliverID(s *maildir.Store, id string, size int, users []string) error {
	filler := strings.Repeat("0123456789abcdef 0123456789abcdef\r\n", size/35+1)
	body := fmt.Sprintf("%s %d %08x\r\n%s", id, len(filler), crc32.ChecksumIEEE([]byte(filler)), filler)
	d, err := s.Create(context.Background(), mailstore.Meta{}, users...)
	if err != nil {
		return err
	}
	defer d.Abort()
	if _, err := io.WriteString(d, body); err != nil {
		return err
	}
	return d.Commit(context.Background(), nil)
}

// proven returns the id of a message that is whole.
func proven(body string) (string, bool) {
	var id string
	var n int
	var sum uint32
	head, filler, _ := strings.Cut(body, "\r\n")
	if _, err := fmt.Sscanf(head, "%s %d %x", &id, &n, &sum); err != nil {
		return head, false
	}
	return id, len(filler) == n && crc32.ChecksumIEEE([]byte(filler)) == sum
}

func removeSome(s *maildir.Store, mu *sync.Mutex, user string) {
	m, err := s.Open(context.Background(), user)
	if err != nil {
		time.Sleep(time.Millisecond)
		return
	}
	defer m.Close()
	var is []int
	var ids []string
	for i := 0; i < m.Len() && len(is) < 5; i += 3 {
		r, err := m.Open(context.Background(), i)
		if err != nil {
			continue
		}
		head := make([]byte, 60)
		n, _ := io.ReadFull(r, head)
		r.Close()
		id, _, _ := strings.Cut(string(head[:n]), " ")
		is, ids = append(is, i), append(ids, id)
		say(mu, "removing %s %s", id, user)
	}
	if m.Remove(context.Background(), is) == nil {
		for _, id := range ids {
			say(mu, "removed %s %s", id, user)
		}
	}
}

// worker is the other process as seen from here.
type worker struct {
	*crashtest.Worker
	// What it said, as "id user" -> true.
	delivered, removing, removed map[string]bool
	failed                       int
	poisoned                     bool
	others                       []string
}

// startWorker starts the worker on a store; wrap, if any, is the command that
// runs it.
func startWorker(t *testing.T, dir string, wrap ...string) *worker {
	t.Helper()
	w := &worker{delivered: make(map[string]bool), removing: make(map[string]bool), removed: make(map[string]bool)}
	w.Worker = crashtest.StartWorker(t, workerEnv+"="+dir, w.hear, wrap...)
	return w
}

// hear takes one line that the worker says.
func (w *worker) hear(line string) {
	what, id, _ := strings.Cut(line, " ")
	switch what {
	case "delivered":
		w.delivered[id] = true
	case "removing":
		w.removing[id] = true
	case "removed":
		w.removed[id] = true
	case "failed":
		// A disk that went away between two syncs fails every delivery
		// without poisoning: enough is heard.
		if w.failed++; w.failed > 200 && !w.poisoned {
			w.Signal()
		}
	case "poisoned":
		w.poisoned = true
		w.Signal()
	default:
		w.others = append(w.others, line)
	}
}

// listen reads until the worker has acknowledged n deliveries, or ends.
func (w *worker) listen(n int) {
	w.Listen(func() bool { return n >= 0 && len(w.delivered) >= n })
}

// check compares what the worker had acknowledged with what the store gives.
func (w *worker) check(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	there := make(map[string]int)
	for u, err := range s.Users(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		m := drop(t, s, u)
		for i := range m.Len() {
			body := read(t, m, i)
			id, whole := proven(body)
			if !whole {
				t.Errorf("%s: half a message: %.60q, %d octets", u, body, len(body))
			}
			there[id+" "+u]++
		}
		m.Close()
	}
	for id := range w.delivered {
		if there[id] != 1 && !w.removing[id] {
			t.Errorf("delivered %s: there %d times", id, there[id])
		}
	}
	for id := range w.removed {
		if there[id] != 0 {
			t.Errorf("removed %s is back", id)
		}
	}
	if v, said := verify(t, s, false); v.Problems > 0 {
		t.Errorf("verify: %q", said)
	}
}
