package admin

import (
	"context"
	"errors"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/trace"
	"github.com/postrider-mail/postrider/smtp/queue"
)

const (
	waysOnPage = 20
	// linesOfWay are those shown of one message among others, and linesOfOne of one alone.
	linesOfWay, linesOfOne = 10, 200
	// wordsOnPage is how much text of the log a page has, in octets of HTML: strangers choose their words.
	wordsOnPage = 30_000
	// lookFor is how long the log is looked through for one page.
	lookFor = 2 * time.Second
)

// mailData is what the page about the ways of messages shows.
type mailData struct {
	Asked bool // for something
	// Address is one that was asked for, and Leads where mail for it would go now.
	Address, Leads string
	Ways           []way
	Left           *trace.Left
	Pager          pages.Pager
	Queue          bool // there are pages about the queue
}

// way is what became of one message, in the words of "postrider trace".
type way struct {
	ID, Session, Title string
	Earlier            bool
	Lines              []step
	More               int // lines that are not shown
	Waiting            []queue.Explanation
}

// step is a line of the log as it is shown.
type step struct {
	Time  time.Time
	Level string // "warn" or "error"; empty for others
	Text  string
}

func (s Server) mailPages() []pages.Page {
	return []pages.Page{{Path: "mail", Menu: "Mail", Title: "What became of a message", Template: "mail.html", Show: s.mail}}
}

// mailQuery is what the address of the page asks for.
func mailQuery(r *pages.Request) (q trace.Query) {
	q = trace.Query{Term: r.Form.Value("term"), From: r.Form.Value("from"), To: r.Form.Value("to"), Limit: waysOnPage, Lines: linesOfOne}
	now, err := time.Now(), error(nil)
	if q.Since, err = trace.Moment(r.Form.Value("since"), now); err != nil {
		r.Form.Wrong("since", err.Error())
	}
	if q.Until, err = trace.Moment(r.Form.Value("until"), now); err != nil {
		r.Form.Wrong("until", err.Error())
	}
	if t, err := time.Parse(time.RFC3339Nano, r.Form.Value("after")); err == nil {
		q.Until = t
	}
	return q
}

func (s Server) mail(r *pages.Request) (any, error) {
	q := mailQuery(r)
	d := mailData{Asked: !q.Empty() || !q.Since.IsZero() || !q.Until.IsZero(), Queue: s.Queue != nil}
	if !r.Form.OK() {
		return d, nil
	}
	for _, address := range []string{q.To, q.Term} {
		if s.Leads != nil && d.Leads == "" && strings.Contains(address, "@") {
			d.Address, d.Leads = cut(address, 320), cut(s.Leads(address), 1000)
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookFor)
	defer cancel()
	found, err := trace.Find(ctx, s.Mail, q)
	if err != nil {
		return nil, err
	}
	d.Left = found.Left
	d.Pager = r.Pager(further(found, q.Until), "")
	words := budget(wordsOnPage)
	for _, w := range slices.Backward(found.Ways) {
		d.Ways = append(d.Ways, s.way(r.Context(), w, &words, len(found.Ways) == 1))
	}
	if len(d.Ways) == 0 && q.Term != "" { // the log may be younger than the queue
		if x := s.waiting(r.Context(), []string{q.Term}); len(x) > 0 {
			d.Ways = append(d.Ways, way{ID: x[0].Session, Title: "Message " + x[0].Session, Waiting: x})
		}
	}
	return d, nil
}

// further is where the next piece begins; empty: nowhere.
func further(f *trace.Found, until time.Time) string {
	next := f.More
	if next.IsZero() && f.Left != nil && f.Left.Late {
		next = f.Left.Before
	}
	if next.IsZero() {
		return ""
	}
	if !until.IsZero() && !next.Before(until) { // more than fit on a page at one time
		next = until.Add(-time.Millisecond)
	}
	return next.UTC().Format(time.RFC3339Nano)
}

// way is what is shown of one message.
func (s Server) way(ctx context.Context, w *trace.Way, words *budget, alone bool) way {
	title, lines := 200, linesOfWay
	if alone {
		title, lines = 600, linesOfOne
	}
	v := way{ID: w.ID, Session: w.Session, Title: cut(w.Title(), title), Earlier: w.Earlier}
	for _, l := range w.Lines {
		text := cut(l.Words(), title+100)
		if len(v.Lines) == lines || !words.has(text) {
			break
		}
		v.Lines = append(v.Lines, step{l.Time, grave(l), text})
	}
	v.More = len(w.Lines) - len(v.Lines)
	if alone {
		v.Waiting = s.waiting(ctx, w.Queue)
	}
	return v
}

// waiting is what the queue says of entries that are still there.
func (s Server) waiting(ctx context.Context, entries []string) (all []queue.Explanation) {
	const most, reasons = 5, 5
	for _, entry := range entries {
		if s.Queue == nil || len(all) == most {
			break
		}
		id, err := s.Queue.Find(ctx, entry)
		if err != nil {
			continue
		}
		if x, err := s.Queue.Explain(ctx, id); err == nil {
			for i, why := range x.Why {
				x.Why[i] = cut(why, 300)
			}
			x.Why = x.Why[:min(len(x.Why), reasons)]
			all = append(all, x)
		} else if !errors.Is(err, pages.ErrNotFound) {
			break
		}
	}
	return all
}

// grave is the level of a line that needs a look.
func grave(l trace.Line) string {
	if level := strings.ToLower(l.Facts["level"]); level == "warn" || level == "error" {
		return level
	}
	return ""
}

// budget is how many octets of a page are left for words of strangers.
type budget int

// has takes what a text costs, if there is as much left.
func (b *budget) has(text string) bool {
	const around = 100 // of tags
	n := budget(len(template.HTMLEscapeString(text)) + around)
	if n > *b {
		*b = 0
		return false
	}
	*b -= n
	return true
}

// cut shortens a text to so many octets, at a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && text[most]&0xc0 == 0x80 {
		most--
	}
	return text[:most] + "…"
}

// Path is where a message, or a session, is shown alone.
func (w way) Path() string {
	name := w.ID
	if name == "" {
		name = w.Session
	}
	return "mail?" + url.Values{"term": {name}}.Encode()
}
