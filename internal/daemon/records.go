package daemon

import (
	"context"
	"time"

	"github.com/postrider-mail/postrider/internal/published"
)

const (
	// recordsFirst is when the DNS is looked at after a start, by which time what was changed with it should be known, and
	// recordsAgain how often from then on.
	recordsFirst, recordsAgain = 10 * time.Minute, 12 * time.Hour
	// recordsPause is how long it is waited where administrators have zones checked already.
	recordsPause = time.Minute
)

// runRecords has the zones of all domains checked now and then, until ctx ends, so that the metrics and the pages know
// of what was changed elsewhere. Where nothing shows what is found, or nobody elsewhere looks for this host, it does not.
func (d *Daemon) runRecords(ctx context.Context) {
	next := time.NewTimer(recordsFirst)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if s := d.state().settings; s.Web.Listen != "" && s.ServerName != "" && !s.OnlyHere() {
			d.lookAtRecords(ctx)
		}
		if !d.state().settings.OnlyHere() {
			d.lookForOwnEntries(ctx)
		}
		next.Reset(recordsAgain)
	}
}

// lookAtRecords checks one zone after another.
func (d *Daemon) lookAtRecords(ctx context.Context) {
	for _, name := range published.Planned(d.state().settings) {
		done, err := d.desk.Zones().Begin(name)
		for range 10 { // then others keep asking, and see what is found
			if err == nil {
				break
			}
			select {
			case <-time.After(recordsPause):
			case <-ctx.Done():
				return
			}
			done, err = d.desk.Zones().Begin(name)
		}
		if err != nil {
			continue
		}
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}
