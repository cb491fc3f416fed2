package relay

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// inbox is a server that remembers whom it took mail for.
type inbox struct {
	mu   sync.Mutex
	got  map[string]int
	more chan struct{}
}

func (b *inbox) ServeSMTP(_ context.Context, e *smtp.Envelope) error {
	data, err := io.ReadAll(e.Data)
	if err != nil {
		return err
	}
	id := e.To[0].Path.Local
	if !bytes.HasSuffix(data, []byte("\r\nend of "+id+"\r\n")) {
		return smtp.ErrRefused
	}
	b.mu.Lock()
	b.got[id]++
	b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
	return nil
}

// missing counts those not delivered, and extra copies.
func (b *inbox) missing(ids []string) (missing, extra int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if b.got[id] == 0 {
			missing++
		}
		extra += max(b.got[id]-1, 0)
	}
	return missing, extra
}

// TestKill kills a process that queues and delivers, again and again, with
// SIGKILL. Every message that was acknowledged is delivered, whole; one is
// delivered twice only if the process died between the other side's answer
// and the note of it, so that there are few of them.
func TestKill(t *testing.T) {
	if dir := os.Getenv("QUEUE_KILL_DIR"); dir != "" {
		victim(t, dir, os.Getenv("QUEUE_KILL_SINK"), os.Getenv("QUEUE_KILL_ROUND"))
		return
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	in := &inbox{got: map[string]int{}, more: make(chan struct{}, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sink := &smtp.Server{Hostname: "mx.example.net", Handler: in, Log: slog.New(slog.DiscardHandler),
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil }}
	go sink.Serve(l)
	defer sink.Close()

	dir := t.TempDir()
	var acked []string
	const rounds, perRound = 6, 40
	for round := range rounds {
		acked = append(acked, killRound(t, dir, l.Addr().String(), round, perRound)...)
	}
	q, stop := theQueue(t, dir, l.Addr().String())
	defer stop()
	for {
		left := 0 // on disk; what is delivered meanwhile is counted below
		if err := q.Spool.Scan(t.Context(), func(string, *queue.State) error { left++; return nil }); err != nil {
			t.Fatal(err)
		}
		missing, extra := in.missing(acked)
		if missing > 0 && left == 0 {
			t.Fatalf("%d acknowledged messages are gone", missing)
		}
		if left == 0 {
			t.Logf("%d acknowledged in %d lives, %d delivered twice", len(acked), rounds, extra)
			if extra > rounds*20 {
				t.Errorf("%d extra copies", extra)
			}
			return
		}
		select {
		case <-in.more:
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("not done in time")
		}
	}
}

// killRound lets a process live until it has acknowledged n messages.
func killRound(t *testing.T, dir, sink string, round, n int) (acked []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$", "-test.v")
	cmd.Env = append(os.Environ(), "QUEUE_KILL_DIR="+dir, "QUEUE_KILL_SINK="+sink, fmt.Sprint("QUEUE_KILL_ROUND=", round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "acked "); ok {
			if acked = append(acked, id); len(acked) == n {
				cmd.Process.Kill()
			}
		}
	}
	cmd.Wait()
	if len(acked) < n {
		t.Fatalf("round %d ended by itself after %d messages", round, len(acked))
	}
	return acked
}

// victim queues messages until it is killed.
func victim(t *testing.T, dir, sink, round string) {
	q, stop := theQueue(t, dir, sink)
	defer stop()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 10000 {
				id := fmt.Sprintf("r%s-%d-%d", round, w, i)
				e := &queue.Entry{From: address("ann@example.org"), To: []queue.Recipient{{Path: address(id + "@example.net")}}}
				if err := q.Submit(t.Context(), e, strings.NewReader("Subject: x\r\n\r\nend of "+id+"\r\n")); err != nil {
					t.Error(err)
					return
				}
				fmt.Printf("acked %s\n", id)
			}
		})
	}
	wg.Wait()
}

// theQueue runs a queue on a real directory, which delivers to sink.
func theQueue(t *testing.T, dir, sink string) (*queue.Queue, func()) {
	t.Helper()
	sp, err := spool.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	sp.MinFree = 0
	addr := netip.MustParseAddrPort(sink)
	z := newZone()
	z.mx["example.net"] = []resolver.MX{{Host: "mx.example.net", Preference: 10}}
	z.addr["mx.example.net"] = []string{addr.Addr().String()}
	r := &Relay{Hostname: "mail.example.org", Resolver: z, Private: loopback, Port: addr.Port()}
	q := &queue.Queue{Spool: sp, Transport: r, Log: slog.New(slog.DiscardHandler),
		Config: queue.Config{Hostname: "mail.example.org", Schedule: queue.Schedule{First: time.Second, Max: time.Second}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	return q, func() {
		cancel()
		<-done
		r.Close()
		sp.Close()
	}
}
