package daemon

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// disbelief remembers which domains of this host others refuse mail from, as they cannot make sure
// that it is from there. Its senders read a bounce; who can mend it hears of it here, once a day.
type disbelief struct {
	isOwn func(domains.Name) bool
	log   *slog.Logger

	mu    sync.Mutex
	whose map[domains.Name]*disbelieved
}

// disbelieved is a domain that others do not believe.
type disbelieved struct {
	since time.Time
	n     int
	last  string // the host and its answer
}

// forgetAfter is how long it is told of, and how often it is a line in the log.
const forgetAfter = 24 * time.Hour

// saw counts an attempt, if it is one of these.
func (d *disbelief) saw(a *queue.Attempt) {
	// What an alias has sent on is from here only in its envelope.
	domain := a.Entry.From.DomainName()
	if a.Entry.Class == queue.Stranger || !a.Result.Disbelieved() || !d.isOwn(domain) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.whose[domain]
	if w == nil || time.Since(w.since) >= forgetAfter {
		if d.whose == nil {
			d.whose = make(map[domains.Name]*disbelieved)
		}
		w = &disbelieved{since: time.Now()}
		d.whose[domain] = w
		d.log.Warn("another host does not believe that mail is from here", "domain", domain.String(), "host", a.Result.Host, "text", a.Result.Text, "advice", "postrider dns check "+domain.String())
	}
	w.n++
	w.last = a.Result.Host + ": " + a.Result.Text
}

// problems are a sentence for each domain.
func (d *disbelief) problems() (all []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for domain, w := range d.whose {
		if time.Since(w.since) < forgetAfter {
			all = append(all, fmt.Sprintf("since %s other hosts have refused %d times to believe that mail is from %s (postrider dns check %[3]s); the last: %s",
				w.since.Local().Format("15:04"), w.n, domain, strings.Join(strings.Fields(w.last), " ")))
		}
	}
	slices.Sort(all)
	return all
}
