package pop3_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/iotest"

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

// TestClientEdges: what a server has is what the client's Text gives, wherever
// the buffers end and in whatever pieces it arrives, one message behind the
// other and all in one go, read to the end or not.
func TestClientEdges(t *testing.T) {
	mem := newMemory()
	addr := listen(t, &pop3.Server{Backend: mem, Credentials: newBook(), CleartextAuth: true, Log: slog.New(slog.DiscardHandler)})
	edges := []int{512, 32 << 10}
	for r, mail := range (mailtest.Messages{Edges: edges, Wild: true}).Each(t) {
		mem.mu.Lock()
		mem.boxes["alice"] = []message{{"1", mail}, {"2", mailDots}, {"3", mail}}
		mem.mu.Unlock()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		d := pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "alice", Password: "open  sesame "}
		client, err := d.Start(t.Context(), mailtest.Conn(r, conn, edges[r.IntN(2)]), "x")
		if err != nil {
			t.Fatal(err)
		}
		take := func(number int, text *pop3.Text, err error) error {
			if err != nil || r.IntN(4) == 0 {
				return errors.Join(err, text.Close())
			}
			var got strings.Builder
			if r.IntN(2) == 0 {
				_, err = text.WriteTo(&got)
			} else {
				_, err = io.Copy(&got, mailtest.Pieces(r, text, edges[r.IntN(2)]))
			}
			want := []string{mail, mailDots, mail}[number-1]
			if !strings.HasSuffix(want, "\r\n") {
				want += "\r\n"
			}
			if d := mailtest.Differ(got.String(), want); d != "" {
				t.Fatalf("message %d: %v; %s", number, err, d)
			}
			return err
		}
		text, err := client.Retr(t.Context(), 1)
		if err := take(1, text, err); err != nil {
			t.Fatal(err)
		}
		if err := client.RetrAll(t.Context(), []int{3, 2, 1, 2, 3}, take); err != nil {
			t.Fatal(err)
		}
		if err := client.Quit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTopAnyPieces: where TOP finds the end of the header does not depend on the
// pieces the message comes in.
func TestTopAnyPieces(t *testing.T) {
	for _, mail := range []string{
		"A: b\r\n\r\r\nC: d\r\n\r\nbody\r\nmore\r\n", "A: b\n\nbody\nmore\n", "A: b\r\n\rx\r\n\r\nbody\r\n", "\r\r\n\r\nbody\r\n", "A: b\n\r\nbody\r\n", "A: b\r\n\r",
	} {
		for _, pieces := range []func(io.Reader) io.Reader{nil, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			mem := newMemory()
			mem.deliver("alice", mail)
			mem.pieces = pieces
			c := &tape{scripted: scripted{r: strings.NewReader("USER alice\r\nPASS open  sesame \r\nTOP 1 0\r\nTOP 1 1\r\nQUIT\r\n")}}
			srv := &pop3.Server{Backend: mem, Credentials: newBook(), CleartextAuth: true, Log: slog.New(slog.DiscardHandler)}
			srv.ServeConn(c)
			want := "messages\r\n+OK\r\n" + stuffed(topOf(mail, 0)) + "+OK\r\n" + stuffed(topOf(mail, 1)) + "+OK bye\r\n"
			if _, got, _ := strings.Cut(c.out.String(), "1 "); got != want {
				t.Errorf("%q: %q, want %q", mail, got, want)
			}
		}
	}
}
