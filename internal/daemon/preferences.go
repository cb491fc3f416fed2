package daemon

import (
	"context"
	"maps"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// openPreferences opens what users have decided about their accounts.
func (d *Daemon) openPreferences(s *conf.Settings) error {
	disk, err := d.diskOf(s.DataDir)
	if err != nil {
		return err
	}
	d.preferences, err = preferences.Open(context.Background(), preferences.Dir(s.DataDir), disk)
	return err
}

// followEvery is how old what other servers have changed for a user may be here.
const followEvery = time.Second

// sharePreferences has what users decide hold for all servers on the database. What cannot be had now is as this server knows it.
func (d *Daemon) sharePreferences() {
	if d.together.documents == nil {
		return
	}
	d.preferences.Share(d.together.counts, func(account domains.Address) {
		if d.began.Load() {
			d.endSessions(account)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := d.preferences.Follow(ctx); err != nil {
		d.log.Warn("what users have decided at other servers is not known", "err", err)
	}
}

func (d *Daemon) followPreferences(ctx context.Context) {
	if err := d.preferences.Follow(ctx); err != nil && ctx.Err() == nil {
		d.log.Debug("what users have decided at other servers is not known now", "err", err)
	}
}

// retirePreferences puts aside what users had decided whose accounts are not there any more. What others keep accounts of is theirs to say, and
// not now: retireLeavers asks them.
func (d *Daemon) retirePreferences(st *state) {
	d.retire(st, func(a domains.Address) bool { return st.elsewhere().Knows(a.Domain()) })
}

// retire does so. What belongs to several servers is put aside once all of them have the same settings: to one that was not told yet, accounts are gone that
// are new.
func (d *Daemon) retire(st *state, others func(domains.Address) bool) {
	if d.together.documents != nil && !d.alike(st.settings) {
		return
	}
	n, err := d.preferences.Retire(context.Background(), maps.Keys(st.dir.Accounts()), others)
	switch {
	case err != nil:
		d.log.Warn("what users of accounts that are gone had decided is not put aside", "err", err)
		d.nodes.mu.Lock()
		d.nodes.alike = nil // so that it is tried again when they are found to agree the next time
		d.nodes.mu.Unlock()
	case n > 0:
		d.log.Info("what users of accounts that are gone had decided is put aside", "accounts", n, "dir", preferences.Dir(st.settings.DataDir))
	}
}

// leavers are the accounts that nobody elsewhere knew the last time they were asked.
type leavers map[domains.Address]bool

// retireLeavers asks whoever keeps accounts about each whose user has decided something, and puts that aside once nobody has known the account twice in turn:
// an entry that is moved may be away for a moment. Where none of several is known, the directory is more likely not to tell than all are gone.
func (d *Daemon) retireLeavers(ctx context.Context, before *leavers) {
	st := d.state()
	all, err := d.preferences.Accounts()
	if err != nil || !st.settings.Elsewhere.HasAccounts() {
		*before = nil
		return
	}
	now, known := make(leavers), 0
	for _, a := range all {
		if st.dir.Account(a) != nil || !st.elsewhere().Knows(a.Domain()) {
			continue
		}
		switch k, err := st.credentials.FindElsewhere(ctx, a); {
		case err != nil: // it cannot be known now
		case k == nil:
			now[a] = true
		default:
			known++
		}
	}
	if known == 0 && len(now) > 1 {
		d.log.Warn("nobody who has decided something is known to whoever keeps accounts any more: it is kept", "accounts", len(now))
		*before = nil
		return
	}
	was := *before
	*before = now
	d.retire(st, func(a domains.Address) bool { return st.elsewhere().Knows(a.Domain()) && !(now[a] && was[a]) })
}
