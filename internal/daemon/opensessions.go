package daemon

import (
	"context"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// tendSessions has sessions of mail programs end when what has opened them opens nothing any more.
func (d *Daemon) tendSessions() {
	open := d.state().credentials.Sessions()
	open.Opens = func(account domains.Address, by string) bool { return d.state().credentials.Opens(account, by) }
	open.Ended = func(session string, account domains.Address) {
		d.log.Info("a session was ended, as its password does not open the account any more", "session", session, "user", account.String())
	}
}

// revisitSessions is endSessions for what nobody tells us: that a directory has an entry no more.
func (d *Daemon) revisitSessions(ctx context.Context) {
	d.state().credentials.Revisit(ctx)
	d.endSessions("")
}

// endSessions ends those of an account, or ("") of all. It is called after each change of what opens accounts, and once a minute, for
// the changes that another process has made, and because the last day of a password passes.
func (d *Daemon) endSessions(account domains.Address) {
	d.state().credentials.Sessions().Sweep(account)
}
