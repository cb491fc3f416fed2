package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestTTL: how long what is remembered, by the number of queries.
func TestTTL(t *testing.T) {
	zone := mailtest.NewZone(t, `a.example. 60 IN TXT "a"`, `zero.example. 0 IN TXT "0"`, `long.example. 2147483647 IN TXT "l"`, `wrong.example. 4294967295 IN TXT "w"`,
		`short.example. 10 IN CNAME a.example.`, "example. 3600 IN SOA ns.example. root.example. 1 1 1 1 300", "example.org. 100 IN SOA ns.example. root.example. 1 1 1 1 3000",
		"example.net. 2147483647 IN SOA ns.example. root.example. 1 1 1 1 2147483647", "a.example.org. 60 IN A 192.0.2.1")
	for _, tt := range []struct {
		name string
		ask  func(r *Resolver) // asks once
		keep time.Duration
	}{
		{"TTL", txt("a.example."), time.Minute},
		{"no TTL", txt("zero.example."), minTTL},
		{"too long a TTL", txt("long.example."), maxTTL},
		{"a TTL that is none", txt("wrong.example."), minTTL},
		{"the least of a chain", txt("short.example."), 10 * time.Second},
		{"no such name", txt("none.example."), 5 * time.Minute},
		{"no records, the SOA's own TTL", txt("a.example.org."), 100 * time.Second},
		{"no such name, too long", txt("none.example.net."), maxNegative},
		{"no such name, no SOA", txt("none.test."), minTTL},
		{"SERVFAIL", txt("servfail.example."), failureTTL},
		{"no such name is so for all kinds", func() func(r *Resolver) {
			n := 0
			return func(r *Resolver) {
				if n++; n%2 == 1 {
					r.MX(context.Background(), "none.example")
				} else {
					r.LookupNetIP(context.Background(), "ip6", "none.example.")
				}
			}
		}(), 5 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := within(asked(zone))
				tt.ask(r)
				first := r.Stats().Queries
				time.Sleep(tt.keep - time.Nanosecond)
				if tt.ask(r); r.Stats().Queries != first || r.Stats().Hits != 1 {
					t.Errorf("forgotten before %v", tt.keep)
				}
				time.Sleep(time.Nanosecond)
				if tt.ask(r); r.Stats().Queries != 2*first {
					t.Errorf("remembered after %v", tt.keep)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := within(asked(zone))
		r.TXT(t.Context(), "a.example")
		time.Sleep(20 * time.Second)
		if a, _ := r.TXT(t.Context(), "a.example"); a.TTL != 40*time.Second {
			t.Errorf("%v are left", a.TTL)
		}
	})
}

func txt(name string) func(*Resolver) {
	return func(r *Resolver) { r.LookupTXT(context.Background(), name) }
}

// TestJoined: of many who ask the same at one time, one asks a server; and who gives up
// takes nothing from the others.
func TestJoined(t *testing.T) {
	zone := mailtest.NewZone(t, `example.net. 60 IN TXT "x"`)
	synctest.Test(t, func(t *testing.T) {
		r := within(func(q *dns.Msg, _, _ string) *dns.Msg {
			time.Sleep(time.Second)
			return zone.Reply(q)
		})
		hasty, giveUp := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ctx := t.Context()
				if i%2 == 0 {
					ctx = hasty
				}
				texts, err := r.LookupTXT(ctx, "example.net.")
				if i%2 == 0 && !errors.Is(err, context.Canceled) || i%2 == 1 && (err != nil || !slices.Equal(texts, []string{"x"})) {
					t.Errorf("%d: %q, %v", i, texts, err)
				}
			})
		}
		time.Sleep(time.Second / 2)
		giveUp()
		wg.Wait()
		if s := r.Stats(); s.Queries != 1 || s.Joined != 99 || s.Lookups != 100 || s.Hits != 0 {
			t.Errorf("%+v", s)
		} else if s.Answered["TXT"] != (Answers{Found: 1}) || s.Answered["other"] != (Answers{}) || s.Took != time.Second || s.Spans[8] != 1 || Bounds[8] != time.Second {
			t.Errorf("what servers have answered: %+v", s)
		}

		// The last one who gives up ends the query, and it is as if nobody had asked.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := r.LookupTXT(ctx, "none.example."); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		if s := r.Stats(); s.Entries != 1 {
			t.Errorf("%+v", s)
		}
		if _, err := r.LookupTXT(t.Context(), "none.example."); outcome("", err) != "void" {
			t.Error(err)
		}
		if _, err := r.LookupTXT(ctx, "example.net."); err != nil {
			t.Errorf("what is known is not said to who is late: %v", err)
		}
	})
}

