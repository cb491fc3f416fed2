//go:build unix

package postgres_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/postgres"
)

// nodeEnv tells a process of the test's own that it is a node: a job, in JSON.
const nodeEnv = "POSTRIDER_TEST_NODE"

// job is what a node does: it queues entries and sends what there is, of which it tells in a file.
type job struct {
	DSN, Schema, Name, File string
	Entries, Domains        int
	Lease                   time.Duration
}

// TestNodeProcess is a node, in a process of its own.
func TestNodeProcess(t *testing.T) {
	text := os.Getenv(nodeEnv)
	if text == "" {
		return // it is nobody's node
	}
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		t.Fatal(err)
	}
	if err := j.run(); err != nil {
		t.Fatal(err)
	}
}

func (j *job) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	db, err := database.Connect(ctx, j.DSN, database.Options{Schema: j.Schema})
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := postgres.Open(ctx, db, postgres.WithName(j.Name), postgres.WithLease(j.Lease))
	if err != nil {
		return err
	}
	defer s.Close()
	f, err := os.OpenFile(j.File, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	q := &queue.Queue{Spool: s, Transport: teller{j.Name, f}, Log: slog.New(slog.DiscardHandler)}
	q.Schedule.First = time.Second
	failed := make(chan error, 1)
	go func() {
		for i := range j.Entries {
			e := &queue.Entry{ID: fmt.Sprint(j.Name, "-", i), From: smtp.Path{Local: "ann", Domain: "example.org"},
				To: []queue.Recipient{{Path: smtp.Path{Local: "bob", Domain: fmt.Sprintf("d%d.example", i%j.Domains)}}}}
			if err := q.Submit(ctx, e, strings.NewReader("text of "+e.ID)); err != nil {
				failed <- err
				return
			}
		}
		fmt.Println("queued")
		failed <- nil
	}()
	if err := q.Run(ctx); err != nil {
		return err
	}
	return <-failed
}

// teller is a Transport that writes down, in one write, what it has sent.
type teller struct {
	name string
	to   io.Writer
}

func (t teller) Destination(r queue.Recipient, _ string) string { return r.Path.Domain }

func (t teller) Deliver(_ context.Context, d *queue.Delivery) []queue.Result {
	result := queue.Result{Status: queue.Pending, Text: "cannot be read"}
	if r, err := d.Open(); err == nil {
		text, err := io.ReadAll(r)
		r.Close()
		if err == nil && string(text) == "text of "+d.Entry.ID {
			fmt.Fprintf(t.to, "%s %s\n", t.name, d.Entry.ID)
			result = queue.Result{Status: queue.Delivered, Code: 250}
		}
	}
	results := make([]queue.Result, len(d.To))
	for i := range results {
		results[i] = result
	}
	return results
}

// begin starts a node and returns once it has queued what it was to queue.
func (j job) begin(t *testing.T) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNodeProcess$")
	cmd.Env = append(os.Environ(), nodeEnv+"="+string(text))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	queued := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "queued" {
				queued <- true
				continue
			}
			fmt.Fprintln(os.Stderr, j.Name+": "+lines.Text())
		}
		close(queued)
	}()
	if j.Entries > 0 && !<-queued {
		t.Fatalf("%s has ended", j.Name)
	}
	return cmd
}

// sentBy counts what was sent: by entry who did.
func sentBy(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		if name, id, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			sent[id] = append(sent[id], name)
		}
	}
	return sent
}

// TestProcesses: three nodes send what each has taken, each entry once. Then one is killed and one stopped in the middle of more: the third sends the
// rest, and the stopped one, when it wakes up, nothing that was sent already but what it was about to send. POSTRIDER_ENTRIES says how many entries
// there are, 1,500 where it says nothing.
func TestProcesses(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	entries := 1500
	if n, err := strconv.Atoi(os.Getenv("POSTRIDER_ENTRIES")); err == nil {
		entries = n
	}
	file := filepath.Join(t.TempDir(), "sent")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	of := func(name string, entries int) job {
		return job{DSN: peertest.DSN(db), Schema: schema(t), Name: name, File: file, Entries: entries, Domains: 100, Lease: 2 * time.Second}
	}
	began := time.Now()
	var nodes []*exec.Cmd
	ready := make(chan *exec.Cmd)
	for _, name := range []string{"a", "b", "c"} {
		go func() { ready <- of(name, entries/3).begin(t) }()
	}
	for range 3 {
		nodes = append(nodes, <-ready)
	}
	peertest.Await(t, "all to be sent", func() bool { return len(sentBy(t, file)) == entries/3*3 })
	t.Logf("%d entries in %v", entries, time.Since(began))
	for id, by := range sentBy(t, file) {
		if len(by) != 1 {
			t.Errorf("%s was sent by %v", id, by)
		}
	}
	s := open(t, peertest.DSN(db), postgres.WithLease(2*time.Second))
	more := func(from int) {
		t.Helper()
		for i := range entries / 3 {
			e := &queue.Entry{ID: fmt.Sprint("m-", from+i), Queued: time.Now(), From: smtp.Path{Local: "ann", Domain: "example.org"},
				To: []queue.Recipient{{Path: smtp.Path{Local: "bob", Domain: fmt.Sprintf("d%d.example", i%100)}}}}
			w, err := s.Begin(t.Context(), e, queue.NewState(e))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, "text of "+e.ID)
			if err := w.Commit(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			s.Release(e.ID, 0, false)
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); more(0) }()
	peertest.Await(t, "some more to be sent", func() bool { return len(sentBy(t, file)) > entries/3*3+entries/30 })
	nodes[0].Process.Kill()
	if err := nodes[1].Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-done
	peertest.Await(t, "the third to send the rest", func() bool { return len(sentBy(t, file)) == entries/3*3+entries/3 })
	if err := nodes[1].Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	peertest.Await(t, "nothing to be left", func() bool {
		n := 0
		s.Scan(t.Context(), func(string, *queue.State) error { n++; return nil })
		return n == 0
	})
	for _, n := range nodes[1:] {
		n.Process.Signal(syscall.SIGTERM)
		n.Wait()
	}
	twice := 0
	for id, by := range sentBy(t, file) {
		if twice += len(by) - 1; len(by) > 2 {
			t.Errorf("%s was sent by %v", id, by)
		}
	}
	if most := 2 * 200; twice > most { // attempts that were under way
		t.Errorf("%d were sent twice", twice)
	}
	t.Logf("%d of those that were on their way were sent twice", twice)
}
