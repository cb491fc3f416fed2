package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestPlain: what strangers call themselves cannot steer a terminal.
func TestPlain(t *testing.T) {
	for _, c := range []struct{ said, want string }{
		{"plain\ttext\n", "plain\ttext\n"},
		{"Grüße 你好\n", "Grüße 你好\n"},
		{"\x1b[2J\a\r", `\u001b[2J\u0007\u000d`},
		{"\u009b31m \u202e \xff", `\u009b31m \u202e \xff`},
	} {
		if got := printable(c.said); got != c.want {
			t.Errorf("%q is shown as %q, want %q", c.said, got, c.want)
		}
	}
	var b bytes.Buffer
	printList(plain{&b}, []queue.View{{ID: "a", Queued: time.Now(), From: "\x1b]0;owned\a@far.test", Recipients: []queue.RecipientView{{Address: "\u202eb@mail.test"}}}})
	if bytes.ContainsAny(b.Bytes(), "\x1b\a") || bytes.ContainsRune(b.Bytes(), '\u202e') {
		t.Errorf("a list steers the terminal: %q", b.String())
	}
}
