package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// Real crashes happen to another process: this test program, started again with
// the name of a spool in workerEnv. It queues, delivers, bounces and steers as fast
// as it can, and says what it was told is safe, and what the other side took.
const workerEnv = "SPOOL_TEST_WORKER"

func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(workerEnv) != "":
		err = work(os.Getenv(workerEnv))
	case os.Getenv(startEnv) != "":
		err = sayStarted(os.Getenv(startEnv))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// attemptsAtOnce bounds how many deliveries a crash can find between the other
// side's answer and our note of it.
const attemptsAtOnce = 32

// sayer says whole lines: half a line is no acknowledgement.
type sayer struct {
	mu  sync.Mutex
	say func(line string)
}

func (s *sayer) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say(fmt.Sprintf(format, args...))
}

// speaking is a spool that says what has been written down.
type speaking struct {
	*spool.Spool
	*sayer
}

func (s speaking) Save(ctx context.Context, id string, st *queue.State) error {
	err := s.Spool.Save(ctx, id, st)
	if err == nil {
		var letters []byte // the first one of each status; a capital where the sender was told
		for _, r := range st.To {
			c := r.Status[0]
			if r.Reported {
				c -= 'a' - 'A'
			}
			letters = append(letters, c)
		}
		s.printf("state %s %s", id, letters)
	}
	return err
}

func (s speaking) Remove(ctx context.Context, id string) error {
	err := s.Spool.Remove(ctx, id)
	if err == nil {
		s.printf("gone %s", id)
	}
	return err
}

// elsewhere is the other side: what the local part of a recipient says happens,
// and is said before the queue hears of it.
type elsewhere struct {
	*sayer
	spool *spool.Spool
	last  bool // the last life: nothing is put off any more
}

func (elsewhere) Destination(r queue.Recipient, route string) string {
	return r.Path.DomainName().String() + route
}

func (x elsewhere) Deliver(ctx context.Context, d *queue.Delivery) []queue.Result {
	results := make([]queue.Result, len(d.To))
	body, err := d.Open()
	var text []byte
	if err == nil {
		text, err = io.ReadAll(body)
		body.Close()
	}
	if err != nil {
		for i := range results {
			results[i] = queue.Result{Status: queue.Pending, Text: err.Error()}
		}
		return results
	}
	if d.Entry.From.IsNull() {
		_, rest, _ := bytes.Cut(text, []byte("\nProof: "))
		id, _, _ := bytes.Cut(rest, []byte(" "))
		x.printf("bounced %s %s", id, d.Entry.ID)
		return []queue.Result{{Status: queue.Delivered, Code: 250}}
	}
	if !proven(string(text), d.Entry.ID) {
		x.printf("torn %s", d.Entry.ID)
	}
	if _, st, err := x.spool.Load(ctx, d.Entry.ID); err == nil {
		for i, r := range d.Entry.To {
			if r.Path == d.To[0].Path && st.To[i].Attempts < d.Attempt {
				x.printf("unwritten %s", d.Entry.ID)
			}
		}
	}
	for i, r := range d.To {
		switch local := r.Path.Local; {
		case local == "no":
			results[i] = queue.Result{Status: queue.Failed, Code: 550, Text: "no"}
		case local == "stay" && !x.last, local == "later" && d.Attempt == 1 && !x.last:
			results[i] = queue.Result{Status: queue.Pending, Code: 451, Text: "later"}
		default:
			x.printf("sent %s %s", d.Entry.ID, local)
			results[i] = queue.Result{Status: queue.Delivered, Code: 250}
		}
	}
	return results
}

// proof is a message that proves itself: its first line has id, length and
// checksum of the rest.
func proof(id string, size int) string {
	filler := "\r\n" + strings.Repeat("0123456789abcdef 0123456789abcdef\r\n", size/35+1)
	return fmt.Sprintf("Proof: %s %d %08x\r\n%s", id, len(filler), crc32.ChecksumIEEE([]byte(filler)), filler)
}

func proven(message, want string) bool {
	var id string
	var n int
	var sum uint32
	head, filler, _ := strings.Cut(message, "\r\n")
	_, err := fmt.Sscanf(head, "Proof: %s %d %x", &id, &n, &sum)
	return err == nil && id == want && len(filler) == n && crc32.ChecksumIEEE([]byte(filler)) == sum
}

// openQueue makes a queue on the spool in dir.
func openQueue(dir string, say func(line string), last bool) (q *queue.Queue, s *spool.Spool, err error) {
	if s, err = spool.Open(context.Background(), dir); err != nil {
		return nil, nil, err
	}
	s.MinFree, s.Log = 0, slog.New(slog.DiscardHandler)
	out := &sayer{say: say}
	q = &queue.Queue{Spool: speaking{s, out}, Transport: elsewhere{out, s, last}, Log: s.Log, Config: queue.Config{
		Hostname: "mail.example.org", Schedule: queue.Schedule{First: time.Second, Max: time.Second, Jitter: -1},
		Concurrency: attemptsAtOnce, DestinationConcurrency: attemptsAtOnce,
	}}
	return q, s, nil
}

// recipients are those of message i: every kind of fate alone and in company.
func recipients(i int) (to []string) {
	switch i % 5 {
	case 0:
		return []string{"ok"}
	case 1:
		return []string{"ok", "later", "no"}
	case 2:
		return []string{"no"}
	case 3:
		return []string{"stay"}
	}
	return []string{"later", "ok"}
}

func work(dir string) error {
	q, s, err := openQueue(dir, func(line string) {
		if _, err := fmt.Println(line); err != nil {
			os.Exit(1) // what nobody hears must not be done
		}
	}, false)
	if err != nil {
		return err
	}
	out := q.Spool.(speaking).sayer
	ctx := context.Background()
	var wg sync.WaitGroup
	wg.Go(func() { q.Run(ctx) })
	stay := make(chan string, 1000)
	for w := range 6 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				e := &queue.Entry{ID: id, From: address("ann@sender.example")}
				to := recipients(i)
				for n, local := range to {
					e.To = append(e.To, queue.Recipient{Path: address(fmt.Sprintf("%s@d%d.example", local, n))})
				}
				if err := q.Submit(ctx, e, strings.NewReader(proof(id, 1<<(i%16)))); err != nil {
					out.printf("failed %s %v", id, err)
					if err := s.Room(ctx, 0); err != nil && !errors.Is(err, queue.ErrFull) {
						out.printf("poisoned %v", err)
					}
					time.Sleep(time.Millisecond)
					continue
				}
				out.printf("accepted %s %s", id, strings.Join(to, " "))
				if to[0] == "stay" {
					select {
					case stay <- id:
					default:
					}
				}
			}
		})
	}
	for id := range stay {
		steer(ctx, q, out, id)
	}
	return nil
}

// steer does something to a message that is not delivered in this life.
func steer(ctx context.Context, q *queue.Queue, out *sayer, id string) {
	for _, action := range []struct {
		name string
		do   func(context.Context, string) error
	}{
		{"hold", q.Hold}, {"route", func(ctx context.Context, id string) error { return q.Route(ctx, id, ".way") }},
		{"release", q.Release}, {"expire", q.Expire}, {"remove", q.Remove},
	} {
		if rand.IntN(3) == 0 {
			continue
		}
		out.printf("begin %s %s", id, action.name)
		if err := action.do(ctx, id); err == nil {
			out.printf("end %s %s", id, action.name)
		}
		if action.name == "expire" || rand.IntN(3) == 0 {
			return
		}
	}
}
