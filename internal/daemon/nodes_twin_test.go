package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// TestHearTwin: the process before, which was killed, is no twin; one that is heard of again while this one runs is, and that is said once.
func TestHearTwin(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	d := &Daemon{log: slog.New(slog.NewTextHandler(&said, nil))}
	d.now.Store(&state{settings: &conf.Settings{DataDir: t.TempDir()}})
	at := time.Now()
	holder := func(after time.Duration) *postgres.Node {
		return &postgres.Node{Host: "other:/data", Seen: at.Add(after)}
	}
	for range 3 {
		d.hearTwin(holder(0)) // as it was left
	}
	d.hearTwin(nil)
	if said.Len() > 0 || len(d.nodeProblems()) > 0 {
		t.Errorf("of a process before it is said: %s%s", &said, d.nodeProblems())
	}
	for i := range 3 {
		d.hearTwin(holder(time.Duration(i) * time.Second))
	}
	if n := strings.Count(said.String(), "another server lives"); n != 1 || len(d.nodeProblems()) != 1 {
		t.Errorf("said %d times, %s", n, d.nodeProblems())
	}
	d.hearTwin(nil)
	if len(d.nodeProblems()) > 0 {
		t.Errorf("it has ended: %s", d.nodeProblems())
	}
}

// TestIdentity: it is made once, kept, and a damaged one is refused.
func TestIdentity(t *testing.T) {
	t.Parallel()
	s := &conf.Settings{DataDir: t.TempDir()}
	first, err := ensureID(s)
	if err != nil || len(first) != 32 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := ensureID(s); again != first || err != nil {
		t.Errorf("%q, %v", again, err)
	}
	for _, bad := range []string{"", "xyz\n", first + "00\n"} {
		if err := os.WriteFile(idFile(s), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := ensureID(s); err == nil {
			t.Errorf("%q is taken for %q", bad, id)
		}
	}
}
