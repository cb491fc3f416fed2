package verify

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/greylist"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// Who sends junk does not come again. Those who do lose a minute, which is too long for a code to log in with: so
// nobody loses it of whom the DNS says who he is.

// later is the answer to a suspicious message whose sender has not come through before: it is to come again.
func (i *inspection) later(ctx context.Context, d *Verdict) error {
	times := i.s.rules.Greylist
	if times == nil || !i.suspicious(d) || i.v.forwarded(ctx, i.s, d.Client) {
		return nil
	}
	to := ""
	if len(i.look.Envelope.To) > 0 {
		to = i.look.Envelope.To[0].Path.Address().String()
	}
	if again := i.v.again(knownBy(i.s.client, d), attemptOf(i.s.from, to), *times, ""); again != nil {
		return again
	}
	return nil
}

// Later has a stranger's mail for a recipient come again, if its sender has not come through before, though nothing but
// a rule says that it is suspicious. Whom the settings take for a forwarder has not to, nor has an address that may be any number of hosts'. text
// stands in place of the sender's name in the answer. It is nil where there is nothing to say.
func (v *Verifier) Later(ctx context.Context, session *smtp.Session, from, to string, times greylist.Times, text string) *smtp.Reply {
	client, ok := lineserver.IP(session.RemoteAddr)
	if !ok || session.LMTP || session.FromHere() || private(client) {
		return nil
	}
	d := v.VerdictOf(session)
	if s, ok := session.Values[v].(*sender); ok {
		if result, known := v.SPFOf(ctx, session); d == nil && known && result != spf.TempError {
			d = &Verdict{SPF: s.spf}
		}
		if v.forwarded(s.block.context(ctx), s, s.known()) {
			return nil
		}
	}
	if d == nil {
		d = &Verdict{}
	}
	return v.again(knownBy(client, d), attemptOf(from, to), times, text)
}

// again is the answer to an attempt of somebody who is not known yet; nil: he is.
func (v *Verifier) again(sender, attempt string, times greylist.Times, text string) *smtp.Reply {
	table := v.Greylist()
	if table == nil {
		return nil
	}
	again, ok := table.Try(sender, attempt, times, time.Now())
	if ok {
		return nil
	}
	wait := time.Until(again).Round(time.Second)
	r := &smtp.Reply{Code: 450, Enhanced: "4.7.1"}
	return r.Textf("%s: come again in %d seconds, at %s", cmp.Or(text, sender+" is not known here yet"), int(wait/time.Second), again.Add(time.Second-1).UTC().Format("15:04:05 MST")).
		Noting(slog.String("greylist", sender), slog.Duration("wait", wait))
}

// suspicious reports whether there is a reason to have a message come again: and none that nobody's software would
// give by accident is enough where a domain stands for it.
func (i *inspection) suspicious(d *Verdict) bool {
	switch {
	case d.hidden, d.Allowed.List != "", i.s.rules.softest(i.look.Envelope.To) == Note:
		return false
	case d.DMARC.Result == dmarc.Pass, d.DMARC.DKIM.Aligned:
		return false
	case d.SPF.Result == spf.Pass && d.Client.Result == "pass":
		return false
	}
	listed := slices.ContainsFunc(d.Lists, func(l Listed) bool { return l.Action != Note })
	return listed || d.nowhere() || d.named == noName || d.named == ourName || d.SPF.Result == spf.Fail || d.SPF.Result == spf.SoftFail
}

// knownBy is what stands for a sender: a domain for which SPF or a signature passes, from whichever of its hosts the mail comes,
// else the network.
func knownBy(client netip.Addr, d *Verdict) string {
	if d.SPF.Result == spf.Pass {
		return domains.Canonical(d.SPF.Domain).String()
	}
	for n := range d.DKIM {
		if s := &d.DKIM[n]; s.Status == dkim.Pass {
			return domains.Canonical(s.Domain).String()
		}
	}
	bits := 64
	if client.Is4() {
		bits = 24
	}
	network, _ := client.Prefix(bits)
	return network.String()
}

// attemptOf is what two attempts for one message have in common. Of the recipients it is the first: those behind it may have been refused
// one time, and not the other.
func attemptOf(from, to string) string { return strings.ToLower(from) + " " + to }
