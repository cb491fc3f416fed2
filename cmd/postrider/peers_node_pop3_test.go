package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// maildrop is what POP3 spoken by hand says of a mailbox, every number of it a
// pair with its message's number, as the scripts print them.
type maildrop struct {
	Sizes, UIDs    [][2]any
	Tops, Messages [][]byte
}

// look reads a maildrop and leaves it as it is.
func (w *world) look(account string, lines int) maildrop {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.addrs["pop3s"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	d := &dialogue{w.t, c, bufio.NewReader(c)}
	d.expect("+OK")
	d.ask("USER "+account, "+OK")
	d.ask("PASS "+password, "+OK")
	var m maildrop
	d.ask("UIDL", "+OK")
	for i, line := range strings.Split(strings.TrimSuffix(d.text(), "\r\n"), "\r\n") {
		_, uid, _ := strings.Cut(line, " ")
		m.UIDs = append(m.UIDs, [2]any{float64(i + 1), uid})
	}
	for i := range m.UIDs {
		d.ask(fmt.Sprint("RETR ", i+1), "+OK")
		text := d.text()
		m.Messages = append(m.Messages, []byte(text))
		m.Sizes = append(m.Sizes, [2]any{float64(i + 1), float64(len(text))})
		head, body, _ := strings.Cut(text, "\r\n\r\n")
		rest := strings.SplitAfterN(body, "\n", lines+1)
		m.Tops = append(m.Tops, []byte(head+"\r\n\r\n"+strings.Join(rest[:min(lines, len(rest))], "")))
	}
	d.ask("QUIT", "+OK")
	return m
}

// TestNodeClientsFetch: the POP3 clients from npm list, look into, fetch and
// remove.
func TestNodeClientsFetch(t *testing.T) {
	nodeScripts(t)
	w := newWorld(t, `"apop": true`, `"apop": true, "cleartext_auth": true`)
	message := []string{
		sample,
		"Subject: latin-1\r\n\r\n" + strings.ReplaceAll(string(latin1), "\n", "\r\n"),
		"Subject: many lines\r\n\r\n" + strings.Repeat(".dots and\r\n..\r\nthe like\r\n", 12_000),
		"Subject: no body\r\n\r\n",
	}
	implicit, stls := options{"secure": true}, options{"stls": true}
	cases := []struct {
		client, name, listener string
		how                    options
	}{
		{"node-pop3", "clear", "pop3", nil},
		{"node-pop3", "STLS", "pop3", stls},
		{"node-pop3", "implicit TLS", "pop3s", implicit},
		{"yapople", "clear", "pop3", nil},
		{"yapople", "STLS", "pop3", stls},
		{"yapople", "implicit TLS", "pop3s", implicit},
		{"mailpop3", "clear", "pop3", nil},
		{"mailpop3", "APOP in clear", "pop3", options{"login": "APOP"}},
		{"mailpop3", "STLS", "pop3", stls},
		{"mailpop3", "implicit TLS", "pop3s", implicit},
		{"mailpop3", "implicit TLS CRAM-MD5", "pop3s", options{"secure": true, "login": "CRAM-MD5"}},
	}
	for _, c := range cases {
		t.Run(c.client+" "+c.name, func(t *testing.T) {
			w.fetchAll(user) // what a failed case may have left
			for _, m := range message {
				w.deliver(m, user)
			}
			const lines = 3
			want := w.look(user, lines)
			job := options{"client": c.client, "host": w.host(c.listener), "port": w.nodePort(c.listener),
				"user": user, "password": password, "lines": lines, "remove": []int{1, 3}}
			var got maildrop
			if err := runNode(t, w, "fetch.js", job.with(c.how), &got); err != nil {
				t.Fatalf("%v\n%s", err, tail(w.log))
			}
			left := [][]byte{want.Messages[1], want.Messages[3]}
			switch c.client {
			case "yapople": // knows no UIDL
				want.UIDs = nil
			case "mailpop3": // takes every message for UTF-8
				want.Messages, want.Tops = asUTF8(want.Messages), asUTF8(want.Tops)
			}
			if !reflect.DeepEqual(got.Sizes, want.Sizes) {
				t.Errorf("LIST: got %v, want %v", got.Sizes, want.Sizes)
			}
			if !reflect.DeepEqual(got.UIDs, want.UIDs) {
				t.Errorf("UIDL: got %v, want %v", got.UIDs, want.UIDs)
			}
			compare(t, "TOP", got.Tops, want.Tops)
			compare(t, "RETR", got.Messages, want.Messages)
			var still [][]byte
			for _, m := range w.fetchAll(user) {
				still = append(still, []byte(m))
			}
			compare(t, "after DELE", still, left)
			for i, m := range []string{message[1], message[3]} {
				if body := untraced(t, string(still[i])); body != m {
					t.Error(difference(body, m))
				}
			}
		})
	}
}

func compare(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d messages, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("%s of message %d: %s", what, i+1, difference(string(got[i]), string(want[i])))
		}
	}
}

// asUTF8 puts U+FFFD where an octet is no part of UTF-8.
func asUTF8(texts [][]byte) [][]byte {
	var all [][]byte
	for _, text := range texts {
		all = append(all, []byte(string([]rune(string(text)))))
	}
	return all
}

// TestNodeClientsAreRefused: with an error, not a hang.
func TestNodeClientsAreRefused(t *testing.T) {
	nodeScripts(t)
	w := newWorld(t)
	for _, client := range []string{"node-pop3", "yapople", "mailpop3"} {
		for reason, how := range map[string]options{
			"under TLS only":        {"host": w.host("pop3"), "port": w.nodePort("pop3"), "password": password},
			"authentication failed": {"host": w.host("pop3s"), "port": w.nodePort("pop3s"), "password": "wrong", "secure": true},
		} {
			t.Run(client+" "+reason, func(t *testing.T) {
				job := options{"client": client, "user": user, "lines": 0, "remove": []int{}}
				var got maildrop
				err := runNode(t, w, "fetch.js", job.with(how), &got)
				if err == nil || !strings.Contains(err.Error(), reason) {
					t.Errorf("it ended with: %v", err)
				}
			})
		}
	}
}
