package queue_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// A queue in a directory that delivers over SMTP.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir := "/var/spool/postrider/queue"
	sp, err := spool.Open(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	q := &queue.Queue{
		Spool:  sp,
		Config: queue.Config{Hostname: "mail.example.org"},
		Transport: &relay.Relay{
			Hostname: "mail.example.org",
			Resolver: resolver.New(resolver.Config{Servers: []string{"127.0.0.1"}}),
		},
	}
	go q.Run(ctx)
	err = q.Submit(ctx, &queue.Entry{
		From: smtp.Path{Local: "ann", Domain: "example.org"},
		To:   []queue.Recipient{{Path: smtp.Path{Local: "bob", Domain: "example.net"}}},
	}, strings.NewReader("Subject: hello\r\n\r\nHello, Bob.\r\n"))
	if err != nil {
		log.Fatal(err)
	}
	// The message is on stable storage. It is delivered, or bounced, whatever
	// happens to this process now.
}

// paper is a Transport that writes letters.
type paper struct{}

func (paper) Destination(r queue.Recipient, route string) string { return r.Path.DomainName().String() }

func (paper) Deliver(ctx context.Context, d *queue.Delivery) []queue.Result {
	results := make([]queue.Result, len(d.To))
	for i, to := range d.To {
		fmt.Println("a letter to", to.Path)
		results[i] = queue.Result{Status: queue.Delivered, Text: "posted"}
	}
	return results
}

// A Transport need not speak SMTP.
func ExampleTransport() {
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	sp, err := spool.Open(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	sp.MinFree = 0
	q := &queue.Queue{Spool: sp, Transport: paper{}}
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	e := &queue.Entry{To: []queue.Recipient{{Path: smtp.Path{Local: "bob", Domain: "example.net"}}}}
	if err := q.Submit(ctx, e, strings.NewReader("Subject: hello\r\n\r\n")); err != nil {
		log.Fatal(err)
	}
	for q.Counters().Entries > 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	// Output: a letter to bob@example.net
}

func ExampleSchedule_Next() {
	s := queue.Schedule{Jitter: -1}
	queued := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	now := queued
	for attempt := 1; attempt <= 4; attempt++ {
		next, _ := s.Next(attempt, queued, now, 0)
		fmt.Println(next.Sub(queued))
		now = next
	}
	// Output:
	// 5m0s
	// 15m0s
	// 35m0s
	// 1h15m0s
}

func ExampleSRS() {
	srs := &queue.SRS{Domain: "forward.example", Key: []byte("a secret of 16+ octets")}
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	out, _ := srs.Forward(smtp.Path{Local: "ann", Domain: "example.org"}, now)
	back, _ := srs.Reverse(out, now.Add(48*time.Hour))
	fmt.Println(strings.HasSuffix(out.String(), "=example.org=ann@forward.example"), back)
	// Output: true ann@example.org
}
