package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/smtp/dnslist"
)

// ownEntries are what the DNS lists of the settings say of this host itself: its addresses, and the domains it keeps mail of. Others who ask
// the same lists refuse its mail. The zero value knows of none. It may be used concurrently.
type ownEntries struct {
	mu  sync.Mutex
	all map[question]ownEntry
}

// question is what a list is asked about.
type question struct{ list, subject string }

// ownEntry is what a list said last, and when.
type ownEntry struct {
	text string // a sentence
	at   time.Time
}

// staleEntry is for how long an entry counts that nobody can ask about any more: a list that is out of use says nothing for good.
const staleEntry = 24 * time.Hour

// put takes up what was found, and returns the sentences that are new. What was asked and not answered stays as it was said last: an entry does not go
// away because one lookup failed, nor is its return news then.
func (o *ownEntries) put(found map[question]ownEntry, unanswered func(question) bool, now time.Time) (news []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for q, e := range o.all {
		if _, again := found[q]; !again && unanswered(q) && now.Sub(e.at) < staleEntry {
			found[q] = e
		}
	}
	for q, e := range found {
		if o.all[q].text != e.text {
			news = append(news, e.text)
		}
	}
	o.all = found
	slices.Sort(news)
	return news
}

// count is how many addresses and domains there are, however many lists have them.
func (o *ownEntries) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := make(map[string]bool)
	for q := range o.all {
		seen[q.subject] = true
	}
	return len(seen)
}

// problems are a sentence for each entry, sorted.
func (o *ownEntries) problems() (all []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.all {
		all = append(all, e.text)
	}
	slices.Sort(all)
	return all
}

// lookForOwnEntries asks the lists about the addresses that the name of this host has in the DNS, and about its domains. A list that speaks for
// whom it has is no harm. What cannot be asked now is as it was said last.
func (d *Daemon) lookForOwnEntries(ctx context.Context) {
	st := d.state()
	if st.verify == nil || st.verify.Lists == nil {
		d.own.put(make(map[question]ownEntry), func(question) bool { return false }, time.Now())
		return
	}
	var names []string
	for _, name := range st.dir.Domains() {
		names = append(names, name.String())
	}
	addresses, err := d.dns.LookupNetIP(ctx, "ip", canonical(st.settings.ServerName))
	if err != nil {
		d.log.Debug("the addresses of this host are not looked for in DNS lists", "err", err)
	}
	lists, now := st.verify.Lists, time.Now()
	found, answered, ours := make(map[question]ownEntry), make(map[question]bool), make(map[string]bool)
	for _, name := range names {
		ours[name] = true
	}
	for _, a := range addresses {
		if a = a.Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() {
			continue
		}
		ours[a.String()] = true
		for _, f := range lists.Group.Check(ctx, d.dns, a, names...) { // about domains with each address
			q := question{f.List.String(), f.Subject}
			speaksFor := slices.ContainsFunc(lists.Means[f.List], func(m verify.Meaning) bool { return m.Action == verify.Allow })
			if f.Err != nil {
				continue
			}
			if answered[q] = true; f.Listed() && !speaksFor {
				found[q] = ownEntry{entryOf(&f), now}
			}
		}
	}
	asks := make(map[string]bool) // the lists that the settings have now
	for l := range lists.Means {
		asks[l.String()] = true
	}
	unanswered := func(q question) bool { return !answered[q] && asks[q.list] && (ours[q.subject] || err != nil) }
	for _, one := range d.own.put(found, unanswered, now) {
		d.log.Warn("a DNS list has an entry about this host: others may refuse its mail", "entry", one)
	}
}

// entryOf says what a list has found. Its name is the public one: a key may stand in its zone.
func entryOf(f *dnslist.Finding) string {
	return fmt.Sprintf("%s lists %s, which is of this host (%v): others who ask it may refuse mail from here; ask the list why, and mend that first", f.List, f.Subject, f.Codes)
}
