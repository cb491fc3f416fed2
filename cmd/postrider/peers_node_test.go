package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var nodeModules struct {
	once sync.Once
	dir  string
	err  error
}

// nodeScripts is a folder with the scripts of testdata/node and the clients
// they need. npm installs these once for all tests, beside the binary, whose
// folder goes away at the end.
func nodeScripts(t *testing.T) string {
	t.Helper()
	peer(t, "node")
	npm := peer(t, "npm")
	nodeModules.once.Do(func() {
		dir := filepath.Join(filepath.Dir(binary(t)), "node")
		if nodeModules.err = os.CopyFS(dir, os.DirFS("testdata/node")); nodeModules.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			nodeModules.err = fmt.Errorf("npm ci: %w\n%s", err, out)
			return
		}
		nodeModules.dir = dir
	})
	if nodeModules.err != nil && os.Getenv("CI") == "true" {
		t.Fatal(nodeModules.err)
	}
	if nodeModules.err != nil {
		t.Skipf("the clients from npm cannot be installed: %v", nodeModules.err)
	}
	return nodeModules.dir
}

// runNode gives a script its job and reads what it prints into answer. The
// clients trust the world's certificate, and no other that is not public.
func runNode(t *testing.T, w *world, script string, job, answer any) error {
	t.Helper()
	dir := nodeScripts(t)
	in, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, peer(t, "node"), "--no-deprecation", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+w.cert)
	cmd.Stdin = bytes.NewReader(in)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, &said)
	}
	return json.Unmarshal(out.Bytes(), answer)
}

// options are an object of a script's job.
type options map[string]any

// with is o and more; more wins.
func (o options) with(more options) options {
	all := options{}
	for _, m := range []options{o, more} {
		for name, value := range m {
			all[name] = value
		}
	}
	return all
}

func (w *world) nodePort(listener string) int {
	n, _ := strconv.Atoi(w.port(listener))
	return n
}

// nodeSent is what testdata/node/send.js prints for a message.
type nodeSent struct {
	Built              []byte
	Accepted, Rejected []string
	Response, Error    string
	ResponseCode       int
}

func (w *world) nodemailer(t *testing.T, transport options, messages ...options) []nodeSent {
	t.Helper()
	var sent []nodeSent
	if err := runNode(t, w, "send.js", options{"transport": transport, "messages": messages}, &sent); err != nil {
		t.Fatalf("%v\n%s", err, w.log.tail())
	}
	if len(sent) != len(messages) {
		t.Fatalf("%d answers for %d messages", len(sent), len(messages))
	}
	return sent
}

// nodemailer's options for each listener; those for submission want a login.
func nodeTransports(w *world) (relay, submission, submissions options) {
	at := func(listener string) options {
		return options{"host": w.host(listener), "port": w.nodePort(listener), "name": "client.test"}
	}
	login := options{"auth": options{"user": user, "pass": password}}
	return at("smtp").with(options{"ignoreTLS": true}),
		at("submission").with(login).with(options{"requireTLS": true}),
		at("submissions").with(login).with(options{"secure": true})
}

// 8-bit text that is not UTF-8, and octets of every value.
var (
	latin1  = []byte("Gr\xfc\xdfe,\n.\n..\nd\xe9j\xe0 vu\n")
	allByte = func() []byte {
		all := make([]byte, 200_000)
		for i := range all {
			all[i] = byte(i ^ i>>8)
		}
		return all
	}()
)

