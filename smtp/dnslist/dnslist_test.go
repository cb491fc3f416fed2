package dnslist

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// world is a DNS: answers by name, separated by blanks. "servfail" fails at once, "dead" answers never, and "late" after more
// than ten seconds that nobody is listed. "*.zone" is for all else in it.
type world struct {
	mu    sync.Mutex
	names map[string]string
	asked []string
}

func (w *world) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	w.mu.Lock()
	w.asked = append(w.asked, host)
	answer, ok := w.names[host]
	for rest := host; !ok && strings.Contains(rest, "."); {
		_, rest, _ = strings.Cut(rest, ".")
		answer, ok = w.names["*."+rest]
	}
	w.mu.Unlock()
	switch answer {
	case "":
		return nil, &net.DNSError{Name: host, Err: "no such host", IsNotFound: true}
	case "servfail":
		return nil, &net.DNSError{Name: host, Err: "server misbehaving", IsTemporary: true}
	case "dead", "late":
		var after <-chan time.Time
		if answer == "late" {
			after = time.After(testWait + time.Second)
		}
		select {
		case <-after:
			return nil, &net.DNSError{Name: host, Err: "no such host", IsNotFound: true}
		case <-ctx.Done():
			return nil, &net.DNSError{Name: host, Err: "time-out", IsTimeout: true}
		}
	}
	var all []netip.Addr
	for _, a := range strings.Fields(answer) {
		all = append(all, netip.MustParseAddr(a))
	}
	return all, nil
}

func (w *world) set(records ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 0; i < len(records); i += 2 {
		w.names[records[i]] = records[i+1]
	}
}

// queries is how many there were since it was asked last.
func (w *world) queries() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.asked)
	w.asked = nil
	return n
}

// newWorld has a list in health, of both families, that lists two hosts.
func newWorld() *world {
	return &world{names: map[string]string{
		"2.0.0.127.bl.test.": "127.0.0.2 127.0.0.4", "9.2.0.192.bl.test.": "127.0.0.4",
		reverse(mapped(2)) + ".bl.test.":                          "127.0.0.2",
		reverse(netip.MustParseAddr("2001:db8::9")) + ".bl.test.": "127.0.0.3",
		"test.dom.test.": "127.0.1.2", "bad.example.dom.test.": "127.0.1.4",
	}}
}

var (
	listed   = netip.MustParseAddr("192.0.2.9")
	unlisted = netip.MustParseAddr("192.0.2.8")
)

// TestReverse: the names of RFC 5782 §2.1 and §2.4.
func TestReverse(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.99":                "99.2.0.192",
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2",
		"::ffff:127.0.0.2":          "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
	} {
		if got := reverse(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}

// TestAsk: what a list says about hosts of both families and about domains, by one question each.
func TestAsk(t *testing.T) {
	w := newWorld()
	bl, dom := &List{Zone: "bl.test."}, &List{Zone: ".dom.test", Domains: true}
	for addr, want := range map[string]string{
		"192.0.2.9": "127.0.0.4", "::ffff:192.0.2.9": "127.0.0.4", "192.0.2.8": "", "127.0.0.2": "127.0.0.2 127.0.0.4", "2001:db8::9": "127.0.0.3", "2001:db8::9%eth0": "127.0.0.3", "2001:db8::8": "",
	} {
		w.queries()
		codes, err := bl.Address(t.Context(), w, netip.MustParseAddr(addr))
		if got := texts(codes); got != want || err != nil || w.queries() != 1 {
			t.Errorf("%s: %q, %v", addr, got, err)
		}
	}
	for domain, want := range map[string]string{"BAD.example.": "127.0.1.4", "good.example": "", "192.0.2.9": "", "[192.0.2.9]": "", "": "", "a..b": "", "localhost": "", strings.Repeat("a.", 125) + "b": ""} {
		codes, err := dom.Domain(t.Context(), w, domain)
		if got := texts(codes); got != want || err != nil {
			t.Errorf("%q: %q, %v", domain, got, err)
		}
	}
	for _, name := range w.asked {
		if strings.Contains(name, "192") || strings.Contains(name, "[") || strings.Contains(name, "localhost") {
			t.Errorf("asked for %s", name)
		}
	}
	if _, err := bl.Domain(t.Context(), w, "bad.example"); err == nil {
		t.Error("a list of addresses was asked for a domain")
	}
	if _, err := dom.Address(t.Context(), w, listed); err == nil {
		t.Error("a list of domains was asked for an address")
	}
	if _, err := bl.Address(t.Context(), w, netip.Addr{}); err == nil {
		t.Error("no address")
	}
}

func texts(codes []netip.Addr) string {
	var all []string
	for _, c := range codes {
		all = append(all, c.String())
	}
	return strings.Join(all, " ")
}

// TestNoListing: what is no answer is an error, which knows its cure and does not tell the zone.
func TestNoListing(t *testing.T) {
	w := newWorld()
	l := &List{Name: "bl.example", Zone: "s3cret.bl.test"}
	for answer, want := range map[string]Reason{
		"127.255.255.252": BadZone, "127.255.255.254": OpenResolver, "127.255.255.255": TooMany, "127.255.255.1": OtherRefusal, "127.0.0.2 127.255.255.254": OpenResolver,
		"1.2.3.4": NoCode, "127.0.0.2 10.0.0.1": NoCode, "2001:db8::1": NoCode, "servfail": NoAnswer,
	} {
		w.set("*.s3cret.bl.test.", answer)
		codes, err := l.Address(t.Context(), w, listed)
		var e *Error
		if !errors.As(err, &e) || e.Reason != want || len(codes) != 0 || e.Cure() == "" || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "bl.example") {
			t.Errorf("%s: %v, %v", answer, codes, err)
		}
	}
	w.set("*.s3cret.bl.test.", "dead")
	ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	var e *Error
	if _, err := l.Address(ctx, w, listed); !errors.As(err, &e) || e.Reason != NoAnswer || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}

