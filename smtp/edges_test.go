package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/textual"
	"github.com/postrider-mail/postrider/smtp"
)

// edges are the sizes of the buffers between client and handler: the reader's
// and the writer's, and those of chunks.
var edges = []int{512, 4 << 10, 32 << 10, 64 << 10, 64<<10 + len("BDAT 65536 LAST\r\n")}

func anEdge(r *rand.Rand) int { return edges[r.IntN(len(edges))] }

// taker is a server that gives what it receives to got.
func taker(t *testing.T, lmtp bool, newlines textual.Mode, read func(io.Reader) (string, error)) (addr string, got chan string) {
	t.Helper()
	got = make(chan string, 16)
	srv := &smtp.Server{
		Hostname: "mx.example.com", LMTP: lmtp, Tolerate: forgiving(newlines), Log: slog.New(slog.DiscardHandler),
		Extensions: smtp.Extensions{BinaryMIME: true},
		CheckRcpt:  func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			text, err := read(e.Data)
			if err == nil {
				got <- text
			}
			return err
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(cut{l})
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String(), got
}

func forgiving(newlines textual.Mode) func(*smtp.Session) smtp.Tolerance {
	return func(*smtp.Session) smtp.Tolerance {
		if newlines == textual.Normalise {
			return smtp.TolerateBareNewlines
		}
		return 0
	}
}

// cut is a listener whose connections are read in pieces.
type cut struct{ net.Listener }

// Accept implements net.Listener.
func (l cut) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(rand.Uint64(), 0))
	return mailtest.Conn(r, c, anEdge(r)), nil
}

// TestTransportEdges: a message given to the client is what the handler reads,
// with DATA and with BDAT, by SMTP and by LMTP, wherever the buffers end and in
// whatever pieces it is read and arrives; with BINARYMIME, any octets are.
func TestTransportEdges(t *testing.T) {
	for _, c := range []struct {
		name                       string
		lmtp, noChunking, anything bool
	}{
		{"DATA", false, true, false}, {"BDAT", false, false, false},
		{"LMTP DATA", true, true, false}, {"LMTP BDAT", true, false, false}, {"BINARYMIME", false, false, true},
	} {
		t.Run(c.name, func(t *testing.T) { transport(t, c.lmtp, c.noChunking, c.anything) })
	}
}

func transport(t *testing.T, lmtp, noChunking, anything bool) {
	chance := make(chan *rand.Rand, 1)
	addr, got := taker(t, lmtp, textual.Reject, func(data io.Reader) (string, error) {
		r := <-chance
		b, err := io.ReadAll(mailtest.Pieces(r, data, anEdge(r)))
		return string(b), err
	})
	to := smtp.Recipient{Path: mtaPath(t, "b@example.com")}
	for r, mail := range (mailtest.Messages{Edges: edges, Wild: anything, For: time.Second / 3}).Each(t) {
		d := smtp.Dialer{Hello: "client.example.com", LMTP: lmtp, NoChunking: noChunking, TLS: smtp.TLSNever}
		d.DialContext = func(_ context.Context, network, addr string) (net.Conn, error) {
			c, err := net.Dial(network, addr)
			if err != nil {
				return nil, err
			}
			return mailtest.Conn(r, c, anEdge(r)), nil
		}
		c, err := d.Dial(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		m := &smtp.Outgoing{From: mtaPath(t, "a@example.com"), To: []smtp.Recipient{to}}
		if anything {
			m.Params.Body = "BINARYMIME"
		}
		for range 2 { // one behind the other
			chance <- rand.New(rand.NewPCG(r.Uint64(), 0))
			res, err := c.Send(t.Context(), m, mailtest.Pieces(r, strings.NewReader(mail), anEdge(r)))
			if err != nil || res[0].Err != nil {
				t.Fatal(err, res)
			}
			if d := mailtest.Differ(<-got, mail); d != "" {
				t.Fatal(d)
			}
		}
		c.Close()
	}
}

// TestServerEdges: messages that a client sends all in one go, by DATA and in
// chunks of any size, arrive octet for octet wherever they are cut on the way,
// and each command behind them is obeyed; with CRLF for other line ends, where
// that is wanted.
func TestServerEdges(t *testing.T) {
	for _, newlines := range []textual.Mode{textual.Reject, textual.Normalise} {
		t.Run(fmt.Sprint(newlines), func(t *testing.T) { pipelined(t, newlines) })
	}
}

var oddLineEnds = regexp.MustCompile(`\r*\n|\r`)

func pipelined(t *testing.T, newlines textual.Mode) {
	chance := make(chan *rand.Rand, 16)
	addr, got := taker(t, false, newlines, func(data io.Reader) (string, error) {
		r := <-chance
		b, err := io.ReadAll(mailtest.Pieces(r, data, anEdge(r)))
		return string(b), err
	})
	for r, mail := range (mailtest.Messages{Edges: edges, Wild: newlines == textual.Normalise}).Each(t) {
		mail = strings.ReplaceAll(mail, "\x00", "0") // that is for BINARYMIME
		if !strings.HasSuffix(mail, "\r\n") {
			mail += "\r\n" // DATA cannot do without
		}
		want := oddLineEnds.ReplaceAllString(mail, "\r\n")
		var script bytes.Buffer
		script.WriteString("EHLO client.example.com\r\n")
		const mails = 3
		for range mails {
			chance <- rand.New(rand.NewPCG(r.Uint64(), 0))
			script.WriteString("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n")
			if r.IntN(2) == 0 {
				script.WriteString("DATA\r\n" + strings.ReplaceAll("\r\n"+mail, "\r\n.", "\r\n..")[2:] + ".\r\n")
				continue
			}
			size := mailtest.Sizes(r, anEdge(r))
			for at, n := 0, 0; ; at += n {
				if n = min(len(mail)-at, size(at)); at+n == len(mail) {
					fmt.Fprintf(&script, "BDAT %d LAST\r\n%s", n, mail[at:])
					break
				}
				fmt.Fprintf(&script, "BDAT %d\r\n%s", n, mail[at:at+n])
			}
		}
		script.WriteString("QUIT\r\n")
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() { _, err := c.Write(script.Bytes()); sent <- err }()
		replies, err := io.ReadAll(c)
		if err := errors.Join(err, <-sent); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if len(got) != mails || !strings.Contains(string(replies), "\r\n221 ") {
			t.Fatalf("%d of %d messages arrived: %.2000s", len(got), mails, replies)
		}
		for range mails {
			if d := mailtest.Differ(<-got, want); d != "" {
				t.Fatal(d)
			}
		}
	}
}
