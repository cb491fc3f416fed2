package daemon

import (
	"context"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/reports"
)

// openReports makes what reads the reports of other hosts. It is there without an
// address for them too: a reload may bring one.
func (d *Daemon) openReports(s *conf.Settings) error {
	disk, err := d.diskOf(s.DataDir)
	if err != nil {
		return err
	}
	kept, err := reports.OpenStore(context.Background(), reports.Dir(s.DataDir), disk)
	if err != nil {
		return err
	}
	d.reports = &reports.Reader{
		Mailboxes: d.store, Store: kept, Log: d.log,
		Names: func() []string { return d.state().settings.ReportMailboxes() },
		Age:   func() time.Duration { return d.state().settings.Reports.Keep },
	}
	return nil
}
