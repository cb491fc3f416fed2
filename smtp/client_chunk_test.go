package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// chunkServer takes one message by BDAT. It answers chunk number refuse (from
// 0) with 552 and hangs up when it has answered chunk number hangUp.
type chunkServer struct {
	extensions     []string
	refuse, hangUp int

	mu       sync.Mutex
	commands []string
	body     bytes.Buffer
}

func (s *chunkServer) serve(conn net.Conn) {
	defer conn.Close()
	r, w := textual.NewReader(conn), textual.NewWriter(conn)
	w.WriteReply(220, "", "hi")
	for chunk := 0; ; {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadLine(1000)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.commands = append(s.commands, string(line))
		s.mu.Unlock()
		verb, args := textual.Command(line)
		switch string(verb) {
		case "EHLO":
			w.WriteReply(250, "", "hi\n"+strings.Join(s.extensions, "\n"))
		case "BDAT":
			size, last, _ := strings.Cut(string(args), " ")
			n, err := strconv.ParseInt(size, 10, 64)
			if err != nil || last != "" && last != "LAST" {
				w.WriteReply(501, "", "what?")
				continue
			}
			if _, err := io.CopyN(&s.body, r, n); err != nil {
				return
			}
			switch {
			case s.refuse >= 0 && chunk == s.refuse:
				w.WriteReply(552, "5.3.4", "too big")
			case s.refuse >= 0 && chunk > s.refuse:
				w.WriteReply(503, "5.5.1", "no message")
			default:
				w.WriteReply(250, "2.0.0", fmt.Sprintf("chunk %d", chunk))
			}
			if chunk == s.hangUp {
				w.Flush()
				return
			}
			chunk++
		default:
			w.WriteReply(250, "", "ok")
		}
	}
}

func TestChunks(t *testing.T) {
	line := strings.Repeat("x", 70) + "\r\n"
	for _, tt := range []struct {
		name           string
		size           int
		pipelining     bool
		binary         bool
		refuse, hangUp int
		chunks         int // BDAT commands expected; -1 for any number
		want           string
		usable         bool
	}{
		{"empty", 0, true, false, -1, -1, 1, "ok", true},
		{"one octet less than a chunk", sendChunk - 1, true, false, -1, -1, 1, "ok", true},
		{"one chunk", sendChunk, true, false, -1, -1, 1, "ok", true},
		{"one octet more", sendChunk + 1, true, false, -1, -1, 2, "ok", true},
		{"many", 100 * sendChunk, true, false, -1, -1, 100, "ok", true},
		{"many, not pipelined", 10*sendChunk + 1, false, false, -1, -1, 11, "ok", true},
		{"binary", 3*sendChunk + 1, true, true, -1, -1, 4, "ok", true},
		{"binary, exactly", 3 * sendChunk, true, true, -1, -1, 4, "ok", true},
		{"refused at once", 100 * sendChunk, true, false, 0, -1, -1, "BDAT 552 5.3.4 too big", true},
		{"refused, not pipelined", 3 * sendChunk, false, false, 0, -1, 1, "BDAT 552 5.3.4 too big", true},
		{"last refused", 3 * sendChunk, true, false, 2, -1, 3, "message 552 5.3.4 too big", true},
		{"only one, refused", 10, true, false, 0, -1, 1, "message 552 5.3.4 too big", true},
		{"hangs up", 300 * sendChunk, true, false, -1, 5, -1, "BDAT", false},
		{"hangs up with a word", 300 * sendChunk, true, false, 5, 5, -1, "BDAT 552 5.3.4 too big", false},
		{"hangs up, not pipelined", 10 * sendChunk, false, false, -1, 5, -1, "BDAT", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &chunkServer{extensions: []string{"CHUNKING", "BINARYMIME"}, refuse: tt.refuse, hangUp: tt.hangUp}
				if tt.pipelining {
					s.extensions = append(s.extensions, "PIPELINING")
				}
				ours, theirs := mailtest.Pipe("192.0.2.1:1025", "192.0.2.2:25")
				go s.serve(theirs)
				c := started(t, Dialer{}, ours)
				body := strings.Repeat(line, tt.size/len(line)+1)[:tt.size]
				if tt.size > 0 && !tt.binary && body[tt.size-1] == '\r' {
					body = body[:tt.size-1] + "x"
				}
				m := mail("a@b", "r@d")
				if tt.binary {
					m.Params.Body = "BINARYMIME"
				}
				results, err := c.Send(context.Background(), m, strings.NewReader(body))
				got := outcome(results)
				if tt.want == "BDAT" {
					var e *ClientError
					if !errors.As(err, &e) || e.Op != "BDAT" || results[0].InDoubt {
						t.Errorf("%v", err)
					}
				} else if got != tt.want || err != nil && tt.usable {
					t.Errorf("%s, %v; want %s", got, err, tt.want)
				}
				if c.Usable() != tt.usable {
					// With so much under way, a refusal may come after the last
					// chunk, and before or after the end of the connection.
					if !strings.HasPrefix(tt.name, "refused at once") && tt.name != "hangs up with a word" {
						t.Errorf("usable: %v", c.Usable())
					}
				}
				c.Close()
				synctest.Wait()
				s.mu.Lock()
				defer s.mu.Unlock()
				var bdat []string
				for _, cmd := range s.commands {
					if strings.HasPrefix(cmd, "BDAT") {
						bdat = append(bdat, cmd)
					}
				}
				if tt.chunks >= 0 && len(bdat) != tt.chunks {
					t.Errorf("chunks: %q", bdat)
				}
				if tt.want == "ok" && (s.body.String() != body || !strings.HasSuffix(bdat[len(bdat)-1], " LAST")) {
					t.Errorf("the message differs: %d octets of %d, %q", s.body.Len(), len(body), bdat)
				}
			})
		})
	}
}

// A failing body leaves a connection that can carry the next message.
func TestChunksBodyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &chunkServer{extensions: []string{"CHUNKING", "PIPELINING"}, refuse: -1, hangUp: -1}
		ours, theirs := mailtest.Pipe("192.0.2.1:1025", "192.0.2.2:25")
		go s.serve(theirs)
		c := started(t, Dialer{}, ours)
		broken := errors.New("disk error")
		body := io.MultiReader(strings.NewReader(strings.Repeat("x\r\n", sendChunk)), iotest.ErrReader(broken))
		results, err := c.Send(context.Background(), mail("a@b", "r@d"), body)
		if !errors.Is(err, broken) || results[0].InDoubt || results[0].Err == nil || !c.Usable() {
			t.Errorf("%v, %s", err, outcome(results))
		}
		results, err = c.Send(context.Background(), mail("a@b", "r@d"), strings.NewReader("x\r\n"))
		if err != nil || outcome(results) != "ok" {
			t.Errorf("%v, %s", err, outcome(results))
		}
		c.Close()
		synctest.Wait()
		if all := strings.Join(s.commands, "\n"); strings.Count(all, "LAST") != 1 || !strings.Contains(all, "RSET\nMAIL") {
			t.Errorf("commands:\n%s", all)
		}
	})
}
