package post

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
)

// Mail that is held for a limit does not expire: a stolen account's would be bounced to its user, and an honest one's lost. So that it is not
// forgotten either, user and postmaster hear of it each day until somebody has released it or thrown it away.

// remindEvery is how often it is looked who is to be reminded; mostReminded how many are at a time, as each looks through
// what the queue holds.
const (
	remindEvery  = time.Hour
	mostReminded = 100
)

// remind tells of mail that is still held.
func (p *Post) remind(ctx context.Context) {
	if p.Outbound == nil {
		return
	}
	for _, h := range p.rates.toRemind(time.Now()) {
		held, err := p.Outbound.queue.CountHeld(ctx, h.name, heldFor)
		if err != nil {
			return // it ends; at the next start the same are asked about
		}
		if p.rates.holds(h, held > 0); held == 0 {
			continue // somebody has released them one by one
		}
		p.rates.tell(&Limited{holder: h}, time.Now())
		p.Log.Warn("mail of a user is still held", "user", h.name, "held", held)
		for _, n := range p.reminders(domains.Address(h.name), held) {
			if err := p.notify(ctx, n); err != nil {
				p.Log.Warn("a notice of too much mail cannot be sent", "to", n.To[0].Addr(), "err", err)
			}
		}
	}
}

// toRemind are accounts whose mail is held, and of which nobody was told for a day.
func (r *rates) toRemind(now time.Time) (all []holder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for h, t := range r.by[OfAccount] {
		if t.turn(now); t.Held && now.Sub(t.Told) >= rateDay {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, func(a, b holder) int {
		return cmp.Or(r.by[OfAccount][a].Told.Compare(r.by[OfAccount][b].Told), cmp.Compare(a.name, b.name))
	})
	return all[:min(len(all), mostReminded)]
}

// reminders are what user and postmaster are told.
func (p *Post) reminders(account domains.Address, held int) []*rfc2822.Draft {
	kept := fmt.Sprintf("%s of %s %s still held in the queue, as a limit was met. Nothing happens to it until somebody decides.", many(held, "message"), account, areOrIs(held))
	return p.both(account, "Your mail is still held", "Mail is still held: "+account.String(),
		[]string{kept, "", "Ask the postmaster to release it, or to throw it away if it is not yours.", ""},
		[]string{kept, "", "This says what it is, releases it in order, or throws it away:", "",
			"    postrider user show " + account.String(), "    postrider user lift " + account.String(), "    postrider user discard " + account.String(), ""})
}
