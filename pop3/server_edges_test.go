package pop3_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/pop3"
)

// TestUIDEdges: an id of 1 to 70 visible octets is given out as it is, any other
// as its digest (RFC 1939 §7).
func TestUIDEdges(t *testing.T) {
	for _, id := range []string{
		"!", "~", strings.Repeat("x", 69), strings.Repeat("x", 70), strings.Repeat("x", 71), " ", "a b", "\x7f", "\x80", "a\r\n2 b", "\x00",
	} {
		want := id
		if len(id) > 70 || strings.Trim(id, "!~xab") != "" || strings.ContainsAny(id, " \r") {
			sum := sha256.Sum256([]byte(id))
			want = hex.EncodeToString(sum[:])
		}
		mem := newMemory()
		mem.deliver("alice", mailOne)
		mem.oddUID = id
		c := &tape{scripted: scripted{r: strings.NewReader("USER alice\r\nPASS open  sesame \r\nUIDL 1\r\nUIDL\r\n")}}
		srv := &pop3.Server{Backend: mem, Credentials: newBook(), CleartextAuth: true, Log: slog.New(slog.DiscardHandler)}
		srv.ServeConn(c)
		if got := c.out.String(); !strings.HasSuffix(got, "+OK 1 "+want+"\r\n+OK\r\n1 "+want+"\r\n.\r\n") {
			t.Errorf("%q: %q", id, got)
		}
	}
}

// TestRefusedIsRefused: a connection that is one too many hears so, and nothing of
// what it says is answered.
func TestRefusedIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &pop3.Server{Backend: newMemory(), Credentials: newBook(), CleartextAuth: true, Log: slog.New(slog.DiscardHandler)}
		srv.Limits.Conns = 1
		defer srv.Close()
		read := func(c io.Reader) string {
			b := make([]byte, 4)
			n, _ := io.ReadFull(c, b)
			return string(b[:n])
		}
		one, end := mailtest.Pipe("192.0.2.1:50000", "198.51.100.1:110")
		defer one.Close()
		go srv.ServeConn(end)
		if got := read(one); got != "+OK " {
			t.Fatal(got)
		}
		two, end := mailtest.Pipe("192.0.2.2:50000", "198.51.100.1:110")
		go srv.ServeConn(end)
		go io.WriteString(two, "NOOP\r\nCAPA\r\n")
		if rest, _ := io.ReadAll(two); !strings.HasPrefix(string(rest), "-ERR ") || strings.Count(string(rest), "\n") != 1 {
			t.Errorf("served all the same: %q", rest)
		}
	})
}
