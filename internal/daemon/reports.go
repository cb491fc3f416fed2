package daemon

import (
	"context"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/reports"
)

// reportQuota is what may wait in a mailbox for reports, in octets. They are read within
// a minute.
const reportQuota = 200 << 20

// reportMailboxes are the mailboxes that take reports by the settings of the moment.
func (d *Daemon) reportMailboxes() (names []string) {
	for address := range d.state().dir.Reports() {
		names = append(names, address.String())
	}
	return names
}

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
		Names: d.reportMailboxes,
		Age:   func() time.Duration { return d.state().settings.Reports.Keep },
	}
	return nil
}
