package daemon

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestStorm measures what a storm of guesses does to users: POSTRIDER_STORM is
// how many connections guess at a time, such as 600.
func TestStorm(t *testing.T) {
	var guessers int
	if _, err := fmt.Sscan(os.Getenv("POSTRIDER_STORM"), &guessers); err != nil {
		if testing.Short() || os.Getenv("POSTRIDER_STORM") == "" {
			guessers = 4
		} else {
			t.Fatal(err)
		}
	}
	w := startWith(t, strings.Replace(testConf, `"POP3": {"login_delay": "0s"}`, `"POP3": {"cleartext_auth": true}`, 1),
		`"Auth": {"cache_time": "0s"},`)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var guesses, refused atomic.Int64
	for range guessers {
		go func() {
			for ctx.Err() == nil {
				storming(ctx, w.Addrs()["127.0.0.9:0"].String(), &guesses, &refused)
			}
		}()
	}
	time.Sleep(time.Duration(guessers) * 10 * time.Millisecond) // until they queue
	for i, user := range []string{"alice", "bob", "alice", "bob", "alice"} {
		begin := time.Now()
		from := fmt.Sprintf("127.200.0.%d", i+1)
		for n := range 2 {
			if got := passOnce(ctx, w.Addrs()["127.0.0.9:0"].String(), from, user+"@mail.test", testPassword); !strings.HasPrefix(got, "+OK") {
				t.Errorf("login: %s", got)
			}
			t.Logf("%d guessers: login %d from an address not seen before: %v", guessers, n+1, time.Since(begin).Round(time.Millisecond))
			begin = time.Now()
		}
	}
	t.Logf("%d guesses checked, %d refused unseen", guesses.Load(), refused.Load())
}

// storming is one connection of a guesser, from somewhere in 127.0.0.0/9.
func storming(ctx context.Context, addr string, guesses, refused *atomic.Int64) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(1+rand.IntN(100)), byte(rand.IntN(256)), byte(1+rand.IntN(250)))}}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	r := bufio.NewReader(c)
	r.ReadString('\n')
	for {
		fmt.Fprintf(c, "USER u%d@mail.test\r\nPASS guess\r\n", rand.Int())
		r.ReadString('\n')
		line, err := r.ReadString('\n')
		switch {
		case strings.HasPrefix(line, "-ERR [AUTH]"):
			guesses.Add(1)
		case err == nil:
			refused.Add(1)
		default:
			return
		}
	}
}

// passOnce logs in from an address and says what the answer was.
func passOnce(ctx context.Context, addr, from, user, password string) string {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	r := bufio.NewReader(c)
	r.ReadString('\n')
	fmt.Fprintf(c, "USER %s\r\nPASS %s\r\n", user, password)
	r.ReadString('\n')
	line, err := r.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	fmt.Fprintf(c, "QUIT\r\n")
	r.ReadString('\n')
	return line
}