// TestCodes: patterns, what they match, and what is none.
func TestCodes(t *testing.T) {
	for pattern, matches := range map[string]string{
		"127.0.0.2": "127.0.0.2", "127.0.0.4-7": "127.0.0.4 127.0.0.5 127.0.0.7", "127.0.*.1-3": "127.0.0.1 127.0.15.3 127.0.255.2", "127.*.*.*": "127.0.0.2 127.255.0.9",
	} {
		c, err := ParseCodes(pattern)
		if err != nil || c.String() != pattern {
			t.Errorf("%s: %s, %v", pattern, c, err)
		}
		for _, a := range []string{"127.0.0.2", "127.0.0.4", "127.0.0.5", "127.0.0.7", "127.0.0.1", "127.0.15.3", "127.0.255.2", "127.255.0.9", "127.0.0.8", "10.0.0.2", "::1"} {
			wanted := slices.Contains(strings.Fields(matches), a) || pattern == "127.*.*.*" && strings.HasPrefix(a, "127.") || pattern == "127.0.*.1-3" && slices.Contains([]string{"127.0.0.2"}, a)
			if got := c.Match(netip.MustParseAddr(a)); got != wanted {
				t.Errorf("%s matches %s: %t", pattern, a, got)
			}
		}
	}
	for _, bad := range []string{"", "127.0.0", "127.0.0.2.3", "127.0.0.256", "127.0.0.x", "127.0.0.7-4", "127.0.0.-", "128.0.0.2", "*.0.0.2", "127.255.255.254", "127.255.255.*", "127.0.0.+2"} {
		if c, err := ParseCodes(bad); err == nil {
			t.Errorf("%q is %s", bad, c)
		}
	}
}

// news is what a Group told.
type news struct {
	mu  sync.Mutex
	all []string
}

func (n *news) changed(l *List, err *Error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		n.all = append(n.all, l.String()+" back")
	} else {
		n.all = append(n.all, err.Error())
	}
}

func (n *news) told() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := strings.Join(n.all, "; ")
	n.all = nil
	return all
}

// TestHealth: a list that fails its test, in whatever way, lists nobody, is told of once with its cure, and is back in use by itself.
func TestHealth(t *testing.T) {
	for name, c := range map[string]struct {
		zone []string
		want Reason
	}{
		"open resolver": {[]string{"2.0.0.127.bl.test.", "127.255.255.254", "*.bl.test.", "127.255.255.254"}, OpenResolver},
		"typo":          {[]string{"2.0.0.127.bl.test.", "127.255.255.252", "*.bl.test.", "127.255.255.252"}, BadZone},
		"volume":        {[]string{"2.0.0.127.bl.test.", "127.255.255.255", "*.bl.test.", "127.255.255.255"}, TooMany},
		"parked":        {[]string{"2.0.0.127.bl.test.", "1.2.3.4", "*.bl.test.", "1.2.3.4"}, NoCode},
		"everything":    {[]string{"*.bl.test.", "127.0.0.2"}, ListsAll},
		"nothing":       {[]string{"2.0.0.127.bl.test.", "", reverse(mapped(2)) + ".bl.test.", ""}, ListsNone},
		"servfail":      {[]string{"2.0.0.127.bl.test.", "servfail", "*.bl.test.", "servfail"}, NoAnswer},
		"dead":          {[]string{"2.0.0.127.bl.test.", "dead", "*.bl.test.", "dead"}, NoAnswer},
		"ten seconds":   {[]string{"2.0.0.127.bl.test.", "late", "*.bl.test.", "late"}, NoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, n := newWorld(), new(news)
				g := NewGroup(n.changed, &List{Zone: "bl.test"})
				if f := g.Check(t.Context(), w, listed); len(f) != 1 || !f[0].Listed() {
					t.Fatalf("in health: %+v", f)
				}
				w.set(c.zone...)
				for range 40 { // it is asked for what it should know: three errors have it tested at once
					began := time.Now()
					for _, f := range g.Check(t.Context(), w, unlisted) {
						if f.Listed() && name != "everything" {
							t.Errorf("%+v", f)
						}
					}
					if took := time.Since(began); took > Wait {
						t.Errorf("took %s", took)
					}
					time.Sleep(2 * time.Minute)
					g.Tend(t.Context(), w)
				}
				w.queries()
				if f := g.Check(t.Context(), w, listed); len(f) != 0 || w.queries() != 0 {
					t.Errorf("out of use, and asked: %+v", f)
				}
				if p := g.Problems(); len(p) != 1 || p[0].Reason != c.want {
					t.Errorf("problems: %v", p)
				}
				if told := n.told(); strings.Contains(told, ";") || told != g.Problems()[0].Error() {
					t.Errorf("told %q", told)
				}
				fresh := newWorld()
				w.mu.Lock()
				w.names = fresh.names
				w.mu.Unlock()
				time.Sleep(RetryEvery)
				g.Tend(t.Context(), w)
				if f := g.Check(t.Context(), w, listed); len(f) != 1 || !f[0].Listed() || len(g.Problems()) != 0 || n.told() != "bl.test back" {
					t.Errorf("back: %+v, %v", f, g.Problems())
				}
			})
		})
	}
}

