package post

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/queue/sealed"
)

// Sending is how mail leaves by one set of settings.
type Sending struct {
	// Queue has the times and the limits, and the name in reports.
	Queue queue.Config
	// Relay makes the attempts. Outbound adds its cache and its log, and what asks for
	// policies and counts how TLS fares; the relay is its own from then on.
	Relay *relay.Relay
	// STS: domains are asked for their MTA-STS policies.
	STS bool
	// SRS makes the senders of mail that aliases lead to other hosts. Without a Key
	// nothing is forwarded, nor was.
	SRS *queue.SRS
	// Keys seal messages while they wait, or open those that were sealed; nil: there are none.
	Keys *sealed.Keys
	// Own is how much of its own the server sends: what is above waits.
	Own Rate
}

// Reconfigure has the queue obey new settings, and puts their relay in place of the
// old one, whose idle connections are closed.
func (o *Outbound) Reconfigure(s *Sending) {
	o.spool.Use(s.Keys)
	if o.shared != nil {
		o.shared.Use(s.Keys)
	}
	r := s.Relay
	r.Cache, r.Log = o.cache, o.need.Log
	policies := policyClient(r.Resolver, r.Roots, r.Private)
	if s.STS {
		r.STS = &relay.STS{Resolver: r.Resolver, Cache: o.cache, HTTP: policies, Log: o.need.Log}
	}
	if o.reports != nil {
		r.Report = o.reports.Add
		o.reports.Rename(r.Hostname)
		o.reports.Use(r.Resolver, policies)
	}
	o.srs.Store(s.SRS)
	o.ownRate.Store(&s.Own)
	o.queue.Reconfigure(s.Queue)
	if old := o.relay.Swap(r); old != nil {
		old.Close()
	}
}

// KnowsRoute refuses a route that no setting has: the message would go the
// usual way, and nobody would notice.
func (o *Outbound) KnowsRoute(name string) error {
	routes := o.relay.Load().Routes
	if _, ok := routes[name]; ok || name == "" {
		return nil
	}
	if len(routes) == 0 {
		return fmt.Errorf("there is no route %q: Queue.Routes is empty", name)
	}
	return fmt.Errorf("there is no route %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(routes)), ", "))
}
