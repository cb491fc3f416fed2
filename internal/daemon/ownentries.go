package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/smtp/dnslist"
)

// ownEntries are what the DNS lists of the settings say of this host itself: its addresses, and the domains it keeps mail of. Others who ask
// the same lists refuse its mail. The zero value knows of none.
type ownEntries struct {
	mu  sync.Mutex
	all []string // a sentence each, sorted
	n   int      // addresses and domains, however many lists have them
}

func (o *ownEntries) set(all []string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all, o.n = all, n
}

// count is how many addresses and domains there are.
func (o *ownEntries) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n
}

// problems are a sentence for each entry.
func (o *ownEntries) problems() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.all)
}

// lookForOwnEntries asks the lists about the addresses that the name of this host has in the DNS, and about its domains. A list that speaks for
// whom it has is no harm. What cannot be asked now leaves out of account what it might have said.
func (d *Daemon) lookForOwnEntries(ctx context.Context) {
	st := d.state()
	if st.verify == nil || st.verify.Lists == nil {
		d.own.set(nil, 0)
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
	lists, seen := st.verify.Lists, make(map[string]bool)
	var all []string
	for _, a := range addresses {
		if a = a.Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() {
			continue
		}
		for _, f := range lists.Group.Check(ctx, d.dns, a, names...) {
			speaksFor := slices.ContainsFunc(lists.Means[f.List], func(m verify.Meaning) bool { return m.Action == verify.Allow })
			if !f.Listed() || speaksFor {
				continue
			}
			seen[f.Subject] = true
			all = append(all, entryOf(&f))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all) // domains were asked about with each address
	before := d.own.problems()
	d.own.set(all, len(seen))
	for _, one := range all {
		if !slices.Contains(before, one) {
			d.log.Warn("a DNS list has an entry about this host: others may refuse its mail", "entry", one)
		}
	}
}

// entryOf says what a list has found. Its name is the public one: a key may stand in its zone.
func entryOf(f *dnslist.Finding) string {
	return fmt.Sprintf("%s lists %s, which is of this host (%v): others who ask it may refuse mail from here; ask the list why, and mend that first", f.List, f.Subject, f.Codes)
}
