package daemon

import (
	"context"

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
