package clustertest

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
)

// RunCounts tests where servers count together, as Run tests stores.
func RunCounts(t *testing.T, open func(t *testing.T) cluster.Counts) {
	t.Run("Counts", func(t *testing.T) { counts(t, open(t), open(t)) })
}

// listener hears of numbers.
type listener struct {
	of    cluster.Counts
	since cluster.Mark
	known map[string]cluster.Heard
	news  int
}

func (l *listener) hear(t *testing.T) {
	t.Helper()
	l.news = 0
	next, err := l.of.Hear(t.Context(), l.since, func(h cluster.Heard) {
		l.known[h.Kind+" "+h.Key] = h
		l.news++
	})
	if err != nil {
		t.Fatal(err)
	}
	l.since = next
}

// counts: what one tells the other hears, once; what is added is added, and falls with time; what is replaced is replaced.
func counts(t *testing.T, a, b cluster.Counts) {
	tell := func(of cluster.Counts, all ...cluster.Told) {
		t.Helper()
		if err := of.Tell(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	l := &listener{of: b, known: make(map[string]cluster.Heard)}
	l.hear(t)
	strange := "\x00\xff ö"
	tell(a, cluster.Told{Kind: "add", Key: strange, Level: 2, Lives: time.Hour}, cluster.Told{Kind: "set", Key: "x", Level: 5, Replace: true, Lives: time.Hour},
		cluster.Told{Kind: "fall", Key: "x", Level: 3, Falls: 1e9, Lives: time.Hour}, cluster.Told{Kind: "over", Key: "x", Level: 3, Lives: 0})
	l.hear(t)
	if h := l.known["add "+strange]; h.Level != 2 || h.Age < 0 || h.Age > time.Minute || l.known["set x"].Level != 5 || l.known["fall x"].Level != 3 || l.known["over x"].Level != 0 {
		t.Errorf("%d: %+v", l.news, l.known)
	}
	tell(b, cluster.Told{Kind: "add", Key: strange, Level: 1, Lives: time.Hour}, cluster.Told{Kind: "fall", Key: "x", Level: 1, Falls: 1e9, Lives: time.Hour})
	tell(a, cluster.Told{Kind: "set", Key: "x", Level: 0, Replace: true, Lives: time.Hour})
	l.hear(t)
	if math.Abs(l.known["add "+strange].Level-3) > 1e-6 || l.known["fall x"].Level != 1 || l.known["set x"].Level != 0 {
		t.Errorf("%d: %+v", l.news, l.known)
	}
	for range 1000 { // what others do in the same database may have some heard again
		if l.hear(t); l.news == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("nobody tells of anything, and %d are heard again and again", l.news)
}

// Memory is a cluster.Counts in memory, for several servers of one process.
type Memory struct {
	mu  sync.Mutex
	all map[[2]string]*counted
	now cluster.Mark
	err error // what is answered instead
}

type counted struct {
	level     float64
	at, until time.Time
	mark      cluster.Mark
}

// NewMemory is an empty one.
func NewMemory() *Memory { return &Memory{all: make(map[[2]string]*counted)} }

// Fail has everything fail, until it is called with nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// Tell implements cluster.Counts.
func (m *Memory) Tell(_ context.Context, all []cluster.Told) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	now := time.Now()
	for _, t := range all {
		name := [2]string{t.Kind, t.Key}
		c := m.all[name]
		if c == nil {
			c = &counted{at: now}
			m.all[name] = c
		}
		if c.level = max(0, c.level-now.Sub(c.at).Seconds()*t.Falls) + t.Level; t.Replace {
			c.level = t.Level
		}
		m.now++
		c.at, c.until, c.mark = now, now.Add(t.Lives), m.now
	}
	return nil
}

// Hear implements cluster.Counts.
func (m *Memory) Hear(_ context.Context, since cluster.Mark, heard func(cluster.Heard)) (cluster.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return since, m.err
	}
	now := time.Now()
	for name, c := range m.all {
		if c.mark > since && c.until.After(now) {
			heard(cluster.Heard{Kind: name[0], Key: name[1], Level: c.level, Age: now.Sub(c.at)})
		}
	}
	return m.now, nil
}