// TestQueriesUnderWay: strangers' questions do not take all of the process's sockets.
func TestQueriesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		r := within(func(q *dns.Msg, _, _ string) *dns.Msg {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		})
		var wg sync.WaitGroup
		for i := range 3 * maxQueries {
			wg.Go(func() { r.LookupTXT(t.Context(), fmt.Sprintf("n%d.example.", i)) })
		}
		wg.Wait()
		if most != maxQueries || r.Stats().Queries != 3*maxQueries {
			t.Errorf("%d at a time, %+v", most, r.Stats())
		}
	})
}

// TestHostile: what a zone may say to hurt.
func TestHostile(t *testing.T) {
	header := func(name string, qtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: qtype, Class: dns.ClassINET, Ttl: 60}
	}
	right := func() dns.RR { return &dns.TXT{Hdr: header("example.net.", dns.TypeTXT), Txt: []string{"x"}} }
	cname := func(name, target string) dns.RR { return &dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: target} }
	chain := func(n int, end string) (all []dns.RR) {
		for i := range n {
			from, to := fmt.Sprintf("c%d.example.", i), fmt.Sprintf("c%d.example.", i+1)
			if i == 0 {
				from = "example.net."
			}
			all = append(all, cname(from, to))
		}
		return append(all, &dns.TXT{Hdr: header(fmt.Sprintf("c%d.example.", n), dns.TypeTXT), Txt: []string{end}})
	}
	other := right()
	other.Header().Class = dns.ClassCHAOS
	for name, tt := range map[string]struct {
		answer []dns.RR
		want   string
	}{
		"another name's records": {[]dns.RR{&dns.TXT{Hdr: header("victim.example.", dns.TypeTXT), Txt: []string{"evil"}}, right()}, "[x]"},
		"only another name's":    {[]dns.RR{&dns.TXT{Hdr: header("victim.example.", dns.TypeTXT), Txt: []string{"evil"}}}, "void"},
		"another class":          {[]dns.RR{other}, "void"},
		"another type":           {[]dns.RR{&dns.A{Hdr: header("example.net.", dns.TypeA), A: []byte{192, 0, 2, 1}}}, "void"},
		"an alias of itself":     {[]dns.RR{cname("example.net.", "example.net.")}, "temporary"},
		"a circle":               {[]dns.RR{cname("example.net.", "b.example."), cname("b.example.", "example.net."), right()}, "temporary"},
		"two aliases":            {[]dns.RR{cname("example.net.", "c1.example."), cname("example.net.", "c2.example."), &dns.TXT{Hdr: header("c1.example.", dns.TypeTXT), Txt: []string{"1"}}}, "[1]"},
		"15 steps":               {chain(15, "end"), "[end]"},
		"17 steps":               {chain(17, "end"), "temporary"},
		"no text":                {[]dns.RR{&dns.TXT{Hdr: header("example.net.", dns.TypeTXT), Txt: []string{""}}}, "[]"},
	} {
		r := within(func(q *dns.Msg, _, _ string) *dns.Msg {
			m := new(dns.Msg).SetReply(q)
			m.Answer = tt.answer
			return m
		})
		if texts, err := r.LookupTXT(t.Context(), "example.net."); outcome(fmt.Sprint(texts), err) != tt.want {
			t.Errorf("%s: %q, %v", name, texts, err)
		}
		if texts, err := r.LookupTXT(t.Context(), "victim.example."); strings.Contains(fmt.Sprint(texts), "evil") && name != "another name's records" && name != "only another name's" {
			t.Errorf("%s: %q, %v", name, texts, err)
		}
		if e := r.upstream.Load().cache; e.len() > 2 {
			t.Errorf("%s: %d answers are remembered", name, e.len())
		}
	}
	// Names that are said once and pointed to often.
	far := strings.Repeat("a-name-of-sixty-three-octets-which-is-all-that-one-label-may-be.", 3)
	for n, want := range map[int]string{400: "found", 4000: "temporary"} {
		r := New(Config{Servers: []string{mailtest.ServeDNS(t, func(q *dns.Msg, _ string) *dns.Msg {
			m := new(dns.Msg).SetReply(q)
			m.Compress = true
			for i := range n {
				m.Answer = append(m.Answer, &dns.MX{Hdr: header("example.net.", dns.TypeMX), Preference: uint16(i), Mx: far})
			}
			return m
		})}})
		if _, err := r.LookupMX(t.Context(), "example.net."); outcome("found", err) != want {
			t.Errorf("%d records: %v", n, err)
		}
	}
	// An alias that leads on and on, one step at a time.
	n := 0
	r := within(func(q *dns.Msg, _, _ string) *dns.Msg {
		n++
		m := new(dns.Msg).SetReply(q)
		m.Answer = []dns.RR{cname(q.Question[0].Name, fmt.Sprintf("c%d.example.", n))}
		return m
	})
	if _, err := r.LookupTXT(t.Context(), "example.net."); outcome("", err) != "temporary" || n != maxChain {
		t.Errorf("%d steps: %v", n, err)
	}
	// Names that are the same in other alphabets only.
	r = within(asked(mailtest.NewZone(t, `k.example. 60 IN TXT "x"`)))
	if _, err := r.LookupTXT(t.Context(), "\u212a.example."); outcome("", err) != "void" {
		t.Errorf("the Kelvin sign is a k: %v", err)
	}
	mustLookup(t, r, "K.EXAMPLE.", "x")
}

