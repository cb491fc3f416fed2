package daemon

import (
	"context"

	"github.com/postrider-mail/postrider/conf"
	"github.com/postrider-mail/postrider/smtp"
)

// outbound is mail for other hosts.
type outbound struct{}

func (o *outbound) room(context.Context, int64) error { return nil }

func (o *outbound) begin(context.Context, *smtp.Envelope, []remote) (copyOf, error) {
	return nil, smtp.ErrRelayDenied
}

func (o *outbound) run(context.Context)        {}
func (o *outbound) reconfigure(*conf.Settings) {}

func (d *Daemon) openOutbound(*conf.Settings) error { return nil }
