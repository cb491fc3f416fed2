package daemon

import (
	"context"
	"maps"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
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

// retirePreferences puts aside what users had decided whose accounts are not there any more.
func (d *Daemon) retirePreferences(st *state) {
	n, err := d.preferences.Retire(context.Background(), maps.Keys(st.dir.Accounts()))
	switch {
	case err != nil:
		d.log.Warn("what users of accounts that are gone had decided is not put aside", "err", err)
	case n > 0:
		d.log.Info("what users of accounts that are gone had decided is put aside", "accounts", n, "dir", preferences.Dir(st.settings.DataDir))
	}
}
