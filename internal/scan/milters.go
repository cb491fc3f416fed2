package scan

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Milter says which milter is asked, and what is done without it.
type Milter struct {
	Name             string // in replies, in fields and in the log
	Network, Address string // "unix" and a path, or "tcp" and a host with its port
	// Wait is how long it may take for one answer. For all of a message it may take twice that.
	Wait time.Duration
	// MaxSize is how many octets of a message it is given; of larger ones it has no say. 0 is any number.
	MaxSize int64
	// Later refuses for now what it could not be asked about; else that is taken, with a field that says so.
	Later bool
}

// Milters is a post.Inspector that asks milters, one after another. Each hears of the client, its sender and a recipient once all else
// speaks for that recipient, and of the message while it passes. Its fields must not be changed while it works; it may be used concurrently.
type Milters struct {
	// Settings are those of the moment. A transaction keeps to what it got at MAIL.
	Settings func() []Milter
	// Scanned is told what each milter had to say of each message, in one of Outcomes, and for how long it had the message wait; nil: nobody is.
	Scanned func(outcome string, took time.Duration)
	// Marked reports whether a session's message has got the fields of junk from somebody else; nil: no.
	Marked func(*smtp.Session) bool
	Log    *slog.Logger

	idle time.Duration // 0 is clientIdle

	mu       sync.Mutex
	breakers map[string]*breaker // by address: they outlive a reload
}

// breakerOf is that of a milter.
func (m *Milters) breakerOf(set *Milter) *breaker {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.breakers == nil {
		m.breakers = make(map[string]*breaker)
	}
	b := m.breakers[set.Address]
	if b == nil {
		b = new(breaker)
		m.breakers[set.Address] = b
	}
	return b
}

// Problems is what is wrong with the milters, for who looks after the server.
func (m *Milters) Problems() (all []string) {
	for _, set := range m.Settings() {
		if since, err := m.breakerOf(&set).broken(); err != nil {
			all = append(all, "the milter "+set.Name+" has not answered since "+since.Format(time.DateTime)+": "+err.Error()+"; look at its log, and at Verify.Milters")
		}
	}
	return all
}

// Sender implements post.Inspector. Nobody is asked yet: who only knocks at doors costs a milter nothing.
func (m *Milters) Sender(ctx context.Context, s *smtp.Session, _ smtp.Path, trusted bool) error {
	if v, ok := s.Values[m].(*visit); ok {
		v.close()
		delete(s.Values, m)
	}
	if trusted || s.LMTP {
		return nil
	}
	v := new(visit)
	for _, set := range m.Settings() {
		v.all = append(v.all, &consultation{m: m, set: set, breaker: m.breakerOf(&set), session: s, ctx: ctx})
	}
	if len(v.all) > 0 {
		s.Set(m, v)
	}
	return nil
}

// Recipient implements post.Doorkeeper. That a milter has something against the client or the sender is said here as well.
func (m *Milters) Recipient(_ context.Context, s *smtp.Session, to *smtp.Recipient) error {
	v, ok := s.Values[m].(*visit)
	if !ok {
		return nil
	}
	for _, c := range v.all {
		if err := c.recipient(to); err != nil {
			return err
		}
	}
	return nil
}

// visit is what the milters are asked about one transaction.
type visit struct{ all []*consultation }

func (v *visit) close() {
	for _, c := range v.all {
		c.close()
	}
}

// working reports whether somebody is to be told of the message.
func (v *visit) working() bool {
	for _, c := range v.all {
		if c.client != nil {
			return true
		}
	}
	return false
}

