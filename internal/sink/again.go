package sink

import (
	"cmp"
	"net/netip"
	"sync"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/smtp"
)

// again remembers who was told to come again: the first attempt of a client for a sender and a recipient is
// refused, and every one after it is taken, however soon it comes, so that a test need not wait. The zero value is ready.
type again struct {
	mu  sync.Mutex
	had map[attempt]bool
}

type attempt struct {
	client   netip.Addr
	from, to string
}

// mostAttempts is how many are remembered.
const mostAttempts = 10_000

// try reports whether an attempt is not the first.
func (a *again) try(of attempt) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.had[of] {
		return true
	}
	if a.had == nil || len(a.had) >= mostAttempts {
		a.had = make(map[attempt]bool)
	}
	a.had[of] = true
	return false
}

// later is what a greylist rule has a client hear; nil: he has come again.
func (r *receiver) later(s *smtp.Session, facts rules.Facts, rule rules.Again) error {
	a := attempt{}
	a.client, _ = lineserver.IP(s.RemoteAddr)
	if from, _ := facts.Texts(rules.From, ""); len(from) > 0 {
		a.from = from[0]
	}
	if to, _ := facts.Texts(rules.To, ""); len(to) > 0 {
		a.to = to[0]
	}
	if r.again.try(a) {
		return nil
	}
	return &smtp.Reply{Code: 450, Enhanced: "4.7.1", Text: cmp.Or(rule.Message, "You are not known here yet: come again")}
}
