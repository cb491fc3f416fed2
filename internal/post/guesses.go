package post

import (
	"cmp"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// Who tries one name after another finds out which there are. Each refusal has its
// line, until there are too many to write all of them down; that somebody guesses is
// told in any case: at so many unknown recipients from one network within the time,
// and whenever they have doubled.
const (
	manyGuesses   = 20
	guessInterval = time.Hour
	// guessNews is the least time between two such lines, whoever they are about.
	guessNews = time.Second
	// guessers bounds the table of networks.
	guessers = 1 << 14
)

// guesses counts the unknown recipients of each network. The zero value is ready.
type guesses struct {
	mu   sync.Mutex
	by   map[netip.Prefix]*guesser
	last time.Time // that something was told
}

type guesser struct {
	since   time.Time
	unknown int
	next    int // how many of them are the next news
}

// add counts an unknown recipient and returns how many they are by now if that is
// worth telling, else 0.
func (g *guesses) add(from netip.Prefix, now time.Time) (unknown int, since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	who := g.by[from]
	if who == nil || now.Sub(who.since) > guessInterval {
		g.makeRoom(now)
		who = &guesser{since: now, next: manyGuesses}
		g.by[from] = who
	}
	who.unknown++
	if who.unknown < who.next || now.Sub(g.last) < guessNews {
		return 0, who.since
	}
	who.next, g.last = 2*who.unknown, now
	return who.unknown, who.since
}

// makeRoom forgets, where the table is full, those whose time is over, and some of
// those that have not guessed much.
func (g *guesses) makeRoom(now time.Time) {
	if g.by == nil {
		g.by = make(map[netip.Prefix]*guesser)
	}
	if len(g.by) < guessers {
		return
	}
	for from, who := range g.by {
		if now.Sub(who.since) > guessInterval || who.unknown < manyGuesses && len(g.by) > guessers*15/16 {
			delete(g.by, from)
		}
	}
	if len(g.by) >= guessers { // all of them guess: begin again
		clear(g.by)
	}
}

// Guessing is a network that has asked for many recipients who are not there.
type Guessing struct {
	Network string    `json:"network"`
	Unknown int       `json:"unknown"`
	Since   time.Time `json:"since"`
}

// mostGuessing bounds the list of them.
const mostGuessing = 20

// Guessing are the networks that have guessed the most recipients of late.
func (p *Post) Guessing() []Guessing { return p.guesses.list(time.Now()) }

func (g *guesses) list(now time.Time) []Guessing {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := []Guessing{}
	for from, who := range g.by {
		if who.unknown >= manyGuesses && now.Sub(who.since) <= guessInterval {
			all = append(all, Guessing{from.String(), who.unknown, who.since})
		}
	}
	slices.SortFunc(all, func(a, b Guessing) int {
		return cmp.Or(cmp.Compare(b.Unknown, a.Unknown), cmp.Compare(a.Network, b.Network))
	})
	return all[:min(len(all), mostGuessing)]
}

// guessed is the news that a network guesses recipients.
type guessed struct {
	service, session, remote string
	unknown                  int
	within                   time.Duration
}

// Stranger is nobody: the line stands for those about him that are left out.
func (*guessed) Stranger() net.Addr { return nil }

// LogValue implements slog.LogValuer.
func (g *guessed) LogValue() slog.Value {
	return slog.GroupValue(slog.String("service", g.service), slog.String("session", g.session), slog.String("remote", g.remote),
		slog.Int("unknown", g.unknown), slog.Duration("within", g.within))
}

// Refused counts recipients that do not exist.
func (r *Receiver) Refused(s *smtp.Session, f *smtp.Refusal) {
	if s.RemoteAddr == nil || f.Command != "RCPT" || !f.Reply.Is(smtp.ErrNoSuchUser) || r.trusts(s) {
		return
	}
	now := time.Now()
	if unknown, since := r.guesses.add(lineserver.Block(s.RemoteAddr), now); unknown > 0 {
		r.Log.Warn("recipients are guessed", "", &guessed{r.service(s), s.ID, remoteOf(s), unknown, now.Sub(since).Round(time.Second)})
	}
}
