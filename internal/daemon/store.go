package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/mailstore/sealed"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// openStore opens the mailboxes and becomes their owner: a second daemon on
// the same store is refused here.
func (d *Daemon) openStore(s *conf.Settings) error {
	if err := checkFormat(s.DataDir); err != nil {
		return err
	}
	disk, err := d.diskOf(s.MailDir)
	if err != nil {
		return fmt.Errorf("mail store: %w", err)
	}
	store, err := maildir.Open(s.MailDir,
		maildir.WithDisk(disk),
		maildir.WithLogger(d.log),
		maildir.WithReserve(KeepFree(s, s.MailDir)),
		maildir.WithQuota(d.quotaFor),
		maildir.WithDomainQuota(d.domainQuota),
		maildir.WithFolders(s.Store.QuotaFolders))
	if err != nil {
		return fmt.Errorf("mail store: %w", err)
	}
	d.maildir, d.mailKeys, d.keyTurns = store, mailkeys.New(store), mailkeys.NewTurns(keyTurns)
	d.store = purgingStore{sealed.New(store, d.recipient, d.log), &maildirPurger{store}}
	d.closers = append(d.closers, store)
	if s.Store.Postgres != "" {
		return d.openDatabase(s)
	}
	keep := KeepFree(s, s.MailDir)
	d.healthy = func() error {
		if err := store.Err(); err != nil {
			return err
		}
		if err := disk.Space().Room(context.Background(), keep, 0); err != nil {
			return fmt.Errorf("mail_dir %s: %w", s.MailDir, err)
		}
		return nil
	}
	return nil
}

// diskOf opens the file system a directory is on, once for all directories on it,
// so that mailboxes and queue share their syncs. The directory is made if it is
// not there.
func (d *Daemon) diskOf(dir string) (*durable.Disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, disk := range d.disks {
		if disk.FS().Covers(dir) {
			return disk, nil
		}
	}
	disk, err := durable.Open(dir)
	if err != nil {
		return nil, err
	}
	d.disks = append(d.disks, disk)
	d.closers = append(d.closers, disk)
	return disk, nil
}

// KeepFree is what is left free on the disk of dir, in octets.
func KeepFree(s *conf.Settings, dir string) int64 {
	if s.Store.KeepFree > 0 {
		return int64(s.Store.KeepFree)
	}
	const least, most = 16 << 20, 1 << 30
	f, _ := freeNear(dir)
	return max(least, min(f.AllOctets/20, most))
}

// freeNear is what the file system has left that dir is on, or will be when it is
// made.
func freeNear(dir string) (f durable.Free, err error) {
	for {
		f, err = durable.FreeOn(dir)
		up := filepath.Dir(dir)
		if err == nil || up == dir {
			return f, err
		}
		dir = up
	}
}

// Space says on which disks of the settings there is no room for mail now.
func Space(s *conf.Settings) (short []error) {
	dirs := map[string]string{"mail_dir": s.MailDir}
	if s.Queue.Deliver {
		dirs["queue_dir"] = s.QueueDir
	}
	for _, name := range slices.Sorted(maps.Keys(dirs)) {
		f, err := freeNear(dirs[name])
		if err == nil {
			err = f.Short(KeepFree(s, dirs[name]))
		}
		if errors.Is(err, durable.ErrNoSpace) {
			short = append(short, fmt.Errorf("%s %s: %w: no mail is taken until there is more", name, dirs[name], err))
		}
	}
	return short
}

// quota is what a mailbox may hold now: its account's limit, else its
// domain's, else the store's.
func (d *Daemon) quota(user string) maildir.Quota {
	st := d.state()
	if st == nil {
		return maildir.Quota{}
	}
	if st.dir.Reports()[domains.Address(user)] {
		return maildir.Quota{Octets: reportQuota}
	}
	s := st.settings
	q := maildir.Quota{Octets: int64(s.Store.Quota), Messages: s.Store.QuotaMessages}
	account := domains.Address(user)
	if dom := st.dir.Domain(account.Domain()); dom != nil && dom.Quota > 0 {
		q.Octets = int64(dom.Quota)
	}
	var own conf.Quota
	if a := st.dir.Account(account); a != nil {
		own = a.Quota
	} else if k := st.elsewhere().Lately(account); k != nil { // mail for it, or a login, has just had it looked for
		own = k.Quota
	}
	switch own {
	case 0:
	case conf.Unlimited:
		q.Octets = 0
	default:
		q.Octets = int64(own)
	}
	return q
}

// domainQuota is what all mailboxes of a domain may hold together.
func (d *Daemon) domainQuota(domain string) maildir.Quota {
	st := d.state()
	if st == nil {
		return maildir.Quota{}
	}
	if dom := st.dir.Domain(domains.Name(domain)); dom != nil {
		return maildir.Quota{Octets: int64(dom.TotalQuota)}
	}
	return maildir.Quota{}
}
