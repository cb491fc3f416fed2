package spool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/spool"
)

// BenchmarkStart is the start of a process on a spool of many entries, all of
// which have been tried and wait: on a fresh ext4 on a loop device, with the
// kernel's caches dropped ("cold-") and once more with what is in them
// ("warm-"). QUEUE_ENTRIES says how many there are; without it there are few,
// and the caches, which are not ours alone, stay as they are. A million take
// 10 GB below the directory for temporary files, and root.
//
// QUEUE_DIR names an empty directory to be used instead, or one that was filled by
// this before.
//
//	QUEUE_ENTRIES=1000000 go test -run - -bench Start -benchtime 1x -timeout 1h ./smtp/queue/spool
func BenchmarkStart(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("QUEUE_ENTRIES"))
	caches := []string{"cold", "warm"}
	if err != nil {
		n, caches = 2_000, caches[1:]
	}
	dir := scaleDisk(b, n)
	if _, err := os.Stat(filepath.Join(dir, "msg")); err != nil {
		begun := time.Now()
		fill(b, dir, n)
		b.Logf("%d entries and as many states written in %v", n, time.Since(begun).Round(time.Second))
	}
	for b.Loop() {
		for _, cache := range caches {
			if cache == "cold" {
				unix.Sync()
				if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
					b.Logf("caches stay warm: %v", err)
				}
			}
			f := startOn(b, dir)
			if f.Entries < n || f.Listed != min(n, 100) {
				b.Fatalf("%+v", f)
			}
			b.ReportMetric(f.Scan.Seconds(), cache+"-scan-s")
			b.ReportMetric(f.List.Seconds()*1000, cache+"-list-ms")
			b.ReportMetric(float64(f.Resident)/1e6, cache+"-MB")
		}
	}
}

// scaleDisk is where many entries go: a file system of its own, or a plain
// directory for a few and where mounting is not allowed.
func scaleDisk(b *testing.B, n int) string {
	if dir := os.Getenv("QUEUE_DIR"); dir != "" {
		return dir
	}
	if n <= 10_000 || os.Geteuid() != 0 {
		return b.TempDir()
	}
	dir, image := b.TempDir(), filepath.Join(b.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Truncate(image, int64(n)*12_000+1<<30); err != nil {
		b.Fatal(err)
	}
	for _, cmd := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-N", strconv.Itoa(2*n + 100_000), image},
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			b.Skipf("%v: %v %s", cmd, err, out)
		}
	}
	b.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill writes n entries that have failed once, in the spool's own way, and
// makes them durable at the end only.
func fill(b *testing.B, dir string, n int) {
	disk, err := durable.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer disk.Close()
	s, err := spool.Open(b.Context(), dir, spool.WithDisk(durable.New(crashtest.NoSync{FS: disk.FS()})))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	s.MinFree = 0
	body := bytes.Repeat([]byte("0123456789 0123456789 0123456789\r\n"), 60)
	now := time.Now()
	var failed error
	var once sync.Once
	var wg sync.WaitGroup
	const writers = 16
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				queued := now.Add(-time.Duration(n-i) * 10 * time.Millisecond)
				if err := deferred(b.Context(), s, queued, now.Add(2*time.Hour), i, body); err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		b.Fatal(failed)
	}
	if err := disk.FS().SyncAll(); err != nil {
		b.Fatal(err)
	}
}

func deferred(ctx context.Context, s *spool.Spool, queued, next time.Time, i int, body []byte) error {
	e := &queue.Entry{ID: queue.NewID(queued), Queued: queued, From: address("ann@example.org"), Session: "7f3a01", User: "ann@example.org",
		To: []queue.Recipient{{Path: address(fmt.Sprintf("bob%d@d%d.example", i, i%1000))}}}
	st := queue.NewState(e)
	w, err := s.Begin(ctx, e, st)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Commit(ctx, nil); err != nil {
		return err
	}
	st.Size = int64(len(body))
	st.To[0].Attempts, st.To[0].Next = 1, next.Add(time.Duration(i%3600)*time.Second)
	st.To[0].Last = queue.Result{Time: queued, Status: queue.Pending, Code: 451, Enhanced: "4.7.1",
		Text: "Greylisted, come back later", Host: "mx.example.net [192.0.2.7]:25", TLS: "TLS1.3"}
	return s.Save(ctx, e.ID, st)
}

// started is what a process said that has started on a spool.
type started struct {
	Entries, Listed int
	Scan, List      time.Duration
	Resident        int64 // octets
}

const startEnv = "SPOOL_TEST_START"

// startOn starts this program again, which goes on in sayStarted.
func startOn(b *testing.B, dir string) (f started) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), startEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &f)
	}
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return f
}

// sayStarted runs a queue on a spool as a daemon does, until the scan is over.
func sayStarted(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	begun := time.Now()
	s, err := spool.Open(ctx, dir)
	if err != nil {
		return err
	}
	s.Log = slog.New(slog.DiscardHandler)
	scanned := &scanned{Spool: s, done: make(chan struct{})}
	q := &queue.Queue{Spool: scanned, Transport: nowhere{}, Log: s.Log,
		Config: queue.Config{Hostname: "mail.example.org", Schedule: queue.Schedule{Max: 24 * time.Hour, Warn: -1}}} // nothing is due
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-scanned.done:
	}
	f := started{Scan: time.Since(begun)}
	begun = time.Now()
	views, err := q.List(ctx, queue.Filter{})
	if err != nil {
		return err
	}
	f.List, f.Listed, f.Entries = time.Since(begun), len(views), q.Counters().Entries
	if f.Resident, err = peakResident(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// scanned is a spool that says when its scan is over.
type scanned struct {
	*spool.Spool
	done chan struct{}
}

func (s *scanned) Scan(ctx context.Context, each func(string, *queue.State) error) error {
	defer close(s.done)
	return s.Spool.Scan(ctx, each)
}

// nowhere is a transport for entries that are not due.
type nowhere struct{}

func (nowhere) Destination(r queue.Recipient, _ string) string { return r.Path.DomainName().String() }

func (nowhere) Deliver(context.Context, *queue.Delivery) []queue.Result { return nil }

// peakResident is the most memory this process has ever had, in octets.
func peakResident() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kB << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/self/status of " + runtime.GOOS)
}
