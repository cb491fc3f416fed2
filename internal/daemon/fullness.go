package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Whoever's mailbox fills is told once, while mail still comes: a full one has its mail refused, and its user hears of that from those who wrote.

// How full a mailbox is when its user is told, and how empty when he may be told again, in percent of what it may hold.
const (
	nearlyFull  = 90
	emptiedTo   = 75
	mostLookups = 1000 // at a time, of those that were told before
)

// fullness is which mailboxes are to be looked at, and who was told. The zero value is ready.
type fullness struct {
	mu   sync.Mutex
	come map[string]bool               // mail came for them since the last look
	told map[domains.Address]time.Time // and is nearly full since
}

// came notes that mail has come for a mailbox that has a limit, whether it is taken or not.
func (f *fullness) came(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.come == nil {
		f.come = make(map[string]bool)
	}
	f.come[user] = true
}

// candidates are those to be looked at.
func (f *fullness) candidates() (all []domains.Address) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for user := range f.come {
		all = append(all, domains.Address(user))
	}
	f.come = nil
	n := 0
	for account := range f.told {
		if n++; n > mostLookups {
			break
		}
		all = append(all, account)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// full is how many are.
func (f *fullness) full() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.told)
}

// set notes whether a mailbox is nearly full, and reports whether that is news.
func (f *fullness) set(account domains.Address, full bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, was := f.told[account]
	switch {
	case full && !was:
		if f.told == nil {
			f.told = make(map[domains.Address]time.Time)
		}
		f.told[account] = time.Now().UTC().Truncate(time.Second)
	case !full:
		delete(f.told, account)
	}
	return full != was
}

// quotaFor is quota for the store, which asks when mail comes.
func (d *Daemon) quotaFor(user string) maildir.Quota {
	q := d.quota(user)
	if q != (maildir.Quota{}) {
		d.fullness.came(user)
	}
	return q
}

// percent is how much of what it may a mailbox holds.
func (d *Daemon) percent(ctx context.Context, account domains.Address) (of int64, text string, err error) {
	use, err := d.store.Usage(ctx, account.String())
	if err != nil {
		return 0, "", err
	}
	of, text = filled(d.quota(account.String()), use)
	return of, text, nil
}

// filled is the same of a quota, in words as well: of the two limits that a mailbox may have, the one that is nearer.
func filled(q maildir.Quota, use mailstore.Usage) (of int64, text string) {
	if q.Octets > 0 {
		of, text = use.Octets*100/q.Octets, pages.Size(use.Octets)+" of "+pages.Size(q.Octets)
	}
	if q.Messages > 0 && use.Messages*100/q.Messages >= of {
		of, text = use.Messages*100/q.Messages, fmt.Sprintf("%d of %s", use.Messages, pages.Count(q.Messages, "message"))
	}
	return of, text
}

// tellFull looks at the mailboxes that mail came for, and tells users whose are nearly full.
func (d *Daemon) tellFull(ctx context.Context) {
	changed := false
	for _, account := range d.fullness.candidates() {
		if d.state().dir.Account(account) == nil {
			changed = d.fullness.set(account, false) || changed
			continue
		}
		of, text, err := d.percent(ctx, account)
		switch {
		case err != nil: // the next mail for it has it looked at again
		case of >= nearlyFull && d.fullness.set(account, true):
			changed = true
			d.log.Info("a mailbox is nearly full", "user", account.String(), "holds", text)
			message, err := d.service.Message(account.String(), account.String(), "Your mailbox is nearly full",
				"The mailbox of "+account.String()+" holds "+text+". When it is full, mail for it is refused.\n\nHave your mail program remove what it has fetched, or ask the administrator for more room.")
			if err == nil {
				err = d.post.Tell(ctx, account, message)
			}
			if err != nil {
				d.log.Warn("a user is not told that his mailbox fills", "user", account.String(), "err", err)
			}
		case of < emptiedTo:
			changed = d.fullness.set(account, false) || changed
		}
	}
	if changed {
		d.keepFull()
	}
}

// fullFile is where it is kept, within the data directory, who was told.
const fullFile = "full.json"

// keepFull writes it down, so that nobody is told again after a restart.
func (d *Daemon) keepFull() {
	dir := d.state().settings.DataDir
	d.fullness.mu.Lock()
	told := maps.Clone(d.fullness.told)
	d.fullness.mu.Unlock()
	text, err := json.Marshal(told)
	if err == nil {
		err = writeDurably(dir, filepath.Join(dir, fullFile), string(text))
	}
	if err != nil {
		d.log.Warn("it will be forgotten whose mailboxes are nearly full", "err", err)
	}
}

// recallFull takes it up.
func (d *Daemon) recallFull() {
	text, err := os.ReadFile(filepath.Join(d.state().settings.DataDir, fullFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	d.fullness.mu.Lock()
	defer d.fullness.mu.Unlock()
	if err == nil {
		err = json.Unmarshal(text, &d.fullness.told)
	}
	if err != nil {
		d.log.Warn("it is forgotten whose mailboxes are nearly full", "err", err)
	}
}
