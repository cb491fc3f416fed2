package resolver

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestNoNames: what the DNS cannot have is asked of nobody; the root is a name, and the longest ones are.
func TestNoNames(t *testing.T) {
	label := strings.Repeat("x", 63)
	longest := label + "." + label + "." + label + "." + label[:61]
	for name, want := range map[string]bool{
		"": false, "a..b": false, ".a": false, label + "x.test": false, longest + "x": false, strings.Repeat("a.", 200): false,
		".": true, "a": true, "a.": true, label + ".test": true, longest: true, longest + ".": true, "a b.test": true, `"x".test`: true, "ä.test": true,
	} {
		var asked atomic.Int64
		r := within(func(q *dns.Msg, _, _ string) *dns.Msg {
			asked.Add(1)
			return new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		})
		_, err := r.SOA(t.Context(), name)
		if err == nil || (asked.Load() > 0) != want {
			t.Errorf("%q: asked %d times, %v", name, asked.Load(), err)
		}
	}
}

// TestNoKinds: what is no kind of record, but a way to ask, is not asked for.
func TestNoKinds(t *testing.T) {
	zone := mailtest.NewZone(t, `a.test. 60 IN CAA 0 issue "ca.test"`)
	r := within(asked(zone))
	for _, kind := range []string{"ANY", "any", "OPT", "AXFR", "IXFR", "", "NOTHING"} {
		if _, err := r.Records(t.Context(), "a.test", kind); err == nil || r.Stats().Queries != 0 {
			t.Errorf("%q: %v, %d queries", kind, err, r.Stats().Queries)
		}
	}
	if a, err := r.Records(t.Context(), "a.test", "caa"); err != nil || !slices.Equal(a.Records, []string{`0 issue "ca.test"`}) {
		t.Errorf("%q, %v", a.Records, err)
	}
}

// TestServersAreCopied: the list of servers stays the caller's, in whose words it is.
func TestServersAreCopied(t *testing.T) {
	servers := []string{"192.0.2.1", "[2001:db8::1]", "192.0.2.1:5353"}
	r := New(Config{Servers: servers})
	if got := strings.Join(servers, " "); got != "192.0.2.1 [2001:db8::1] 192.0.2.1:5353" {
		t.Errorf("changed to %s", got)
	}
	if got := strings.Join(r.upstream.Load().Servers, " "); got != "192.0.2.1:53 [2001:db8::1]:53 192.0.2.1:5353" {
		t.Errorf("asks %s", got)
	}
}

// closing notes when a connection is closed.
type closing struct {
	net.Conn
	at *atomic.Int64
}

func (c closing) Close() error {
	c.at.Store(time.Now().UnixNano())
	return c.Conn.Close()
}

// TestNobodyWaits: a question that nobody waits for any more holds no connection to a server that is silent.
func TestNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int64
		dial := wire(func(*dns.Msg, string, string) *dns.Msg { return nil })
		r := New(Config{Servers: []string{"a"}, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return closing{conn, &closed}, err
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := r.LookupTXT(ctx, "a.test"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if at := closed.Load(); at != start.Add(time.Second).UnixNano() {
			t.Errorf("closed after %v", time.Duration(at-start.UnixNano()))
		}
	})
}