// Inspect implements post.Inspector.
func (m *Milters) Inspect(_ context.Context, look *post.Look) post.Inspection {
	s := look.Envelope.Session
	if s == nil || look.Trusted {
		return nil
	}
	v, ok := s.Values[m].(*visit)
	if !ok {
		return nil
	}
	i := &consulting{m: m, visit: v, look: look}
	if (look.Header.Truncated() || look.Header.Len() > mostHeader) && v.working() {
		// Fields that nobody has looked at would be a part of the body for a milter, and for no mail program. And each of them costs an
		// answer: a header of fields without end must not be what uses up a milter's time.
		i.refused = post.TooLong(look.Busy)
		return i
	}
	header, _, _ := rfc2822.ParseHeader(look.Completed + look.Header.String())
	for _, c := range v.all {
		if i.refused = c.header(&header); i.refused != nil {
			break
		}
	}
	return i
}

// mostHeader is how many fields of a header a milter is told of. Honest ones have less than a hundred.
const mostHeader = 2000

// consulting is one message that passes the milters.
type consulting struct {
	m       *Milters
	visit   *visit
	look    *post.Look
	waiting []byte // of the body, until there is a piece of it
	refused error
}

// piece is how many octets of a body are told at a time: each costs an answer, and a client that sends octet by octet must not use up a
// milter's time.
const piece = 32 << 10

// Write implements io.Writer. What is refused is not read on.
func (i *consulting) Write(p []byte) (int, error) {
	n := len(p)
	for i.refused == nil && len(p) > 0 && i.visit.working() {
		fits := min(len(p), piece-len(i.waiting))
		i.waiting = append(i.waiting, p[:fits]...)
		if p = p[fits:]; len(i.waiting) == piece {
			i.tell()
		}
	}
	return n, i.refused
}

// tell tells what waits to be told.
func (i *consulting) tell() {
	for _, c := range i.visit.all {
		if i.refused == nil && len(i.waiting) > 0 {
			i.refused = c.body(i.waiting)
		}
	}
	i.waiting = i.waiting[:0]
}

// Room that is kept for what most milters say. Who says more has a large message written twice.
const (
	roomForMarks  = 200
	roomForFields = 400
)

// Most implements post.Inspection.
func (i *consulting) Most() (results, fields int) {
	return len(i.visit.all) * roomForMarks, len(i.visit.all) * roomForFields
}

// Places implements post.Diverter: a milter may have a message thrown away, and names no mailbox.
func (i *consulting) Places() []domains.Address { return nil }

// Findings implements post.Inspection.
func (i *consulting) Findings(context.Context) (found post.Findings, err error) {
	defer i.visit.close()
	if i.tell(); i.refused != nil {
		return found, i.refused
	}
	var said, refused []string
	for _, c := range i.visit.all {
		wishes := &wishes{header: i.look.Header}
		if err := c.end(wishes); err != nil {
			return post.Findings{}, err
		}
		outcome := c.outcome(wishes)
		c.tell(outcome)
		said = append(said, c.set.Name+":"+outcome)
		for _, change := range wishes.refused {
			refused = append(refused, c.set.Name+": "+change)
		}
		found.Fields = append(found.Fields, wishes.fields...)
		switch outcome {
		case "discarded":
			found.Instead = &post.Instead{}
		case "marked":
			i.mark(&found, c.set.Name+": "+wishes.quarantine)
		case "failed", "skipped":
			found.Results = append(found.Results, verify.Unscanned(c.set.Name)...)
		}
		if found.Instead != nil {
			break
		}
	}
	found.Facts = append(found.Facts, slog.String("milter", strings.Join(said, " ")))
	if len(refused) > 0 {
		found.Facts = append(found.Facts, slog.String("milter_refused", strings.Join(refused, ", ")))
	}
	return found, nil
}

// mark has the message put aside, or marked where there is no place for that. A milter that wants so looks for viruses,
// as a rule, and says no more than words about it.
func (i *consulting) mark(found *post.Findings, why string) {
	if !found.Junk && (i.m.Marked == nil || !i.m.Marked(i.look.Envelope.Session)) {
		found.Results = append(found.Results, verify.Marks(why)...)
	}
	if found.Junk, found.Unsafe = true, true; found.Aside == "" {
		found.Aside = why
	}
}
