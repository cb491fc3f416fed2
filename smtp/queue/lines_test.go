package queue_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// netOfHosts is a DNS in which dN.example has the address 127.1.0.N.
type netOfHosts struct{}

func (netOfHosts) MX(context.Context, string) (resolver.Answer[resolver.MX], error) {
	return resolver.Answer[resolver.MX]{}, nil
}

func (netOfHosts) Addr(_ context.Context, host string) (a resolver.Answer[netip.Addr], err error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(host[1:], ".example"), 10, 8)
	a.Name, a.Records = host, []netip.Addr{netip.AddrFrom4([4]byte{127, 1, 0, byte(n)})}
	return a, err
}

func (netOfHosts) TXT(context.Context, string) (a resolver.Answer[string], err error) { return a, nil }

func (netOfHosts) TLSA(context.Context, string) (a resolver.Answer[resolver.TLSA], err error) {
	return a, nil
}

// hosts are servers on 127.1.0.1 and up, all on one port. Those in silent accept
// connections and say nothing; on those in dead nobody listens.
func hosts(b *testing.B, n int, silent, dead func(i int) bool, take func(e *smtp.Envelope) error) (port uint16) {
	b.Helper()
	server := &smtp.Server{
		Hostname: "mx.example", Log: slog.New(slog.DiscardHandler),
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			if _, err := io.Copy(io.Discard, e.Data); err != nil {
				return err
			}
			return take(e)
		}),
	}
	server.Limits.Conns, server.Limits.ConnsPerBlock = 10_000, 10_000
	b.Cleanup(func() { server.Close() })
	for i := 1; i <= n; i++ {
		if dead(i) {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.1.0.%d:%d", i, port))
		if err != nil {
			b.Skipf("listen: %v", err)
		}
		port = uint16(l.Addr().(*net.TCPAddr).Port)
		if silent(i) {
			b.Cleanup(func() { l.Close() })
		} else {
			go server.Serve(l)
		}
	}
	return port
}

func nobody(int) bool { return false }

// newLine is a queue with a spool and a relay of its own.
func newLine(b *testing.B, port uint16, s queue.Schedule) (q *queue.Queue, stop func()) {
	b.Helper()
	dir := b.TempDir()
	sp, err := spool.Open(b.Context(), dir)
	if err != nil {
		b.Fatal(err)
	}
	sp.MinFree = 0
	r := &relay.Relay{Hostname: "mail.example.org", Resolver: netOfHosts{}, Port: port}
	q = &queue.Queue{Spool: sp, Transport: r, Config: queue.Config{Hostname: "mail.example.org", Schedule: s}, Log: slog.New(slog.DiscardHandler),
		Grace: time.Millisecond}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	return q, func() {
		cancel()
		<-done
		r.Close()
		sp.Close()
	}
}

// submitAll queues a message to each, from 10 sessions.
func submitAll(b *testing.B, q *queue.Queue, to []string) {
	body := append([]byte("Subject: x\r\n\r\n"), bytes.Repeat([]byte("0123456789012345678901234567890123456789\r\n"), 48)...)
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for i := w; i < len(to); i += 10 {
				e := &queue.Entry{From: smtp.Path{Local: "ann", Domain: "example.org"}, To: []queue.Recipient{{Path: address(to[i])}}}
				if err := q.Submit(b.Context(), e, bytes.NewReader(body)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkDeadDestinations sends messages, 2,000 or as many as QUEUE_MESSAGES
// says, to 100 destinations, of which 5 refuse connections and 5 accept them and
// never speak, and in turn those for the other 90 alone. The ratio is of the
// times from the first submission to the last delivery at one of the 90.
//
//	QUEUE_MESSAGES=10000 go test -run - -bench DeadDestinations -benchtime 5x ./smtp/queue
func BenchmarkDeadDestinations(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("QUEUE_MESSAGES"))
	if err != nil {
		n = 2_000
	}
	refuses := func(i int) bool { return i%20 == 10 }
	silent := func(i int) bool { return i%20 == 0 }
	var arrived atomic.Int64
	port := hosts(b, 100, silent, refuses, func(*smtp.Envelope) error { arrived.Add(1); return nil })
	var all, living []string
	for i := range n {
		to, dest := "", i%100+1
		to = fmt.Sprintf("u%d@d%d.example", i, dest)
		if all = append(all, to); !refuses(dest) && !silent(dest) {
			living = append(living, to)
		}
	}
	run := func(to []string) time.Duration {
		arrived.Store(0)
		q, stop := newLine(b, port, queue.Schedule{})
		defer stop()
		begun := time.Now()
		go submitAll(b, q, to)
		for arrived.Load() < int64(len(living)) {
			if time.Since(begun) > 5*time.Minute {
				b.Fatalf("%d of %d arrived: %+v", arrived.Load(), len(living), q.Counters())
			}
			time.Sleep(time.Millisecond)
		}
		b.Logf("%d messages: %.1f s", len(to), time.Since(begun).Seconds())
		return time.Since(begun)
	}
	var alone, among time.Duration
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 {
			alone += run(living)
			among += run(all)
		} else {
			among += run(all)
			alone += run(living)
		}
	}
	b.ReportMetric(among.Seconds()/alone.Seconds(), "ratio")
	b.ReportMetric(float64(len(living)*b.N)/alone.Seconds(), "alone-msg/s")
	b.ReportMetric(float64(len(living)*b.N)/among.Seconds(), "among-msg/s")
}

// BenchmarkGreylisted sends 200 messages to a host that answers 451 to each at
// its first attempt. Reported is how many attempts they took together, and how
// long after the last of the retries was due the last one was delivered.
func BenchmarkGreylisted(b *testing.B) {
	const n, wait = 200, 5 * time.Second
	var mu sync.Mutex
	tried := make(map[string]time.Time)
	attempts, arrived := 0, 0
	var due, last time.Time
	port := hosts(b, 1, nobody, nobody, func(e *smtp.Envelope) error {
		mu.Lock()
		defer mu.Unlock()
		attempts++
		to, now := e.To[0].Path.String(), time.Now()
		if _, ok := tried[to]; !ok {
			tried[to] = now
			if at := now.Add(wait + wait/20); at.After(due) {
				due = at
			}
			return smtp.ErrTryLater
		}
		arrived++
		last = now
		return nil
	})
	var late time.Duration
	for b.Loop() {
		mu.Lock()
		clear(tried)
		arrived, due = 0, time.Time{}
		mu.Unlock()
		q, stop := newLine(b, port, queue.Schedule{First: wait, Max: time.Minute})
		var to []string
		for i := range n {
			to = append(to, fmt.Sprintf("u%d@d1.example", i))
		}
		submitAll(b, q, to)
		for q.Counters().Entries > 0 {
			time.Sleep(time.Millisecond)
		}
		stop()
		if arrived != n {
			b.Fatalf("%d of %d arrived", arrived, n)
		}
		late += last.Sub(due)
	}
	b.ReportMetric(float64(attempts)/float64(n*b.N), "attempts/message")
	b.ReportMetric(late.Seconds()/float64(b.N), "s-after-due")
}

// address is one as a path.
func address(s string) smtp.Path {
	at := strings.LastIndexByte(s, '@')
	return smtp.Path{Local: s[:at], Domain: s[at+1:]}
}
