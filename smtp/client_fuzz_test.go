package smtp

import (
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// heard collects what a client says.
type heard struct {
	net.Conn
	text bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) {
	n, err := h.Conn.Write(p)
	h.text.Write(p[:n])
	return n, err
}

// FuzzClient lets a server say anything at all: what stands between two bars
// each time the client has said something. Whatever that is, two messages end
// within the time limits, nobody is told of a delivery that no 2yz stood for,
// what goes out is made of whole lines, and a connection that is still called
// usable is in step.
func FuzzClient(f *testing.F) {
	for _, tt := range sendTests {
		said, wasServer := "", true
		for _, line := range strings.Split(tt.script, "\n") {
			s, server := strings.CutPrefix(strings.TrimSpace(line), "S: ")
			if server && !wasServer {
				said += "|"
			}
			if server {
				said += s + "\r\n"
			}
			wasServer = server
		}
		f.Add(said, "a\n.\nb", tt.dialer.LMTP)
	}
	f.Add("220 x\r\n|250-x\r\n250 CHUNKING\r\n|250 \r\n|250 \r\n|250\r\n|250\r\n|250 \r\n", "x", false)
	f.Add("220 x\n|250-x\n250 SIZE 9999999999999999999999\n|250\r\n250\r\n", "\x00\r", false)
	f.Fuzz(func(t *testing.T, said, body string, lmtp bool) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := mailtest.Pipe("192.0.2.1:1025", "192.0.2.2:25")
			told := make(chan struct{})
			go func() {
				defer close(told)
				buf := make([]byte, 4096)
				for part := range strings.SplitSeq(said, "|") {
					io.WriteString(theirs, part)
					if _, err := theirs.Read(buf); err != nil {
						return
					}
				}
				io.Copy(io.Discard, theirs)
			}()
			h := &heard{Conn: ours}
			begin := time.Now()
			d := Dialer{Hello: "me.example", LMTP: lmtp, TLS: TLSNever}
			c, err := d.Start(context.Background(), h, "mx.example")
			if err == nil {
				for n := range 2 {
					text := body
					if n == 0 && len(said)%2 == 1 { // long enough to be answered on the way
						text += strings.Repeat("0123456789\r\n.\r\n", 5000)
					}
					results, err := c.Send(context.Background(), mail("a@b", "r1@d", "r2@d"), strings.NewReader(text))
					checkResults(t, c, results, err)
				}
				c.Quit(context.Background())
			}
			if time.Since(begin) > 2*time.Hour {
				t.Errorf("took %v", time.Since(begin))
			}
			ours.Close()
			theirs.Close()
			<-told
			checkHeard(t, h.text.String())
		})
	})
}

func checkResults(t *testing.T, c *Client, results []RcptResult, err error) {
	if len(results) != 2 {
		t.Fatalf("%d results", len(results))
	}
	for _, r := range results {
		switch {
		case r.Err == nil && (r.Reply == nil || r.Reply.Code/100 != 2 || r.InDoubt):
			t.Errorf("delivered with %v", r.Reply)
		case r.Reply != nil && strings.ContainsFunc(r.Reply.Text, func(c rune) bool { return c < ' ' && c != '\n' }):
			t.Errorf("control characters in %q", r.Reply.Text)
		case r.InDoubt && c.Usable():
			t.Error("in doubt, and yet usable")
		}
	}
	if err != nil && results[0].Err == nil && results[1].Err == nil {
		t.Errorf("all delivered, and yet %v", err)
	}
}

var bdat = regexp.MustCompile("BDAT [0-9]+( LAST)?\r\n")

// checkHeard checks that no CR or LF went out but as CRLF. A chunk may end in the
// middle of one, and so may a message that the client has given up.
func checkHeard(t *testing.T, text string) {
	text = strings.TrimSuffix(bdat.ReplaceAllString(text, ""), "\r")
	if plain := strings.ReplaceAll(text, "\r\n", ""); strings.ContainsAny(plain, "\r\n") {
		t.Errorf("bare CR or LF in %q", text)
	}
}