// nodeMessages are what nodemailer builds, by name.
func nodeMessages(w *world) map[string]options {
	base64 := func(content []byte, more options) options {
		return options{"content": content, "encoding": "base64"}.with(more)
	}
	to := options{"from": "Älice <" + user + ">", "to": "Bób <bob@mail.test>", "subject": "grüße 日本 " + strings.Repeat("lang ", 30)}
	envelope := options{"from": user, "to": []string{"bob@mail.test"}}
	// Submission would add what is missing here.
	head := "From: " + user + "\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000\r\nMessage-ID: <x@mail.test>\r\n"
	return map[string]options{
		"sample":             {"envelope": envelope, "raw": options{"path": filepath.Join(w.dir, "sample.eml")}},
		"sample as 8BITMIME": {"envelope": envelope.with(options{"use8BitMime": true}), "raw": options{"path": filepath.Join(w.dir, "sample.eml")}},
		"text":               to.with(options{"text": ".\n..\n.dot\nline\n\n.\n"}),
		"text of 8 bits":     to.with(options{"text": "grüße\n.\n" + strings.Repeat("ü", 400), "html": "<p>grüße</p>"}),
		"quoted-printable":   to.with(options{"text": strings.Repeat(".grüße = \t \n", 200), "textEncoding": "quoted-printable"}),
		"attachments": to.with(options{"text": "see", "attachments": []options{
			base64(allByte, options{"filename": "größe.bin"}),
			base64(latin1, options{"filename": "a.txt", "contentType": "text/plain; charset=iso-8859-1", "contentTransferEncoding": "8bit"}),
			base64([]byte(sample), options{"contentType": "message/rfc822", "contentTransferEncoding": "8bit"}),
			base64(latin1, options{"cid": "x@mail.test", "contentDisposition": "inline"}),
		}}),
		"no line ending at the end": {"envelope": envelope, "raw": head + "\r\n.\r\n.end"},
		"bare LF":                   {"envelope": envelope, "raw": strings.ReplaceAll(head, "\r", "") + "\n.\n..\nend\n"},
	}
}

// onTheWire is a message as nodemailer's DATA makes it: every line ends in CRLF.
func onTheWire(built []byte) string {
	text := strings.ReplaceAll(string(built), "\r\n", "\n")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return strings.ReplaceAll(text, "\n", "\r\n")
}

// TestNodemailerSends: what nodemailer built is what the mailbox holds.
func TestNodemailerSends(t *testing.T) {
	nodeScripts(t)
	w := newWorld(t)
	w.write("sample.eml", sample)
	relay, submission, submissions := nodeTransports(w)
	method := func(name string) options { return options{"authMethod": name} }
	cases := []struct {
		name      string
		transport options
	}{
		{"plain port 25", relay},
		{"STARTTLS port 25", relay.with(options{"ignoreTLS": false, "requireTLS": true})},
		{"submission STARTTLS", submission},
		{"submission STARTTLS PLAIN", submission.with(method("PLAIN"))},
		{"submission STARTTLS LOGIN", submission.with(method("LOGIN"))},
		{"submission STARTTLS CRAM-MD5", submission.with(method("CRAM-MD5"))},
		{"submission CRAM-MD5", submission.with(method("CRAM-MD5")).with(options{"requireTLS": false, "ignoreTLS": true})},
		{"submissions", submissions},
		{"submissions PLAIN", submissions.with(method("PLAIN"))},
		{"submissions LOGIN", submissions.with(method("LOGIN"))},
		{"submissions CRAM-MD5", submissions.with(method("CRAM-MD5"))},
		{"pool on one connection", submissions.with(options{"pool": true, "maxConnections": 1})},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var names []string
			var messages []options
			for name, message := range nodeMessages(w) {
				names, messages = append(names, name), append(messages, message)
			}
			sent := w.nodemailer(t, c.transport, messages...)
			arrived := map[string]int{}
			got := w.fetchAll("bob@mail.test")
			for _, message := range got {
				arrived[untraced(t, message)]++
			}
			for i, s := range sent {
				want := onTheWire(s.Built)
				switch {
				case s.Error != "":
					t.Errorf("%s: %s", names[i], s.Error)
				case arrived[want] == 0:
					t.Errorf("%s did not arrive as it was built: %.300q", names[i], want)
				}
				arrived[want]--
			}
			if len(got) != len(messages) {
				t.Errorf("%d messages arrived, %d were sent", len(got), len(messages))
			}
			if t.Failed() {
				t.Logf("arrived: %.1000q\n%s", got, w.log.tail())
			}
		})
	}
}

