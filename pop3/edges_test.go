package pop3_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/pop3"
)

// edges are the sizes the output goes by: its buffer, what it does not copy, and
// the room it wants free for reading.
var edges = []int{32 << 10, 16 << 10, 28 << 10}

// TestEdges: wherever the buffers end, and in whatever pieces the store gives a
// message, RETR and TOP send its octets in their order, with a dot doubled at
// the beginning of a line, also when they are asked for in one go.
func TestEdges(t *testing.T) {
	for r, mail := range (mailtest.Messages{Edges: edges, Wild: true}).Each(t) {
		mem := newMemory()
		mem.deliver("alice", mail, mailDots)
		mem.pieces = func(src io.Reader) io.Reader { return mailtest.Pieces(r, src, edges[r.IntN(3)]) }
		script, want := "USER alice\r\nPASS open  sesame \r\n", "+OK POP3 ready\r\n+OK send PASS\r\n+OK 2 messages\r\n"
		for range 4 {
			switch lines := r.IntN(600); r.IntN(4) {
			case 0:
				script += "RETR 1\r\n"
				want += fmt.Sprintf("+OK %d octets\r\n", len(mail)) + stuffed(mail)
			case 1:
				script += "RETR 2\r\n"
				want += fmt.Sprintf("+OK %d octets\r\n", len(mailDots)) + stuffed(mailDots)
			case 2:
				script += fmt.Sprintf("TOP 1 %d\r\n", lines)
				want += "+OK\r\n" + stuffed(topOf(mail, lines))
			case 3:
				script += "NOOP\r\n"
				want += "+OK\r\n"
			}
		}
		c := &tape{scripted: scripted{r: strings.NewReader(script)}}
		srv := &pop3.Server{
			Backend: mem, Credentials: newBook(), CleartextAuth: true,
			Limits: pop3.Limits{FailureDelay: -1}, Log: slog.New(slog.DiscardHandler),
		}
		srv.ServeConn(c)
		if d := mailtest.Differ(c.out.String(), want); d != "" {
			t.Fatalf("%q: %s", script, d)
		}
	}
}