// numbered is what the DNS says of the nth name of a stranger.
func numbered(n int) (question, *result) {
	q := question{name: fmt.Sprintf("a-name-of-usual-length-%d.example.com", n), qtype: dns.TypeTXT}
	return q, &result{state: found, ttl: time.Hour, records: []string{strings.Repeat("x", 30+n%200)}}
}

// TestBounds: a million names of strangers take no more memory than is given to them,
// and do not push out what is in use.
func TestBounds(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, now := heap(), time.Now()
	const octets = 8 << 20
	u := newUpstream(Config{MaxOctets: octets}, New(Config{}))
	c := &u.cache
	useful := make([]question, 1000)
	for i := range useful {
		useful[i] = question{name: fmt.Sprintf("useful-%d.example", i), qtype: dns.TypeMX}
		c.put(useful[i], &result{state: found, ttl: time.Hour, records: []MX{{"mx.example", 1}}}, now)
		c.get(useful[i], now)
	}
	for i := range 1_000_000 {
		q, res := numbered(i)
		if c.put(q, res, now); i%100_000 == 0 && c.octets() > octets {
			t.Fatalf("%d octets", c.octets())
		}
	}
	if c.octets() > octets || c.octets() < octets/10*9 {
		t.Errorf("%d octets of %d", c.octets(), octets)
	}
	if took := heap() - before; took > octets+octets/4 || took < octets/2 {
		t.Errorf("%d octets are %d of memory", c.octets(), took)
	} else {
		t.Logf("%d entries, %d octets by our count, %d of memory", c.len(), c.octets(), took)
	}
	if n := c.counts.evicted.Load(); n != int64(1_000_000+len(useful)-c.len()) {
		t.Errorf("%d are counted as pushed out, of which %d stay", n, c.len())
	}
	for _, q := range useful {
		if c.get(q, now) == nil {
			t.Errorf("%s was pushed out", q.name)
		}
	}
	runtime.KeepAlive(u)

	// Asking twice for each brings a stranger into the second part, and no further.
	c = &newUpstream(Config{MaxEntries: 1000}, New(Config{})).cache
	for i := range 10_000 {
		q, res := numbered(i)
		c.put(q, res, now)
		c.get(q, now)
	}
	if c.len() > 1000 || c.protected.list.Len() > 800 || c.len() != c.probation.list.Len()+c.protected.list.Len() {
		t.Errorf("%d entries, %d and %d", c.len(), c.probation.list.Len(), c.protected.list.Len())
	}
	// An answer too large for its share is not kept, and one that replaces another counts once.
	c = &newUpstream(Config{MaxOctets: 1 << 20}, New(Config{})).cache
	q, res := numbered(1)
	for range 10 {
		c.put(q, res, now)
	}
	one := c.octets()
	res.records = []string{strings.Repeat("x", 1<<15)}
	if c.put(q, res, now); one > 2000 || c.len() != 0 || c.octets() != 0 {
		t.Errorf("%d octets, then %d in %d entries", one, c.octets(), c.len())
	}
}

