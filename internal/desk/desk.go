// Package desk is what administrators see and change of a server that runs: what stands
// behind the pages of internal/pages/admin, and behind the commands of the control socket. It
// knows the rooms that it asks, and not the server.
package desk

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/internal/trace"
	"github.com/postrider-mail/postrider/mailstore"
)

// Moment is what follows from the settings in force.
type Moment struct {
	Settings    *conf.Settings
	Directory   *accounts.Directory
	Credentials *accounts.Credentials
	Rules       *post.Rules
	Names       *Names // of this Directory
}

// Needs are what a Desk asks of others. All are needed but those that say otherwise.
type Needs struct {
	Now         func() Moment // it is asked very often
	Files       *change.Server
	Store       mailstore.Store
	Quota       func(mailbox string) mailstore.Quota
	Preferences *preferences.Store
	MailKeys    *mailkeys.Store
	Post        *post.Post
	Keys        *sign.Ring
	Recent      *trace.Ring
	Reports     *reports.Store
	// TakesReports reports whether others' reports are read here.
	TakesReports func() bool
	// Resolvers are the addresses of the DNS servers to ask by settings.
	Resolvers func(*conf.Settings) ([]string, error)
	Log       *slog.Logger
}

// Desk sees and changes a server. Its methods may be called concurrently.
type Desk struct {
	Needs
	zones *Zones
	seen  seen // accounts that others keep
}

// New makes a Desk; Close ends it.
func New(needs Needs) *Desk {
	d := &Desk{Needs: needs}
	d.zones = newZones(d)
	return d
}

// Close ends the checks that are under way. It implements io.Closer.
func (d *Desk) Close() error { return d.zones.close() }

// Zones are what the DNS was found to have.
func (d *Desk) Zones() *Zones { return d.zones }

// Pages are what the pages of administrators ask. Overview and Flows, which are about the
// whole server, are the caller's to set.
func (d *Desk) Pages() admin.Server {
	who, leads := accountPages{d}, aliasPages{d}
	return admin.Server{
		Queue: queuePages{d}, Mail: newLog(d), Lines: d.Recent, Leads: d.leads, Reports: &reportPages{Desk: d},
		Accounts: who, Lockouts: who, Aliases: leads, Domains: leads, Settings: d.settings, Files: d.Files, DNS: d.zones,
	}
}

// Commands adds what the command line asks through the control socket: about the queue, what
// accounts send, and keys.
func (d *Desk) Commands(mux *http.ServeMux) {
	d.queueCommands(mux)
	d.limitCommands(mux)
	d.keyCommands(mux)
}

// apply changes the files of the settings, and puts them in force.
func (d *Desk) apply(ctx context.Context, edit change.Editor) error { return d.Files.Apply(ctx, edit) }
