package daemon

import (
	"errors"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// TestShortDisk: where no mail can be taken for want of space, the status says so,
// once for a disk that mailboxes and queue share, and so does the check.
func TestShortDisk(t *testing.T) {
	w := start(t, `"Store": {"keep_free": "1000TiB"}, "Queue": {"deliver": true},`)
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 452 4.3.1")
	err := w.healthy()
	if !errors.Is(err, mailstore.ErrNoSpace) && !errors.Is(err, durable.ErrNoSpace) {
		t.Fatalf("healthy: %v", err)
	}
	if s := w.state().settings; strings.Count(err.Error(), "kept free") != 2 || !strings.Contains(err.Error(), "mail_dir "+s.MailDir) {
		t.Errorf("healthy: %v", err)
	}
	short := Space(w.state().settings)
	if len(short) != 2 || !strings.Contains(short[0].Error(), "mail_dir") || !strings.Contains(short[1].Error(), "queue_dir") {
		t.Errorf("check: %v", short)
	}
	if short := Space(conf.New()); len(short) > 0 {
		t.Logf("the disk of this machine is short: %v", short)
	}
}