// TestNodemailerPool: a hundred messages over a few connections, each pipelined
// with its DATA, among them some that are refused.
func TestNodemailerPool(t *testing.T) {
	nodeScripts(t)
	w := newWorld(t)
	relay, _, submissions := nodeTransports(w)
	for name, transport := range map[string]options{"port 25": relay, "submissions": submissions} {
		t.Run(name, func(t *testing.T) {
			var messages []options
			for i := range 100 {
				to := []string{"bob@mail.test"}
				switch i % 10 {
				case 3: // one of two is refused
					to = append(to, "nobody@mail.test")
				case 7: // nobody is left, and DATA is on its way
					to = []string{"nobody@mail.test", "noone@mail.test"}
				}
				messages = append(messages, options{"from": user, "to": to, "subject": fmt.Sprint("number ", i), "text": strings.Repeat(".\n", i)})
			}
			sent := w.nodemailer(t, transport.with(options{"pool": true, "maxConnections": 3, "maxMessages": 20}), messages...)
			var want []string
			for i, s := range sent {
				if i%10 == 7 {
					if s.ResponseCode != 550 {
						t.Errorf("message %d to nobody: %+v", i, s)
					}
					continue
				}
				want = append(want, onTheWire(s.Built))
				refused := i%10 == 3
				if s.Error != "" || !slices.Equal(s.Accepted, []string{"bob@mail.test"}) || refused != slices.Equal(s.Rejected, []string{"nobody@mail.test"}) {
					t.Errorf("message %d: accepted %q, rejected %q, %s", i, s.Accepted, s.Rejected, s.Error)
				}
			}
			var got []string
			for _, message := range w.fetchAll("bob@mail.test") {
				got = append(got, untraced(t, message))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%d messages arrived, %d were accepted, or they differ\n%s", len(got), len(want), w.log.tail())
			}
		})
	}
}

// TestNodemailerIsRefused: nodemailer hears why.
func TestNodemailerIsRefused(t *testing.T) {
	nodeScripts(t)
	w := newWorld(t, `"tarpit": "0s"`, `"tarpit": "0s", "max_message_size": "100KB"`)
	relay, submission, submissions := nodeTransports(w)
	wrong := options{"auth": options{"user": user, "pass": "wrong"}}
	message := options{"from": user, "to": "bob@mail.test", "text": "x"}
	cases := []struct {
		name      string
		transport options
		message   options
		code      int
	}{
		{"wrong password PLAIN", submissions.with(wrong), message, 535},
		{"wrong password LOGIN", submission.with(wrong).with(options{"authMethod": "LOGIN"}), message, 535},
		{"wrong password CRAM-MD5", submission.with(wrong).with(options{"authMethod": "CRAM-MD5"}), message, 535},
		{"password in clear", submission.with(options{"requireTLS": false, "ignoreTLS": true, "authMethod": "PLAIN"}), message, 538},
		{"no login", submission.with(options{"auth": nil}), message, 530},
		{"foreign recipient", relay, message.with(options{"to": "x@elsewhere.test"}), 550},
		{"too large", relay, message.with(options{"text": strings.Repeat("x", 200_000)}), 552},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sent := w.nodemailer(t, c.transport, c.message)[0]
			if sent.ResponseCode != c.code {
				t.Errorf("got %d (%s), want %d\n%s", sent.ResponseCode, sent.Error, c.code, w.log.tail())
			}
		})
	}
	if got := w.fetchAll("bob@mail.test"); len(got) != 0 {
		t.Errorf("%d messages arrived", len(got))
	}
}

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
	c.SetDeadline(time.Now().Add(time.Minute))
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
		top := head + "\r\n\r\n"
		for line := range strings.Lines(body) {
			if len(m.Tops) == i && strings.Count(top[len(head)+4:], "\n") < lines {
				top += line
			}
		}
		m.Tops = append(m.Tops, []byte(top))
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
				t.Fatalf("%v\n%s", err, w.log.tail())
			}
			left := want.Messages[1:4:4]
			left = [][]byte{left[0], left[2]}
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
		for name, how := range map[string]options{
			"password in clear": {"host": w.host("pop3"), "port": w.nodePort("pop3"), "password": password},
			"wrong password":    {"host": w.host("pop3s"), "port": w.nodePort("pop3s"), "password": "wrong", "secure": true},
		} {
			t.Run(client+" "+name, func(t *testing.T) {
				job := options{"client": client, "user": user, "lines": 0, "remove": []int{}}
				var got maildrop
				err := runNode(t, w, "fetch.js", job.with(how), &got)
				if err == nil || strings.Contains(err.Error(), "signal") {
					t.Errorf("it ended with: %v", err)
				}
			})
		}
	}
}
