package post

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// What one user sends has a bound by the hour, so that an account whose password is
// known to others is not an open door for as long as nobody looks.

// Rate is how much a user may send in an hour. Zero is any number.
type Rate struct{ Messages, Recipients int }

// rateHour begins with the first message behind the hour before.
const rateHour = time.Hour

// rates count what users have sent in their hours. The zero value is ready.
type rates struct {
	mu sync.Mutex
	by map[string]*sent
}

type sent struct {
	since                time.Time
	messages, recipients int
	full                 string // what it reached, empty while it has not
}

// Sender is a user who has sent as much as he may for now.
type Sender struct {
	User       string    `json:"user"`
	Messages   int       `json:"messages"` // since then
	Recipients int       `json:"recipients"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"` // when he may send again
}

// take counts messages and recipients of a user's, all or none: none where they are
// more than the rate leaves. first reports whether that is news.
func (r *rates) take(user string, rate Rate, messages, recipients int, now time.Time) (refused *smtp.Reply, first *Sender) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.by[user]
	if s == nil || now.Sub(s.since) >= rateHour {
		r.makeRoom(now)
		s = &sent{since: now}
		r.by[user] = s
	}
	full := ""
	switch {
	case rate.Messages > 0 && s.messages+messages > rate.Messages:
		full = fmt.Sprintf("%d messages an hour, has sent %d", rate.Messages, s.messages)
	case rate.Recipients > 0 && s.recipients+max(recipients, messages) > rate.Recipients:
		// A message is refused before it is sent where there is no recipient left.
		full = fmt.Sprintf("%d recipients an hour, has named %d", rate.Recipients, s.recipients)
	}
	if full == "" {
		s.messages, s.recipients = s.messages+messages, s.recipients+recipients
		return nil, nil
	}
	if s.full == "" {
		f := s.sender(user)
		first = &f
	}
	s.full = full
	text := fmt.Sprintf("%s may have %s since %s; try again at %s", user, full, s.since.UTC().Format("15:04"), s.since.Add(rateHour).UTC().Format("15:04 MST"))
	return &smtp.Reply{Code: 450, Enhanced: "4.7.1", Text: text}, first
}

// makeRoom forgets those whose hour is over.
func (r *rates) makeRoom(now time.Time) {
	if r.by == nil {
		r.by = make(map[string]*sent)
	}
	if len(r.by)%256 != 0 {
		return
	}
	for user, s := range r.by {
		if now.Sub(s.since) >= rateHour {
			delete(r.by, user)
		}
	}
}

func (s *sent) sender(user string) Sender {
	return Sender{User: user, Messages: s.messages, Recipients: s.recipients, Since: s.since, Until: s.since.Add(rateHour)}
}

// Full are the users who have sent as much as they may for now.
func (p *Post) Full() []Sender {
	p.rates.mu.Lock()
	defer p.rates.mu.Unlock()
	all := []Sender{}
	for user, s := range p.rates.by {
		if s.full != "" && time.Since(s.since) < rateHour {
			all = append(all, s.sender(user))
		}
	}
	slices.SortFunc(all, func(a, b Sender) int { return cmp.Compare(a.User, b.User) })
	return all
}

// LogValue implements slog.LogValuer.
func (s *Sender) LogValue() slog.Value {
	return slog.GroupValue(slog.String("user", s.User), slog.Int("messages", s.Messages), slog.Int("recipients", s.Recipients), slog.Time("until", s.Until))
}

// mayHave counts messages and recipients of a session's user, or refuses them.
func (p *Post) mayHave(s *smtp.Session, messages, recipients int) error {
	rules := p.rules(s)
	if rules.Rate == nil || s.User == "" {
		return nil
	}
	refused, news := p.rates.take(s.User, rules.Rate(s.User), messages, recipients, time.Now())
	if news != nil {
		p.Log.Warn("user sends too much", "", news)
	}
	if refused != nil {
		return refused
	}
	return nil
}
