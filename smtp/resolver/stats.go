package resolver

import "sync/atomic"

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

	Entries int   // answers in memory, some of which may have expired
	Octets  int64 // what they take, about
}

type counts struct {
	lookups, hits, joined, queries, tcp, failures, timeouts, evicted atomic.Int64
}

// Stats returns the counters of the moment.
func (r *Resolver) Stats() Stats {
	c, u := r.counts, r.upstream.Load()
	s := Stats{
		Lookups: c.lookups.Load(), Hits: c.hits.Load(), Joined: c.joined.Load(), Queries: c.queries.Load(), TCP: c.tcp.Load(),
		Failures: c.failures.Load(), Timeouts: c.timeouts.Load(), Evicted: c.evicted.Load(),
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s.Entries, s.Octets = u.cache.len(), u.cache.octets()
	return s
}
