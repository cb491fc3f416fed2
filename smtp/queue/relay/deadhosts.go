package relay

import (
	"strings"
	"sync"
	"time"
)

// deadHosts remembers addresses that did not answer, so that the next message
// for any domain they serve goes on to the next host at once.
type deadHosts struct {
	mu    sync.Mutex
	hosts map[string]deadHost
}

type deadHost struct {
	until time.Time
	fails int
	why   refusal
}

const (
	firstDead = 30 * time.Second
	mostDead  = 10 * time.Minute
	maxDead   = 10000 // hosts remembered
)

// look returns why a target is not to be tried now.
func (d *deadHosts) look(name string) (*refusal, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, ok := d.hosts[name]
	if !ok || !time.Now().Before(h.until) {
		return nil, false
	}
	why := h.why
	why.text = "not tried again yet: " + strings.TrimPrefix(why.text, "not tried again yet: ")
	return &why, true
}

func (d *deadHosts) note(name string, why *refusal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hosts == nil || len(d.hosts) >= maxDead {
		d.hosts = make(map[string]deadHost)
	}
	h := d.hosts[name]
	h.fails++
	h.until = time.Now().Add(min(firstDead<<min(h.fails-1, 10), mostDead))
	h.why = *why
	d.hosts[name] = h
}

func (d *deadHosts) forget(names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		delete(d.hosts, name)
	}
}
