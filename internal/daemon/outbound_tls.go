package daemon

import (
	"bytes"
	"context"

	"github.com/postrider-mail/postrider/conf"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// newReports makes what counts how TLS fares and tells the domains that ask.
// It lives as long as the daemon, and asks the DNS servers of the start. It is
// nil where the settings name nobody who tells.
func (o *outbound) newReports(s *conf.Settings) (*relay.TLSReports, error) {
	contact := s.Queue.TLSReport
	if contact == "" {
		return nil, nil
	}
	servers, err := resolvers(s.Queue.DNSServers)
	if err != nil {
		return nil, err
	}
	_, organization := split(contact)
	return &relay.TLSReports{
		Organization: organization, Contact: contact, Hostname: s.ServerName,
		Resolver: &relay.DNS{Servers: servers, Trusted: s.Queue.DNSSECTrusted},
		Send:     o.sendReport,
		Cache:    o.cache,
	}, nil
}

// sendReport queues one report. What comes of it, nobody needs to know.
func (o *outbound) sendReport(ctx context.Context, to string, message []byte) error {
	e := &queue.Entry{From: o.reports.Contact, To: []queue.Recipient{{Address: to, Notify: queue.NotifyNever}}}
	return o.queue.Submit(ctx, e, bytes.NewReader(message))
}
