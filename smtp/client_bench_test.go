package smtp

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/textual"
)

// floor takes messages and does nothing with them: DATA is read until a piece
// ends with the end, BDAT by its count.
func floor(conn net.Conn, extensions string) {
	defer conn.Close()
	r, w := textual.NewReader(conn), textual.NewWriter(conn)
	buf := make([]byte, 64<<10)
	w.WriteLine("220 hi")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadLine(1000)
		if err != nil {
			return
		}
		verb, args := textual.Command(line)
		switch {
		case textual.Is(verb, "EHLO"):
			w.WriteString(extensions)
		case textual.Is(verb, "DATA"):
			w.WriteLine("354 go")
			w.Flush()
			for tail := []byte{}; !bytes.HasSuffix(tail, []byte("\r\n.\r\n")); {
				n, err := r.Read(buf)
				if err != nil {
					return
				}
				tail = append(tail[max(0, len(tail)-5):], buf[max(0, n-5):n]...)
			}
			w.WriteLine("250 ok")
		case textual.Is(verb, "BDAT"):
			size, _, _ := strings.Cut(string(args), " ")
			n, _ := strconv.ParseInt(size, 10, 64)
			if r.Discard(n) != nil {
				return
			}
			w.WriteLine("250 ok")
		default:
			w.WriteLine("250 ok")
		}
	}
}

// BenchmarkClient sends messages over one connection to a server that does
// nothing.
func BenchmarkClient(b *testing.B) {
	line := strings.Repeat("x", 70) + "\r\n"
	for _, size := range []int{1600, 16 << 20} {
		for _, ext := range []string{"", "250-PIPELINING\r\n", "250-PIPELINING\r\n250-CHUNKING\r\n"} {
			name := strings.NewReplacer("250-", "", "\r\n", " ").Replace(ext)
			b.Run(strconv.Itoa(size)+"/"+strings.TrimSpace("DATA "+name), func(b *testing.B) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				go func() {
					if conn, err := l.Accept(); err == nil {
						floor(conn, "250-hi\r\n"+ext+"250 8BITMIME\r\n")
					}
				}()
				ctx := context.Background()
				c, err := (&Dialer{Hello: "me.example"}).Dial(ctx, l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				m := mail("sender@example.com", "recipient@example.org")
				text := []byte(strings.Repeat(line, size/len(line)))
				body := bytes.NewReader(text)
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					body.Reset(text)
					if results, err := c.Send(ctx, m, body); err != nil || results[0].Err != nil {
						b.Fatal(err, outcome(results))
					}
				}
			})
		}
	}
}
