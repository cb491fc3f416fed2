package verify

import (
	"context"
	"fmt"

	"github.com/postrider-mail/postrider/smtp/dmarc"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// suspect does more where the client's address, its names or a DNS list give reason to, though nothing is wrong
// with whom the message is from.
func (i *inspection) suspect(ctx context.Context, d *Verdict) {
	if d.Action == Refuse || d.hidden || d.Allowed.List != "" {
		return
	}
	rules := i.s.rules
	reasons := i.suspicions(d)
	if len(reasons) == 0 || i.v.forwarded(ctx, i.s, d.Client) {
		return
	}
	softest := rules.softest(i.look.Envelope.To)
	for _, r := range reasons {
		action := rules.possible(r.action)
		if action == Refuse { // somebody was not refused at RCPT, for his own sake
			action = Mark
		}
		if softest.below(action) {
			action = softest
		}
		switch {
		case action == Note:
			continue
		case d.Action == Note:
			d.Action, d.Why = action, r.why
		default:
			if d.Action.below(action) {
				d.Action = action
			}
			d.Why += "; " + r.why
		}
	}
}

// suspicion is a reason to do something.
type suspicion struct {
	action Action
	why    string
}

// suspicions are all of them, the worst lists first.
func (i *inspection) suspicions(d *Verdict) (all []suspicion) {
	rules := i.s.rules
	add := func(action Action, format string, args ...any) {
		if action != Note && action != "" {
			all = append(all, suspicion{action, fmt.Sprintf(format, args...)})
		}
	}
	for n := range d.Lists {
		add(d.Lists[n].Action, "%s", d.Lists[n].String())
	}
	if d.named == ourName && i.s.spfOfHello() != spf.Pass {
		add(rules.OwnHello, "the client calls itself %s, which is this server", d.Helo)
	}
	if d.stands() || d.DMARC.Result == dmarc.Pass {
		return all // somebody answers for it, whatever his host is called
	}
	if d.nowhere() {
		add(rules.ReverseName, "the client %s has no name in the DNS that leads back to it", d.Client.Addr)
	}
	if d.named == noName {
		add(rules.Hello, "the client calls itself %q, and there is no such host", d.Helo)
	}
	return all
}

// nowhere reports whether the DNS says that a client has no name that leads back to it. That it says nothing is
// not that.
func (d *Verdict) nowhere() bool { return d.Client.Result == "fail" || d.Client.Result == "permerror" }
