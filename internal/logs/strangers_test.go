package logs

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// aboutClient is about a client, or about nobody.
type aboutClient struct{ from net.Addr }

func (f aboutClient) Stranger() net.Addr { return f.from }

func (f aboutClient) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("known", f.from == nil), slog.String("remote", "192.0.2.1:2"))
}

// TestStrangersCannotFillTheLog: of many lines about one stranger some are
// written, then how many were not; others, users and accepted mail are told of
// as ever.
func TestStrangersCannotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b mailtest.Log
		log := slog.New(quietLog{slog.NewTextHandler(&b, nil), new(strangers)})
		bad, good := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 1}
		count := func(what string) int { return strings.Count(b.String(), what) }
		for range 1000 {
			log.With("session", "x").Warn("login failed", "remote", bad, "user", "alice")
			log.Info("whatever the words", "", aboutClient{bad})
			log.Info("message accepted", "", aboutClient{bad})
			log.Info("smtp session", "", aboutClient{nil})
			log.Error("trouble", "remote", bad)
		}
		log.Warn("login failed", "remote", good)
		if n := count("login failed") + count("known=false"); n != linesPerBlock+1 {
			t.Errorf("%d lines about strangers, want %d", n, linesPerBlock+1)
		}
		for _, what := range []string{"known=true", "trouble"} {
			if n := count(what); n != 1000 {
				t.Errorf("%d lines with %q, want 1000", n, what)
			}
		}
		time.Sleep(linesInterval)
		synctest.Wait()
		if want := fmt.Sprintf("lines=%d addresses=1 most_from=192.0.2.1/32", 3000-linesPerBlock); count(want) != 1 {
			t.Errorf("the log does not tell how many were left out: %q", b.String())
		}
		log.Warn("login failed", "remote", bad, "again", true)
		if count("again=true") != 1 {
			t.Error("a minute later there is no line again")
		}
	})
}

// TestManyStrangersCannotFillTheLog: a botnet that uses each address once.
func TestManyStrangersCannotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b mailtest.Log
		s := new(strangers)
		log := slog.New(quietLog{slog.NewTextHandler(&b, nil), s})
		for i := range 100_000 {
			log.Warn("login failed", "remote", &net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), Port: 1})
		}
		if n := strings.Count(b.String(), "login failed"); n != linesOfAll {
			t.Errorf("%d lines, want %d", n, linesOfAll)
		}
		s.mu.Lock()
		held := max(len(s.blocks), len(s.out))
		s.mu.Unlock()
		if held > lineBlocks+1 {
			t.Errorf("%d addresses are held, want at most %d", held, lineBlocks+1)
		}
		time.Sleep(2 * linesInterval)
	})
}

// TestTame: in both formats a value is one printable text of bounded length.
func TestTame(t *testing.T) {
	for _, c := range []struct{ said, want string }{
		{"plain", "plain"},
		{"Grüße 你好", "Grüße 你好"},
		{"\u009b31m", `\u009b31m`},
		{"\u202egnp", `\u202egnp`},
		{"\xff\xfe", `\xff\xfe`},
		{"\ufffd", "\ufffd"},
		{"\x7f", `\u007f`},
		{strings.Repeat("n", 600), strings.Repeat("n", 512) + "... (600 octets)"},
	} {
		if got := tame(nil, slog.String("user", c.said)).Value.String(); got != c.want {
			t.Errorf("%q is written as %q, want %q", c.said, got, c.want)
		}
	}
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25}
	if v := tame(nil, slog.Any("remote", addr)).Value; v.Kind() != slog.KindString || v.String() != "192.0.2.1:25" {
		t.Errorf("an address is written as %v", v)
	}
}
