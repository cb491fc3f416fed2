package resolver

import (
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Stats are what a Resolver has done since it was made, and what it holds now.
type Stats struct {
	Lookups  int64 // what was asked of it
	Hits     int64 // of these, answered from memory
	Joined   int64 // of these, answered by a query that somebody else had under way
	Queries  int64 // messages sent to servers, those over TCP included
	TCP      int64 // of these, over TCP
	Failures int64 // questions that no server answered: SERVFAIL, time-outs, nonsense
	Timeouts int64 // queries that a server left without an answer
	Evicted  int64 // answers that were forgotten before their time, for want of room

	// Answered is how many questions were answered that servers had to be asked, by the type of their records, "other" among them: with records, without, and
	// not at all.
	Answered map[string]Answers
	// Spans is how many of these took no longer than each of the Bounds, and how many longer than all; Took is how long all did.
	Spans [len(Bounds) + 1]int64
	Took  time.Duration

	Entries int   // answers in memory, some of which may have expired
	Octets  int64 // what they take, about
}

// Answers are those to questions about one type of records.
type Answers struct{ Found, None, Failed int64 }

// Bounds are the upper bounds of the spans that Stats.Spans counts by.
var Bounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// kinds are the types that are told apart.
var kinds = [...]uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCAA, dns.TypeCNAME, dns.TypeDNSKEY, dns.TypeDS, dns.TypeMX, dns.TypeNS, dns.TypePTR, dns.TypeSOA, dns.TypeSRV, dns.TypeTLSA, dns.TypeTXT}

// tally is what became of questions about one of the kinds.
type tally struct{ found, none, failed atomic.Int64 }

// answered counts an answer of servers, and how long it took.
func (c *counts) answered(qtype uint16, state state, took time.Duration) {
	i := len(kinds)
	for k := range kinds {
		if kinds[k] == qtype {
			i = k
		}
	}
	switch t := &c.of[i]; state {
	case found:
		t.found.Add(1)
	case failed:
		t.failed.Add(1)
	default:
		t.none.Add(1)
	}
	span := 0
	for span < len(Bounds) && took > Bounds[span] {
		span++
	}
	c.spans[span].Add(1)
	c.took.Add(int64(took))
}

type counts struct {
	of    [len(kinds) + 1]tally // the last one is of all other types
	spans [len(Bounds) + 1]atomic.Int64
	took  atomic.Int64

	lookups, hits, joined, queries, tcp, failures, timeouts, evicted atomic.Int64
}

// Stats returns the counters of the moment.
func (r *Resolver) Stats() Stats {
	c, u := r.counts, r.upstream.Load()
	s := Stats{
		Lookups: c.lookups.Load(), Hits: c.hits.Load(), Joined: c.joined.Load(), Queries: c.queries.Load(), TCP: c.tcp.Load(),
		Failures: c.failures.Load(), Timeouts: c.timeouts.Load(), Evicted: c.evicted.Load(),
	}
	s.Answered = make(map[string]Answers)
	for i := range c.of {
		name := "other"
		if i < len(kinds) {
			name = dns.TypeToString[kinds[i]]
		}
		s.Answered[name] = Answers{c.of[i].found.Load(), c.of[i].none.Load(), c.of[i].failed.Load()}
	}
	for i := range c.spans {
		s.Spans[i] = c.spans[i].Load()
	}
	s.Took = time.Duration(c.took.Load())
	u.mu.Lock()
	defer u.mu.Unlock()
	s.Entries, s.Octets = u.cache.len(), u.cache.octets()
	return s
}
