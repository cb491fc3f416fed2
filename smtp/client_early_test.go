package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// hasty is a server that answers a message before its end: after so many
// octets of it.
type hasty struct {
	extensions string
	after      int
	reply      string // "" for none
	then       string // "close", "read" on to the end, "sulk": take nothing more
	ending     string // what it says to the end, if it reads on
	slow       bool   // an octet at a time
}

func (h *hasty) say(w io.Writer, s string) error {
	s = strings.ReplaceAll(s, "\n", "\r\n") + "\r\n"
	for h.slow && len(s) > 1 {
		if _, err := io.WriteString(w, s[:1]); err != nil {
			return err
		}
		s = s[1:]
	}
	_, err := io.WriteString(w, s)
	return err
}

func (h *hasty) serve(conn net.Conn) {
	defer conn.Close()
	r := textual.NewReader(conn)
	h.say(conn, "220 hi")
	for {
		line, err := r.ReadLine(1000)
		if err != nil {
			return
		}
		verb, args := textual.Command(line)
		switch {
		case textual.Is(verb, "EHLO"), textual.Is(verb, "LHLO"):
			err = h.say(conn, "250-hi\n"+h.extensions+"250 8BITMIME")
		case textual.Is(verb, "DATA"):
			if h.after < 0 {
				h.say(conn, "354 go\n"+h.reply)
			} else {
				h.say(conn, "354 go")
			}
			if !h.take(conn, r, func(tail []byte) bool { return bytes.HasSuffix(tail, []byte("\r\n.\r\n")) }) {
				return
			}
		case textual.Is(verb, "BDAT"):
			var n int
			var last string
			fmt.Sscan(string(args), &n, &last)
			left := n
			if h.after > n {
				h.after -= n
				r.Discard(int64(n))
				h.say(conn, "250 chunk")
				continue
			}
			if !h.take(conn, r, func([]byte) bool { left--; return left == 0 }) {
				return
			}
		default:
			err = h.say(conn, "250 ok")
		}
		if err != nil {
			return
		}
	}
}

// take reads a message and answers as it is told. false ends the session.
func (h *hasty) take(conn net.Conn, r io.Reader, end func([]byte) bool) bool {
	var tail [5]byte
	var b [1]byte
	for n := 0; ; n++ {
		if n == max(h.after, 0) {
			if h.reply != "" && h.after >= 0 {
				if h.say(conn, h.reply) != nil {
					return false
				}
			}
			switch h.then {
			case "close":
				return false
			case "sulk":
				time.Sleep(2 * time.Hour)
				return false
			}
		}
		if _, err := r.Read(b[:]); err != nil {
			return false
		}
		copy(tail[:], tail[1:])
		tail[4] = b[0]
		if end(tail[:]) {
			return h.ending == "" || h.say(conn, h.ending) == nil
		}
	}
}

