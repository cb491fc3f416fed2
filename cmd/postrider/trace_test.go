package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// TestTrace: what became of a message that is still in the queue, by every name it
// has, from the log and from the running server; and the commands of the queue know
// it by what its client was told.
func TestTrace(t *testing.T) {
	dead := peertest.FreePort(t) // nobody listens on it, nor will another test
	w := newWorld(t,
		`"Queue": {"deliver": false}`, fmt.Sprintf(`"Queue": {"Routes": [{"domain": "far.test", "host": "127.0.0.1", "port": %d, "tls": "none"}]}`, dead),
		`"tarpit": "0s"`, `"tarpit": "0s", "relay_from": ["127.0.0.1/32"]`)
	w.deliver("Subject: q\r\nMessage-ID: <m1@here.test>\r\n\r\nx\r\n", "friend@far.test")
	var id string
	for range 3600 {
		if m := regexp.MustCompile(`msg=attempt queue=\S+ id=(\S+)`).FindStringSubmatch(w.log.String()); m != nil {
			id = m[1]
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if id == "" {
		t.Fatal(tail(w.log))
	}
	out, said, code := postrider(t, "queue", "explain", id, "-c", w.dir)
	if code != 0 || !strings.Contains(out, "friend@far.test") {
		t.Errorf("queue explain %s: code %d, %s%s", id, code, out, said)
	}
	entry, _, _ := strings.Cut(out, ",")
	file := filepath.Join(w.dir, "mail.log")
	w.write("mail.log", w.log.String())
	for _, args := range [][]string{{id}, {entry}, {"m1@here.test"}, {"friend@far.test"}, {"--to", "far.test", "--since", "1h"}} {
		args = append([]string{"trace", "-c", w.dir}, args...)
		for _, source := range []string{"-", file} {
			code, out, said := command(t, w.log.String(), append(args, "--log", source)...)
			for _, want := range []string{
				"Message " + id + " from <", ", Message-ID <m1@here.test>", "<friend@far.test> was queued for <friend@far.test> as " + entry,
				"attempt 1 for <friend@far.test>: ", "in the queue now     " + entry + ": friend@far.test: 1 attempt so far",
			} {
				if code != 0 || !strings.Contains(out, want) {
					t.Errorf("postrider %v, %s: code %d, no %q in\n%s%s", args, source, code, want, out, said)
				}
			}
		}
	}
	var all []struct {
		ID      string
		Queue   []string
		Lines   []struct{ Event string }
		Waiting []struct{ Why []string }
	}
	code, out, said = command(t, w.log.String(), "trace", "-c", w.dir, "--log", "-", "--json", id)
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 || all[0].ID != id || len(all[0].Queue) != 1 || len(all[0].Lines) < 3 || len(all[0].Waiting) != 1 {
		t.Errorf("code %d, %v: %s%s", code, err, out, said)
	}
	// The log may be gone.
	if code, out, said := command(t, "", "trace", "-c", w.dir, "--log", "-", id); code != 0 || !strings.Contains(out, entry) {
		t.Errorf("without a log: code %d, %s%s", code, out, said)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"no-such-id", "--log", "-"}, "nothing in the log fits"},
		{[]string{"--log", "-"}, "name a message, --from, --to or --since"},
		{[]string{id}, "journalctl -u postrider"},
		{[]string{id, "--since", "noon"}, `"noon" is no time`},
	} {
		if code, _, said := command(t, w.log.String(), append([]string{"trace", "-c", w.dir}, c.args...)...); code != exitError || !strings.Contains(said, c.want) {
			t.Errorf("postrider trace %v: code %d, %s", c.args, code, said)
		}
	}
}
