//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/internal/post"
)

// TestUserLimits: a program of this host sends too much; what it has in the queue is held,
// shown, thrown away or released, and its limits are lifted and hold again.
func TestUserLimits(t *testing.T) {
	h := newHost(t)
	dead := peertest.FreePort(t) // nobody listens on it, nor will another test
	more := fmt.Sprintf(`{"SMTP": {"messages_per_hour": 2}, "Queue": {"Routes": [{"domain": "*", "host": "127.0.0.1", "port": %d, "tls": "none"}]}}`, dead)
	if err := os.WriteFile(filepath.Join(h.dir, "rates.conf"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) (out, said string) {
		t.Helper()
		out, said, code := postrider(t, append(args, "-c", h.dir)...)
		if code != want {
			t.Fatalf("%v: exit %d, %s%s", args, code, out, said)
		}
		return out, said
	}
	send := func(want int) {
		t.Helper()
		if code, out := h.as("nobody", "Subject: x\n\nx\n", "sendmail", "x@far.test"); code != want {
			t.Fatalf("exit %d, want %d: %s", code, want, out)
		}
	}
	show := func() (u post.Use) {
		t.Helper()
		out, _ := run(0, "user", "show", "nobody", "--json")
		if err := json.Unmarshal([]byte(out), &u); err != nil {
			t.Fatal(err)
		}
		return u
	}
	held := func(n int) {
		t.Helper()
		for range 9000 {
			if show().Held == n {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("%d are held, want %d", show().Held, n)
	}
	run(0, "reload")
	send(0)
	send(0)
	send(exitTryLater)
	held(2)
	out, _ := run(0, "user", "show", "nobody")
	for _, want := range []string{"nobody@mail.test\n  this hour, since ", ": 2 of 2 messages to 2 of 2000 recipients\n  this day, since ", ": 2 of 2000 messages to 2 of 5000 recipients\n",
		"  it has met a limit, 2 messages an hour: more is taken at ", "  held in the queue: 2 messages; "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out, _ := run(0, "status"); !strings.Contains(out, "  mail of nobody@mail.test is held in the queue (postrider user show nobody@mail.test)\n") {
		t.Errorf("status: %s", out)
	}
	if out, _ := run(0, "queue", "list", "--held"); strings.Count(out, "x@far.test") != 2 {
		t.Errorf("held: %s", out)
	}
	if _, said := run(0, "user", "show", "nosuch@mail.test"); !strings.Contains(said, "note: nosuch@mail.test: no such account") {
		t.Errorf("show of nobody: %s", said)
	}
	if out, _ := run(0, "user", "discard", "nobody"); out != "nobody@mail.test: 2 messages thrown away\n" || show().Held != 0 {
		t.Errorf("discard: %s", out)
	}
	if out, _ := run(0, "user", "lift", "nobody", "--until", "2h"); !strings.HasPrefix(out, "nobody@mail.test: no limits until ") || !strings.HasSuffix(out, "; 0 messages released\n") {
		t.Errorf("lift: %s", out)
	}
	for range 3 {
		send(0)
	}
	if u := show(); u.Full != "" || u.Hour.Messages != 3 || u.Held != 0 || time.Until(u.Lifted).Round(time.Hour) != 2*time.Hour {
		t.Errorf("lifted: %+v", u)
	}
	if out, _ := run(0, "status"); !strings.Contains(out, "  nobody@mail.test may send without limits until ") {
		t.Errorf("status: %s", out)
	}
	if out, _ := run(0, "user", "lift", "--end", "nobody"); out != "nobody@mail.test: its limits hold again\n" {
		t.Errorf("end: %s", out)
	}
	send(0)
	send(0)
	send(exitTryLater)
	held(5)
	if out, _ := run(0, "user", "lift", "nobody", "--json"); strings.TrimSpace(out) != "{\n  \"messages\": 5\n}" {
		t.Errorf("lift --json: %s", out)
	}
	if _, said := run(exitError, "user", "lift", "nobody", "--until", "2020-01-01"); !strings.Contains(said, "until some time from now on") {
		t.Errorf("the past: %s", said)
	}
	if _, said := run(exitUsage, "user", "lift", "nobody", "--until", "soon"); !strings.Contains(said, `"soon" is neither a time as "2026-12-01 18:00" nor how long`) {
		t.Errorf("soon: %s", said)
	}
}

// TestTimeFrom: times of this host's clock and lengths of time.
func TestTimeFrom(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"2h": now.Add(2 * time.Hour), "3d": now.Add(72 * time.Hour), "2026-12-01": time.Date(2026, 12, 1, 0, 0, 0, 0, time.Local),
		"2026-12-01 18:30": time.Date(2026, 12, 1, 18, 30, 0, 0, time.Local), "2026-12-01T18:30:00Z": time.Date(2026, 12, 1, 18, 30, 0, 0, time.UTC),
	} {
		if got, err := timeFrom(text, now); !got.Equal(want) || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "soon", "2026-13-01", "18:00"} {
		if got, err := timeFrom(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
