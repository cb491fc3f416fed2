package verify

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
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
	table := i.v.Greylist()
	if table == nil {
		return nil
	}
	sender := i.knownBy(d)
	again, ok := table.Try(sender, i.attempt(), *times, time.Now())
	if ok {
		return nil
	}
	wait := time.Until(again).Round(time.Second)
	r := &smtp.Reply{Code: 450, Enhanced: "4.7.1"}
	return r.Textf("%s is not known here yet: come again in %d seconds, at %s", sender, int(wait/time.Second), again.Add(time.Second-1).UTC().Format("15:04:05 MST")).
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
func (i *inspection) knownBy(d *Verdict) string {
	if d.SPF.Result == spf.Pass {
		return domains.Canonical(d.SPF.Domain).String()
	}
	for n := range d.DKIM {
		if s := &d.DKIM[n]; s.Status == dkim.Pass {
			return domains.Canonical(s.Domain).String()
		}
	}
	bits := 64
	if i.s.client.Is4() {
		bits = 24
	}
	network, _ := i.s.client.Prefix(bits)
	return network.String()
}

// attempt is what two attempts for one message have in common. Of the recipients it is the first: those behind it may have been refused
// one time, and not the other.
func (i *inspection) attempt() string {
	to := ""
	if len(i.look.Envelope.To) > 0 {
		to = i.look.Envelope.To[0].Path.Address().String()
	}
	return fmt.Sprintf("%s %s", strings.ToLower(i.s.from), to)
}
