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
	written  time.Time // as the file has it
}

const (
	seenFor   = 90 * 24 * time.Hour
	seenWrite = 24 * time.Hour // the file may be this much older than the memory
)

func (s *seen) verified(domain string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.get(domain).Verified) < seenFor
}

func (s *seen) get(domain string) sighting {
	v, ok := s.domains[domain]
	if ok {
		return v
	}
	if s.cache != nil {
		if data, ok := s.cache.Get("seen", domain); ok {
			_ = json.Unmarshal(data, &v) // what cannot be read was never seen
			v.written = v.Verified
		}
	}
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
	s.mu.Lock()
	v := s.get(domain)
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