// TestNamesOfMessages: a name that is a piece of a message does not keep the message.
func TestNamesOfMessages(t *testing.T) {
	r := within(func(q *dns.Msg, _, _ string) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeNameError) })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 100 {
		message := fmt.Sprintf("n%03d.example.", i) + strings.Repeat("x", 1<<20)
		r.LookupTXT(t.Context(), message[:13])
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > 50<<20 || r.Stats().Entries != 100 {
		t.Errorf("%d octets for %d names", n, r.Stats().Entries)
	}
}

// TestSizes: what is counted for an answer is about what it takes.
func TestSizes(t *testing.T) {
	for _, records := range []any{make([]string, 100), make([]netip.Addr, 100), make([]MX, 100), make([]TLSA, 100), make([]SOA, 100)} {
		if n := (&result{records: records}).size(); n < 2400 || n > 10_000 {
			t.Errorf("%T: %d octets", records, n)
		}
	}
}

// FuzzReply: whatever a server says, the answer is records of the name or an error, and
// what is remembered is within its bounds.
func FuzzReply(f *testing.F) {
	zone := mailtest.NewZone(f, `example.net. 60 IN TXT "x"`, "example.net. 60 IN MX 1 a.example.", "example.net. 60 IN A 192.0.2.1", "www.example.net. 1 IN CNAME example.net.",
		"example.net. 60 IN SOA a. b. 1 1 1 1 1", "example.net. 60 IN NS a.", "example.net. 60 IN TLSA 3 1 1 abcd", "example.net. 60 IN PTR a.")
	kinds := []uint16{dns.TypeTXT, dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeSOA, dns.TypeNS, dns.TypeTLSA, dns.TypePTR, dns.TypeCNAME}
	for i, kind := range kinds {
		q := new(dns.Msg).SetQuestion("example.net.", kind)
		p, _ := zone.Reply(q).Pack()
		f.Add(p, i)
		p, _ = zone.Reply(new(dns.Msg).SetQuestion("www.example.net.", kind)).Pack()
		f.Add(p, i)
	}
	f.Fuzz(func(t *testing.T, p []byte, kind int) {
		m := new(dns.Msg)
		if m.Unpack(p) != nil {
			return
		}
		if kind < 0 {
			kind = -(kind + 1)
		}
		qtype := kinds[kind%len(kinds)]
		r := within(func(q *dns.Msg, _, _ string) *dns.Msg {
			reply := m.Copy()
			reply.Id, reply.Response, reply.Question = q.Id, true, q.Question
			return reply
		})
		res, err := r.lookup(t.Context(), question{name: "example.net", qtype: qtype})
		if err != nil || (res.err == nil) != (res.state == found) {
			t.Fatalf("%+v, %v", res, err)
		}
		r.Records(t.Context(), "example.net", dns.TypeToString[qtype])
		if s := r.Stats(); s.Entries > 2 {
			t.Fatalf("%+v", s)
		}
	})
}

// BenchmarkWarm is a lookup that memory answers.
func BenchmarkWarm(b *testing.B) {
	r := within(asked(mailtest.NewZone(b, `s._domainkey.example.net. 60000 IN TXT "v=DKIM1; p=abc"`, "example.net. 60000 IN MX 1 a.example.", "example.net. 60000 IN A 192.0.2.1")))
	ctx := b.Context()
	for _, bb := range []struct {
		name string
		do   func() error
	}{
		{"LookupTXT", func() error { _, err := r.LookupTXT(ctx, "s._domainkey.example.net."); return err }},
		{"LookupNetIP", func() error { _, err := r.LookupNetIP(ctx, "ip4", "example.net."); return err }},
		{"LookupMX", func() error { _, err := r.LookupMX(ctx, "example.net."); return err }},
		{"MX", func() error { _, err := r.MX(ctx, "example.net"); return err }},
		{"void", func() error {
			if _, err := r.LookupTXT(ctx, "none.example."); err == nil {
				return errors.New("found")
			}
			return nil
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bb.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				r.LookupTXT(ctx, "s._domainkey.example.net.")
			}
		})
	})
}