// TestEarlyReply: what a server says before the message has ended is its
// answer, and the message ends there.
func TestEarlyReply(t *testing.T) {
	const pipelining, chunking = "250-PIPELINING\n", "250-PIPELINING\n250-CHUNKING\n"
	for _, tt := range []struct {
		name   string
		server hasty
		want   string // "" for an error
		lmtp   bool
	}{
		{"552 and closes", hasty{after: 100_000, reply: "552 5.3.4 too big", then: "close"}, "message 552 5.3.4 too big", false},
		{"451 and closes", hasty{after: 100_000, reply: "451 4.3.0 later", then: "close"}, "message 451 4.3.0 later", false},
		{"421 and closes", hasty{after: 100_000, reply: "421 4.3.2 bye", then: "close"}, "message 421 4.3.2 bye", false},
		{"552 and reads on", hasty{after: 100_000, reply: "552 5.3.4 too big", then: "read", ending: "552 5.3.4 I said it"}, "message 552 5.3.4 too big", false},
		{"452 and reads on in silence", hasty{after: 100_000, reply: "452 4.3.1 full", then: "read"}, "message 452 4.3.1 full", false},
		{"552 and takes nothing", hasty{after: 100_000, reply: "552 5.3.4 too big", then: "sulk"}, "message 552 5.3.4 too big", false},
		{"552 with 354", hasty{after: -1, reply: "552 5.3.4 too big", then: "read"}, "message 552 5.3.4 too big", false},
		{"several lines", hasty{after: 50_000, reply: "552-5.3.4 too\n552 5.3.4 big", then: "close"}, "message 552 5.3.4 too; big", false},
		{"pipelined", hasty{extensions: pipelining, after: 50_000, reply: "552 5.3.4 too big", then: "close"}, "message 552 5.3.4 too big", false},
		{"250", hasty{after: 100_000, reply: "250 2.0.0 taken", then: "sulk"}, "", false},
		{"nonsense", hasty{after: 100_000, reply: "hello", then: "sulk"}, "", false},
		{"closes", hasty{after: 100_000, then: "close"}, "", false},
		{"LMTP", hasty{extensions: pipelining, after: 100_000, reply: "552 5.3.4 too big\n452 4.2.2 full", then: "close"}, "message 552 5.3.4 too big, message 452 4.2.2 full", true},
		{"LMTP, one reply", hasty{extensions: pipelining, after: 100_000, reply: "552 5.3.4 too big", then: "close"}, "message 552 5.3.4 too big, other", true},
		{"chunk: 552 and closes", hasty{extensions: chunking, after: 200_000, reply: "552 5.3.4 too big", then: "close"}, "BDAT 552 5.3.4 too big", false},
		{"first chunk: 552 and closes", hasty{extensions: chunking, after: 10, reply: "552 5.3.4 too big", then: "close"}, "BDAT 552 5.3.4 too big", false},
		{"chunk: 552 and takes nothing", hasty{extensions: chunking, after: 200_000, reply: "552 5.3.4 too big", then: "sulk"}, "BDAT 552 5.3.4 too big", false},
		{"chunk: 421 and closes", hasty{extensions: chunking, after: 200_000, reply: "421 4.3.2 bye", then: "close"}, "BDAT 421 4.3.2 bye", false},
		{"chunk: closes", hasty{extensions: chunking, after: 200_000, then: "close"}, "", false},
	} {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, slow), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := tt.server
					h.slow = slow
					ours, theirs := mailtest.Pipe("192.0.2.1:1025", "192.0.2.2:25")
					served := make(chan struct{})
					go func() { defer close(served); h.serve(theirs) }()
					c := started(t, Dialer{LMTP: tt.lmtp}, ours)
					began := time.Now()
					m := mail("a@b", "r@d")
					if tt.lmtp {
						m = mail("a@b", "r1@d", "r2@d")
					}
					body := strings.NewReader(strings.Repeat("0123456789012345678901234567890123456789\r\n", 20_000))
					results, err := c.Send(context.Background(), m, body)
					got := outcome(results)
					var e *ClientError
					switch {
					case tt.want == "":
						if err == nil || results[0].Err == nil || results[0].InDoubt || !errors.As(err, &e) || !e.Temporary() {
							t.Errorf("%s, %v", got, err)
						}
					case strings.HasSuffix(tt.want, "other"):
						if outcome(results[:1])+", other" != tt.want || !errors.As(results[1].Err, &e) || !e.Temporary() || results[1].InDoubt {
							t.Errorf("%s, want %s", got, tt.want)
						}
					case got != tt.want:
						t.Errorf("%s, %v; want %s", got, err, tt.want)
					}
					if c.Usable() && !(h.then == "read" && c.dirty) { // it may have crossed the end
						t.Error("the connection is in the middle of a message, and usable")
					}
					if took := time.Since(began); took > time.Minute {
						t.Errorf("took %v", took)
					}
					c.Close()
					theirs.Close()
					<-served
				})
			})
		}
	}
}

