package main

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestQueueCommands steers a message whose host does not answer.
func TestQueueCommands(t *testing.T) {
	dead := peertest.FreePort(t) // nobody listens on it, nor will another test
	w := newWorld(t,
		`"Queue": {"deliver": false}`, fmt.Sprintf(`"Queue": {"Routes": [{"domain": "far.test", "host": "127.0.0.1", "port": %d, "tls": "none"}]}`, dead),
		`"tarpit": "0s"`, `"tarpit": "0s", "relay_from": ["127.0.0.1/32"]`)
	w.deliver("Subject: q\r\n\r\nx\r\n", "friend@far.test")

	command := func(args ...string) string {
		t.Helper()
		out, said, code := postrider(t, append(append([]string{"queue"}, args...), "-c", w.dir)...)
		if code != 0 {
			t.Fatalf("queue %v: code %d, %s\n%s", args, code, said, tail(w.log))
		}
		return out
	}
	var views []queue.View
	for range 3600 {
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
	if out := command("list"); !strings.Contains(out, "LAST REPLY") || !strings.Contains(out, "refused") {
		t.Errorf("list without a reason: %s", out)
	}
	if out := command("hold", id); out != id+": held\n" {
		t.Errorf("hold said %q", out)
	}
	if out := command("list", "--held"); !strings.Contains(out, "held") {
		t.Errorf("list --held: %s", out)
	}
	for word, done := range map[string]string{"release": "released", "retry": "due now"} {
		if out := command(word, id); out != id+": "+done+"\n" {
			t.Errorf("%s said %q", word, out)
		}
	}
	if out := command("route", id); out != id+": goes the usual way\n" {
		t.Errorf("route said %q", out)
	}
	var status daemon.Status
	out, said, code := postrider(t, "status", "--json", "-c", w.dir)
	if err := json.Unmarshal([]byte(out), &status); err != nil || code != 0 {
		t.Fatal(err, said)
	}
	if status.Queue == nil || status.Queue.Entries != 1 || !strings.HasPrefix(status.Version, "postrider ") || strings.Contains(out, ": null") {
		t.Errorf("status: %s", out)
	}
	var ports []int
	for _, p := range status.Ports {
		_, port, _ := net.SplitHostPort(p.Bound)
		n, _ := strconv.Atoi(port)
		ports = append(ports, n)
	}
	if len(ports) != len(places) || !slices.IsSorted(ports) {
		t.Errorf("the ports are %d", ports)
	}
	if out, _, _ := postrider(t, "status", "-c", w.dir); !strings.Contains(out, ": pop3, TLS implicit\n") || !strings.Contains(out, "queue: 1 message,") {
		t.Errorf("status says %s", out)
	}
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
	for range 3600 {
		if _, _, code := postrider(t, "queue", "remove", id, "-c", w.dir); code == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond) // it was being delivered
	}
	if out := command("list", "--json"); out != "[]\n" {
		t.Errorf("an empty list is %s", out)
	}
	if out := command("list"); !strings.Contains(out, "empty") {
		t.Errorf("after remove: %s", out)
	}
}

// When a message is due is told with the year where it is another one.
func TestNext(t *testing.T) {
	now := time.Date(2026, 12, 31, 23, 0, 0, 0, time.Local)
	for due, want := range map[time.Duration]string{time.Minute: "12-31 23:01:00 ", 2 * time.Hour: "2027-01-01 01:00:00 "} {
		v := queue.View{Next: now.Add(due)}
		if got := next(v, now); got != want+v.Next.Format("MST") {
			t.Errorf("in %v: %q", due, got)
		}
	}
}
