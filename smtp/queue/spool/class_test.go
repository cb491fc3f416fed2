package spool

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestClassOnDisk: the class and the proof survive, and an envelope without
// them, as all were before, is of ordinary mail.
func TestClassOnDisk(t *testing.T) {
	for _, c := range []queue.Class{queue.Ordinary, queue.Stranger, queue.Notice} {
		for _, proven := range []bool{false, true} {
			e := &queue.Entry{ID: "a", Queued: time.Now().UTC(), Class: c, Proven: proven, To: []queue.Recipient{{Path: address("b@c.example")}}}
			text := formatEnvelope(e, proof{sum: 1})
			got, _, err := parseEnvelope(text)
			if err != nil || got.Class != c || got.Proven != proven {
				t.Errorf("%v %v: %+v, %v", c, proven, got, err)
			}
			if old := !strings.Contains(string(text), "class") && !strings.Contains(string(text), "proven"); old != (c == queue.Ordinary && !proven) {
				t.Errorf("%v %v: %s", c, proven, text)
			}
		}
	}
	if _, _, err := parseEnvelope([]byte("postrider-envelope 1\nid: a\nqueued: 2026-01-01T00:00:00Z\nclass: king\nto: b@c.example\nend\n")); err == nil {
		t.Error("an unknown class")
	}
}