// TestFamilies: a list that knows one family only is asked for no other, and that is no fault.
func TestFamilies(t *testing.T) {
	w := newWorld()
	w.set(reverse(mapped(2))+".bl.test.", "")
	g := NewGroup(nil, &List{Zone: "bl.test"})
	if f := g.Check(t.Context(), w, listed); len(f) != 1 || len(g.Problems()) != 0 {
		t.Errorf("%+v, %v", f, g.Problems())
	}
	if f := g.Check(t.Context(), w, netip.MustParseAddr("2001:db8::9")); len(f) != 0 {
		t.Errorf("%+v", f)
	}
	w = newWorld()
	w.set("2.0.0.127.bl.test.", "")
	g = NewGroup(nil, &List{Zone: "bl.test"})
	if f := g.Check(t.Context(), w, netip.MustParseAddr("2001:db8::9")); len(f) != 1 || !f[0].Listed() || len(g.Problems()) != 0 {
		t.Errorf("%+v, %v", f, g.Problems())
	}
}

// TestAllDead: however many lists are dead, a message waits for two seconds, and soon for nothing.
func TestAllDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var lists []*List
		for _, zone := range []string{"a.test", "b.test", "c.test", "d.test", "e.test"} {
			lists = append(lists, &List{Zone: zone})
			w.set("*."+zone+".", "dead")
		}
		g := NewGroup(nil, append(lists, &List{Zone: "bl.test"}, &List{Zone: "dom.test", Domains: true})...)
		began := time.Now()
		f := g.Check(t.Context(), w, listed, "bad.example", "good.example")
		if took := time.Since(began); took != Wait {
			t.Errorf("took %s", took)
		}
		if len(f) != 3 || !f[0].Listed() || !f[1].Listed() || f[2].Listed() { // those that are well have answered meanwhile
			t.Errorf("%+v", f)
		}
		time.Sleep(testWait)
		began = time.Now()
		g.Check(t.Context(), w, listed)
		if took := time.Since(began); took != 0 || len(g.Problems()) != 5 {
			t.Errorf("took %s, %v", took, g.Problems())
		}
	})
}

// TestOneQuestion: a list of many codes is asked once for all of them.
func TestOneQuestion(t *testing.T) {
	w := newWorld()
	g := NewGroup(nil, &List{Zone: "bl.test"})
	g.Tend(t.Context(), w)
	w.queries()
	g.Check(t.Context(), w, listed)
	if n := w.queries(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// TestGoneIsNoError: that those who asked have gone says nothing about a list.
func TestGoneIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		g := NewGroup(nil, &List{Zone: "bl.test"})
		g.Tend(t.Context(), w)
		w.set("8.2.0.192.bl.test.", "dead")
		w.queries()
		for range 3 * ManyErrors {
			ctx, stop := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, stop)
			g.Check(ctx, w, unlisted)
		}
		synctest.Wait()
		if n := w.queries(); n != 3*ManyErrors {
			t.Errorf("%d questions: it was tested", n)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	w := newWorld()
	g := NewGroup(nil, &List{Zone: "bl.test"})
	g.Tend(b.Context(), w)
	b.ReportAllocs()
	for b.Loop() {
		w.queries()
		g.Check(b.Context(), w, unlisted)
	}
}
