package relay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// BenchmarkRelay is the whole way: a message of 2 kB put on stable storage from
// 10 sessions, found due, sent to a sink over loopback TCP, and taken off the
// disk.
func BenchmarkRelay(b *testing.B) {
	var arrived atomic.Int64
	sink := &smtp.Server{
		Hostname:  "mx.example.net",
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			_, err := io.Copy(io.Discard, e.Data)
			if err == nil {
				arrived.Add(1)
			}
			return err
		}),
		Log: slog.New(slog.DiscardHandler),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go sink.Serve(l)
	defer sink.Close()

	dir := b.TempDir()
	sp, err := spool.Open(b.Context(), dir)
	if err != nil {
		b.Fatal(err)
	}
	z := newZone()
	z.mx["example.net"] = []resolver.MX{{Host: "mx.example.net", Preference: 10}}
	z.addr["mx.example.net"] = []string{"127.0.0.1"}
	r := &Relay{Hostname: "mail.example.org", Resolver: z, Private: loopback, Port: netip.MustParseAddrPort(l.Addr().String()).Port()}
	defer r.Close()
	q := &queue.Queue{Spool: sp, Transport: r, Config: queue.Config{Hostname: "mail.example.org"}, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()

	body := append([]byte("Subject: x\r\n\r\n"), bytes.Repeat([]byte("0123456789012345678901234567890123456789\r\n"), 48)...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	begun := time.Now()
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for i := w; i < b.N; i += 10 {
				e := &queue.Entry{From: address("ann@example.org"), To: []queue.Recipient{{Path: address(fmt.Sprintf("u%d@example.net", i))}}}
				if err := q.Submit(ctx, e, bytes.NewReader(body)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for q.Counters().Entries > 0 {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "msg/s")
	if n := arrived.Load(); n != int64(b.N) {
		b.Errorf("%d of %d arrived", n, b.N)
	}
	cancel()
	<-done
}
