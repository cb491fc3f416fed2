package verify

import (
	"context"
	"net"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// What was found out, for others who judge the same mail: it is looked for once.

// verdictKey is where a session keeps the verdict on its message.
type verdictKey struct{ *Verifier }

// VerdictOf is what was found out about a session's message, once all of it has passed; nil where it was
// not looked at: of clients who are trusted, and while the settings say so.
func (v *Verifier) VerdictOf(s *smtp.Session) *Verdict {
	d, _ := s.Values[verdictKey{v}].(*Verdict)
	return d
}

// Best is the best result of the signatures, in the words of RFC 8601.
func (d *Verdict) Best() string { return d.best() }

// SPFOf is the result for the sender of a session's transaction. It waits for the DNS; not known is what
// could not be found out, or is not looked at.
func (v *Verifier) SPFOf(ctx context.Context, s *smtp.Session) (result spf.Result, known bool) {
	now, ok := s.Values[v].(*sender)
	if !ok || private(now.client) {
		return 0, false
	}
	if !now.asked {
		if !v.bounds.begins(now.block.network) {
			return 0, false
		}
		now.early = true
		v.ask(ctx, now)
	}
	if !now.wait(ctx) {
		return spf.TempError, true
	}
	return now.spf.Result, true
}

// DNS asks the DNS about a client, or what he names, within what strangers may have asked: with the context
// that it returns.
func (v *Verifier) DNS(ctx context.Context, client net.Addr) (context.Context, Resolver) {
	return callerAt(client).context(ctx), v.dns()
}