// TestEarlyReplyTCP: the same where a kernel resets the connection of who hangs
// up on somebody still sending.
func TestEarlyReplyTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, extensions := range []string{"", "250-PIPELINING\n", "250-PIPELINING\n250-CHUNKING\n"} {
		for _, size := range []int{20 << 10, 16 << 20} {
			for range 20 {
				go func() {
					if conn, err := l.Accept(); err == nil {
						(&hasty{extensions: extensions, after: 5000, reply: "552 5.3.4 too big", then: "close"}).serve(conn)
					}
				}()
				c, err := (&Dialer{Hello: "me.example"}).Dial(t.Context(), l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				body := strings.NewReader(strings.Repeat("0123456789012345678901234567890123456789\r\n", size/42))
				results, err := c.Send(t.Context(), mail("a@b", "r@d"), body)
				if got := outcome(results); !strings.HasSuffix(got, "552 5.3.4 too big") {
					t.Errorf("%q, %d octets: %s, %v", extensions, size, got, err)
				}
				c.Close()
			}
		}
	}
}

// TestLongTalk: of a server that says a lot, little is kept.
func TestLongTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := mailtest.Pipe("192.0.2.1:1025", "192.0.2.2:25")
		go func() {
			defer theirs.Close()
			r := textual.NewReader(theirs)
			long := func(code, last string) {
				for i := range 100 {
					fmt.Fprintf(theirs, "%s-X%d%s\r\n", code, i, strings.Repeat("y", 4000))
				}
				fmt.Fprintf(theirs, "%s %s\r\n", code, last)
			}
			long("220", "hi")
			for {
				line, err := r.ReadLine(1000)
				if err != nil {
					return
				}
				if verb, _ := textual.Command(line); textual.Is(verb, "EHLO") {
					long("250", "8BITMIME")
				} else {
					long("550", "no")
				}
			}
		}()
		c := started(t, Dialer{}, ours)
		results, err := c.Send(t.Context(), mail("a@b", "r@d"), nil)
		if err != nil || results[0].Reply == nil {
			t.Fatal(results, err)
		}
		if n := len(results[0].Reply.Text); n > maxKept || n < 1000 {
			t.Errorf("%d octets of a refusal", n)
		}
		for _, r := range []*Response{c.Greeting(), c.HelloReply()} {
			if n := len(r.Text); n > maxHello || n < 1000 || strings.HasSuffix(r.Text, "\n") {
				t.Errorf("%d octets of a welcome", n)
			}
		}
		for keyword, params := range c.ext {
			if len(keyword) < 4000 || params != "" {
				t.Errorf("cut in the middle: %.20q", keyword)
			}
		}
		c.Close()
	})
}

// TestRefusedThenNext: a long message that is refused at its end leaves a
// connection for the next one, also where a second refusal follows late.
func TestRefusedThenNext(t *testing.T) {
	for _, twice := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := mailtest.Pipe("192.0.2.1:1025", "192.0.2.2:25")
			reply := "554 5.6.0 spam"
			if twice {
				reply += "\n554 5.6.0 spam indeed"
			}
			h := &hasty{extensions: "250-PIPELINING\n", after: 1 << 30, then: "read", ending: reply}
			go h.serve(theirs)
			c := started(t, Dialer{}, ours)
			for n := range 2 {
				results, err := c.Send(context.Background(), mail("a@b", "r@d"), strings.NewReader(strings.Repeat("0123456789\r\n", 10_000)))
				if n == 1 && twice {
					if err == nil || c.Usable() || results[0].Err == nil {
						t.Errorf("out of step, and nobody noticed: %s, %v", outcome(results), err)
					}
				} else if got := outcome(results); got != "message 554 5.6.0 spam" || !c.Usable() {
					t.Errorf("%s, %v", got, err)
				}
			}
			c.Close()
			theirs.Close()
			synctest.Wait()
		})
	}
}
