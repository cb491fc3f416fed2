package daily

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"
)

// Cache keeps the counts over restarts, as relay.Cache does.
type Cache interface {
	Get(kind, name string) ([]byte, bool)
	Put(ctx context.Context, kind, name string, data []byte) error
	Delete(ctx context.Context, kind, name string) error
}

// Sent is where the counts of a domain have been sent already. It is part of them.
type Sent struct {
	Done []string `json:"done,omitempty"`
}

// places gives Book the part of the counts that is its own.
func (s *Sent) places() *Sent { return s }

// Counts is what is counted of a domain on one day: a struct that has Sent in it, and
// stands in the Cache as JSON.
type Counts[T any] interface {
	*T
	places() *Sent
}

// Book counts by day, in UTC, and domain. Its fields are set before its first method is
// called, and its methods may be called concurrently.
type Book[T any, P Counts[T]] struct {
	Kind  string // in the Cache
	What  string // in the log: "TLS results"
	Cache Cache  // nil: a restart forgets
	Most  int    // domains of one day: strangers choose them
	// Common, if not nil, is where several servers bring together what they have counted; Add adds the counts of another server.
	Common Common
	Add    func(to, more P)
	// Seed is what makes our hour another one than other hosts'.
	Seed func() string
	// Send tells a domain of its counts of one day, wherever it wants to hear of
	// them and is not in Done, and puts there in Done where it has. What fails is
	// tried again.
	Send func(ctx context.Context, day time.Time, domain string, counts P) error
	// Log hears of what cannot be kept or sent; slog.Default where it or its result is nil.
	Log func() *slog.Logger

	mu   sync.Mutex
	days map[string]*day[P]
}

// day is what is counted, or left to be sent, of one day.
type day[P any] struct {
	domains map[string]P
	dirty   bool      // not in the Cache as it is
	tried   time.Time // when it was sent last, if ever
}

const (
	spread = 4 * time.Hour      // all begin a day's reports at its end, give or take this
	retry  = time.Hour          // between two attempts to send what could not be sent
	keep   = 3 * 24 * time.Hour // from the beginning of the day until it is given up
	stale  = 60                 // days back where left-overs are looked for
	save   = 5 * time.Minute

	form = time.DateOnly
)

func (b *Book[T, P]) log() *slog.Logger {
	if b.Log != nil {
		if l := b.Log(); l != nil {
			return l
		}
	}
	return slog.Default()
}

// Update counts something about a domain today. It may be left out: a day has Most
// domains. change must return soon.
func (b *Book[T, P]) Update(domain string, change func(P)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.day(time.Now().UTC().Format(form))
	counts := d.domains[domain]
	if counts == nil {
		if len(d.domains) >= b.Most {
			return
		}
		counts = new(T)
		d.domains[domain] = counts
	}
	d.dirty = true
	change(counts)
}

// Each visits the counts of all domains of all days that are not told yet.
func (b *Book[T, P]) Each(visit func(domain string, counts P)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.days {
		for domain, counts := range d.domains {
			visit(domain, counts)
		}
	}
}

// day returns what is counted on a day, with what a former life has counted.
// b.mu is held.
func (b *Book[T, P]) day(name string) *day[P] {
	d := b.days[name]
	if d != nil {
		return d
	}
	if b.days == nil {
		b.days = make(map[string]*day[P])
	}
	d = &day[P]{}
	if b.Cache != nil {
		if data, ok := b.Cache.Get(b.Kind, name); ok && json.Unmarshal(data, &d.domains) != nil {
			d.domains = nil // what cannot be read is counted anew
		}
	}
	for domain, counts := range d.domains {
		if counts == nil {
			delete(d.domains, domain)
		}
	}
	if d.domains == nil {
		d.domains = make(map[string]P)
	}
	b.days[name] = d
	return d
}
