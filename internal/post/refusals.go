package post

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// refusals keeps recipients refused for one and the same reason, a full disk
// above all, from filling the log with it: the first is written down at once, the
// others as a number once an interval. The zero value is ready.
type refusals struct {
	mu sync.Mutex
	by map[string]*tally // by the reply, of which there are few
}

// tally counts what was not written down.
type tally struct {
	n    int
	last []any // attributes of the latest
}

// refusalInterval is how often a reason that lasts is written down.
const refusalInterval = time.Minute

// quiet takes the cause off a refusal, so that the session does not log it for
// every recipient, and notes it here.
func (r *refusals) quiet(log *slog.Logger, s *smtp.Session, mailbox domains.Address, err error) error {
	var reply *smtp.Reply
	if !errors.As(err, &reply) || reply.Unwrap() == nil {
		return err
	}
	attrs := []any{"reply", reply, "err", reply.Unwrap(), "mailbox", mailbox, "session", s.ID}
	key := reply.Error()
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.by[key]; t != nil {
		t.n++
		t.last = attrs
	} else {
		log.Warn("recipient refused", attrs...)
		if r.by == nil {
			r.by = make(map[string]*tally)
		}
		r.by[key] = &tally{}
		time.AfterFunc(refusalInterval, func() { r.sum(log, key) })
	}
	return reply.With(nil)
}

// sum writes down what has gathered for a reason, and forgets it once nothing has.
func (r *refusals) sum(log *slog.Logger, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.by[key]
	if t.n == 0 {
		delete(r.by, key)
		return
	}
	log.Warn("more recipients refused", append([]any{"count", t.n, "within", refusalInterval}, t.last...)...)
	*t = tally{}
	time.AfterFunc(refusalInterval, func() { r.sum(log, key) })
}
