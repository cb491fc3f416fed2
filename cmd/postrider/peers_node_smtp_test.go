package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

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
		t.Fatalf("%v\n%s", err, tail(w.log))
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
				case strings.HasPrefix(names[i], "sample") && want != sample:
					t.Errorf("%s was changed by nodemailer itself: %s", names[i], difference(want, sample))
				case arrived[want] == 0:
					t.Errorf("%s did not arrive as it was built: %.300q", names[i], want)
				}
				arrived[want]--
			}
			if len(got) != len(messages) {
				t.Errorf("%d messages arrived, %d were sent", len(got), len(messages))
			}
			if t.Failed() {
				t.Logf("arrived: %.1000q\n%s", got, tail(w.log))
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
			sessions := map[string]bool{}
			for _, message := range w.fetchAll("bob@mail.test") {
				got = append(got, untraced(t, message))
				_, id, _ := strings.Cut(message, "\tid ") // session, dash, number
				session, _, _ := strings.Cut(id, "-")
				sessions[session] = true
			}
			slices.Sort(got)
			slices.Sort(want)
			if len(sessions) > len(messages)/5 {
				t.Errorf("%d sessions for %d messages", len(sessions), len(messages))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d messages arrived, %d were accepted, or they differ\n%s", len(got), len(want), tail(w.log))
			}
		})
	}
}

// TestNodemailerParameters: what nodemailer can ask for with MAIL and RCPT is
// understood, and the news it asked for comes. Without a queue to pass mail on
// with, DSN and REQUIRETLS are not offered.
func TestNodemailerParameters(t *testing.T) {
	nodeScripts(t)
	w := newWorld(t, `"deliver": false`, `"deliver": true`)
	_, submission, submissions := nodeTransports(w)
	dsn := options{"id": "env+id=1", "return": "headers", "notify": []string{"success", "failure"}, "recipient": "bob@mail.test"}
	message := options{"from": user, "to": "bob@mail.test", "text": "x", "dsn": dsn, "requireTLSExtensionEnabled": true}
	for name, transport := range map[string]options{"STARTTLS": submission, "implicit TLS": submissions} {
		t.Run(name, func(t *testing.T) {
			if sent := w.nodemailer(t, transport, message)[0]; sent.Error != "" {
				t.Fatalf("%s\n%s", sent.Error, tail(w.log))
			}
			if got := w.fetchAll("bob@mail.test"); len(got) != 1 {
				t.Errorf("%d messages arrived", len(got))
			}
			var news string
			for range 3600 {
				if news = strings.Join(w.fetchAll(user), ""); news != "" {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			for _, field := range []string{"Original-Envelope-Id: env+id=1", "Original-Recipient: rfc822; bob@mail.test", "Action: delivered"} {
				if !strings.Contains(news, "\r\n"+field+"\r\n") {
					t.Errorf("no %s in the news:\n%s", field, news)
				}
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
				t.Errorf("got %d (%s), want %d\n%s", sent.ResponseCode, sent.Error, c.code, tail(w.log))
			}
		})
	}
	if got := w.fetchAll("bob@mail.test"); len(got) != 0 {
		t.Errorf("%d messages arrived", len(got))
	}
}
