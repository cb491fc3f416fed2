package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

// tell notes that the service manager could not be told something, which is no
// reason to serve nobody.
func (d *Daemon) tell(err error) {
	if err != nil {
		d.log.Warn("the service manager does not hear", "err", err)
	}
}

// serves is what the service manager shows of a daemon in good health.
func (d *Daemon) serves() string {
	s := d.state().settings
	return fmt.Sprintf("serving %s on %d listeners", s.ServerName, len(s.Listeners))
}

// brief is the first problem of an error, without the lines it stands on.
func brief(err error) string {
	var e *config.Error
	if errors.As(err, &e) {
		return e.Brief()
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// stayAlive tells the service manager's watchdog that the daemon lives, as long
// as the lock can be had that every connection needs.
func (d *Daemon) stayAlive(ctx context.Context) {
	if d.manager == nil || d.manager.Watchdog == 0 {
		return
	}
	every(ctx, d.manager.Watchdog/2, func() {
		d.pool.Len()
		d.tell(d.manager.Alive())
	})
}

// every does something again and again until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}
