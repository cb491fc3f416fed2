package sink

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/smtp"
)

// Yakkers are clients that connect, and do nothing: who has done so Count times within For is answered 421 at once, until For
// is over; so is whom a rule says to be one (make-yakker). Their dialogues are not remembered. The zero value knows only those of rules, for an hour each. Its fields must not
// be changed while it works; its methods may be called concurrently.
type Yakkers struct {
	Count int           // 0: none but those of rules
	For   time.Duration // 0: an hour
	Least Reached       // what is something; the zero value: a message that is there
	Log   *slog.Logger  // of those who do nothing; may be nil

	mu sync.Mutex
	by map[netip.Addr]yakking
}

// yakking is what one client has not done.
type yakking struct {
	since time.Time
	times int
}

// Reached is how far a client has come.
type Reached uint8

// How far it can be.
const (
	_               Reached = iota
	ReachedHelo             // it has said who it is,
	ReachedFrom             // who sends,
	ReachedTo               // to somebody,
	ReachedData             // that a message comes,
	ReachedMessage          // which did,
	ReachedAccepted         // and was taken
)

var reachedNames = [...]string{"nothing", "helo", "from", "to", "data", "message", "accepted"}

// String is one of the words that ParseReached reads.
func (r Reached) String() string { return reachedNames[r] }

// ParseReached reads helo, from, to, data, message or accepted.
func ParseReached(text string) (Reached, error) {
	for i, name := range reachedNames[1:] {
		if text == name {
			return Reached(i + 1), nil
		}
	}
	return 0, fmt.Errorf("%q is none of helo, from, to, data, message and accepted", text)
}

// mostYakkers is how many are remembered.
const mostYakkers = 10_000

func (y *Yakkers) long() time.Duration {
	if y.For > 0 {
		return y.For
	}
	return time.Hour
}

// is reports whether a client is one.
func (y *Yakkers) is(client netip.Addr, now time.Time) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	k, ok := y.by[client]
	if !ok {
		return false
	}
	if since := now.Sub(k.since); since >= y.long() {
		delete(y.by, client)
		return false
	}
	return k.times >= max(y.Count, 1)
}

// add notes that a client has done nothing; made: a rule says that it is one.
func (y *Yakkers) add(client netip.Addr, made bool, now time.Time) {
	if y.Count == 0 && !made {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	k, ok := y.by[client]
	if !ok || now.Sub(k.since) >= y.long() {
		k = yakking{since: now}
	}
	k.times++
	if made {
		k = yakking{now, max(y.Count, 1)}
	}
	if y.by == nil {
		y.by = make(map[netip.Addr]yakking)
	}
	if !ok && len(y.by) >= mostYakkers {
		y.makeRoom(now)
	}
	y.by[client] = k
}

// makeRoom forgets whose time is over, and if there are none any others.
func (y *Yakkers) makeRoom(now time.Time) {
	for client, k := range y.by {
		if now.Sub(k.since) >= y.long() {
			delete(y.by, client)
		}
	}
	for client := range y.by {
		if len(y.by) < mostYakkers*15/16 {
			return
		}
		delete(y.by, client)
	}
}

// visit is what rules, and who counts who does nothing, keep of a session.
type visit struct {
	reached Reached
	saveDir string // where the last rule that says so has its messages saved
	note    string // of the last rule
	yakker  bool
}

// visitKey is where a session has it.
type visitKey struct{}

func visitOf(s *smtp.Session) *visit {
	v, _ := s.Values[visitKey{}].(*visit)
	if v == nil {
		v = &visit{}
		s.Set(visitKey{}, v)
	}
	return v
}

// came notes how far a session has come, if nothing was refused.
func came(s *smtp.Session, to Reached, err error) error {
	if v := visitOf(s); err == nil {
		v.reached = max(v.reached, to)
	}
	return err
}

// noted keeps what a decision says beside its answer.
func (r *receiver) noted(s *smtp.Session, d *rules.Decision) {
	if d.SaveDir == "" && d.TLS == "" && d.Note == "" && !d.MakeYakker {
		return
	}
	v := visitOf(s)
	s.NoTLS = s.NoTLS || d.TLS == "off"
	s.NoClientCertificate = s.NoClientCertificate || d.TLS == "no-client"
	if d.SaveDir != "" {
		v.saveDir = d.SaveDir
	}
	if d.Note != "" {
		v.note = d.Note
	}
	if client, ok := lineserver.IP(s.RemoteAddr); ok && d.MakeYakker {
		r.Yakkers.add(client, true, time.Now())
		v.yakker = true
	}
}

// errYakker is what one hears who does nothing.
var errYakker = &smtp.Reply{Code: 421, Enhanced: "4.7.0", Text: "You have come too often without doing anything; try again later"}

// welcome refuses who does nothing.
func (r *receiver) welcome(s *smtp.Session) error {
	if client, ok := lineserver.IP(s.RemoteAddr); ok && r.Yakkers.is(client, time.Now()) {
		visitOf(s).yakker = true
		return errYakker
	}
	return nil
}

// done counts who has done nothing.
func (r *receiver) done(s *smtp.Session, _ *smtp.Summary) {
	least := r.Yakkers.Least
	if least == 0 {
		least = ReachedMessage
	}
	v := visitOf(s)
	client, ok := lineserver.IP(s.RemoteAddr)
	if v.reached >= least || v.yakker || !ok {
		return
	}
	r.Yakkers.add(client, false, time.Now())
	if r.Yakkers.Log != nil {
		r.Yakkers.Log.Info("nothing done", "client", client, "helo", s.Helo, "reached", v.reached.String())
	}
}
