package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/rfc2822"
)

// TestMessages: real mail of every shape goes in and comes out octet for
// octet, below the trace fields; among it 20 MiB of text.
func TestMessages(t *testing.T) {
	w := newWorld(t)
	k := dial(t, w.addrs["smtp"])
	k.expect("220 ")
	k.ask("EHLO client.test", "250 ")
	var sent []string
	send := func(name, message string) {
		t.Helper()
		k.ask("MAIL FROM:<sender@far.test> BODY=8BITMIME", "250 ")
		k.ask("RCPT TO:<bob@mail.test>", "250 ")
		k.ask("DATA", "354 ")
		stuffed := strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:]
		fmt.Fprint(k.c, stuffed)
		reply := k.ask(".", "")
		if strings.Contains(message, "\x00") {
			if !strings.HasPrefix(reply, "550 5.6.0") {
				t.Errorf("%s: NUL is for BINARYMIME: %s", name, reply)
			}
			return
		}
		if !strings.HasPrefix(reply, "250 ") {
			t.Errorf("%s: %s", name, reply)
			return
		}
		sent = append(sent, message)
	}
	err := filepath.WalkDir(filepath.Join("..", "..", "testdata", "messages"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".eml") && !strings.HasSuffix(name, ".txt") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		send(name, string(network(text)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) < 20 {
		t.Fatalf("only %d messages found", len(sent))
	}
	send("nothing", "")
	send("only dots", ".\r\n..\r\n...\r\n")
	var big strings.Builder
	big.WriteString("Subject: big\r\n\r\n")
	for i := 0; big.Len() < 20<<20; i++ {
		fmt.Fprintf(&big, "%d%s\r\n.\r\n", i, strings.Repeat("-", i%900))
	}
	send("20 MiB", big.String())
	got := w.fetchAll("bob@mail.test")
	if len(got) != len(sent) {
		t.Fatalf("%d messages came out, %d went in", len(got), len(sent))
	}
	for i := range got {
		// A message without header needs an empty line between the trace and itself.
		header, _, _ := rfc2822.ParseHeader(sent[i])
		want := header.Seam() + sent[i]
		if body := untraced(t, got[i]); body != want {
			t.Errorf("message %d: %s", i, difference(body, want))
		}
	}
}

// network gives a text the line endings of the network, and a last one.
func network(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}
