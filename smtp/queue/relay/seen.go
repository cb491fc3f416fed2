package relay

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// seen remembers which domains have shown verified TLS, so that somebody in the
// middle cannot take it away silently. A domain that gives it up is held back
// until seenFor has passed, or until an operator configures its level.
type seen struct {
	cache Cache

	mu      sync.Mutex
	domains map[string]sighting
}

type sighting struct {
	Verified time.Time `json:"verified"` // the last time
	written  time.Time // as the cache has it
	asked    time.Time // when the cache was
}

const (
	seenFor   = 90 * 24 * time.Hour
	seenWrite = 24 * time.Hour   // the cache may be this much older than the memory
	seenAsk   = 10 * time.Minute // between two looks into the cache for what was not seen: another server may have, or it was away
)

func (s *seen) verified(domain string) bool { return s.get(domain).fresh() }

func (v sighting) fresh() bool { return time.Since(v.Verified) < seenFor }

// get is what is known of a domain. The cache may be that of several servers, and take long: no other domain waits for it.
func (s *seen) get(domain string) sighting {
	s.mu.Lock()
	v := s.domains[domain]
	s.mu.Unlock()
	if s.cache == nil || v.fresh() || time.Since(v.asked) < seenAsk {
		return v
	}
	var kept sighting
	if data, ok := s.cache.Get("seen", domain); ok {
		_ = json.Unmarshal(data, &kept) // what cannot be read was never seen
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v = s.domains[domain]; !v.fresh() { // nor was it noted meanwhile
		v.Verified, v.written = kept.Verified, kept.Verified
	}
	v.asked = time.Now()
	s.put(domain, v)
	return v
}

func (s *seen) put(domain string, v sighting) {
	if s.domains == nil || len(s.domains) >= maxKnown {
		s.domains = make(map[string]sighting)
	}
	s.domains[domain] = v
}

// note takes down that a domain has shown verified TLS.
func (s *seen) note(ctx context.Context, domain string) error {
	s.get(domain)
	s.mu.Lock()
	v := s.domains[domain]
	v.Verified = time.Now().UTC()
	write := s.cache != nil && v.Verified.Sub(v.written) >= seenWrite
	if write {
		v.written = v.Verified
	}
	s.put(domain, v)
	s.mu.Unlock()
	if !write {
		return nil
	}
	data, err := json.Marshal(v)
	if err == nil {
		err = s.cache.Put(ctx, "seen", domain, data)
	}
	return err
}
