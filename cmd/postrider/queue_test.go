package main

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestQueueCommands steers a message whose host does not answer.
func TestQueueCommands(t *testing.T) {
	// A port that nobody listens on.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().(*net.TCPAddr).Port
	l.Close()
	w := newWorld(t,
		`"Queue": {"deliver": false}`, fmt.Sprintf(`"Queue": {"Routes": [{"domain": "far.test", "host": "127.0.0.1", "port": %d, "tls": "none"}]}`, dead),
		`"tarpit": "0s"`, `"tarpit": "0s", "relay_from": ["127.0.0.1/32"]`)
	w.deliver("Subject: q\r\n\r\nx\r\n", "friend@far.test")

	command := func(args ...string) string {
		t.Helper()
		out, said, code := postrider(t, append(append([]string{"queue"}, args...), "-c", w.dir)...)
		if code != 0 {
			t.Fatalf("queue %v: code %d, %s\n%s", args, code, said, w.log.tail())
		}
		return out
	}
	var views []queue.View
	for range 200 {
		if err := json.Unmarshal([]byte(command("list", "--json")), &views); err != nil {
			t.Fatal(err)
		}
		if len(views) == 1 && views[0].Recipients[0].Attempts > 0 && !views[0].Active {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(views) != 1 || views[0].Recipients[0].Address != "friend@far.test" {
		t.Fatalf("list: %+v", views)
	}
	id := views[0].ID
	if out := command("list"); !strings.Contains(out, id) || !strings.Contains(out, "friend@far.test") {
		t.Errorf("list: %s", out)
	}
	if out := command("explain", id); !strings.Contains(out, "friend@far.test") || !strings.Contains(out, "refused") {
		t.Errorf("explain: %s", out)
	}
	command("hold", id)
	if out := command("list", "--held"); !strings.Contains(out, "held") {
		t.Errorf("list --held: %s", out)
	}
	command("release", id)
	command("retry", id)
	command("flush", "far.test")
	if out := command("show", id); !strings.Contains(out, `"address": "friend@far.test"`) {
		t.Errorf("show: %s", out)
	}
	if out := command("counters"); !strings.Contains(out, "1 message in the queue") {
		t.Errorf("counters: %s", out)
	}
	if _, said, code := postrider(t, "queue", "route", id, "nowhere", "-c", w.dir); code != 1 || !strings.Contains(said, `there is no route "nowhere"`) {
		t.Errorf("a route that is not there: code %d, %s", code, said)
	}
	if _, said, code := postrider(t, "queue", "show", "nothing", "-c", w.dir); code != 1 || !strings.Contains(said, "no such entry") {
		t.Errorf("show of what is not there: code %d, %s", code, said)
	}
	for range 100 {
		if _, _, code := postrider(t, "queue", "remove", id, "-c", w.dir); code == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond) // it was being delivered
	}
	if out := command("list"); !strings.Contains(out, "empty") {
		t.Errorf("after remove: %s", out)
	}
}
