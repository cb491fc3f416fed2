package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/trace"
)

const (
	linesOnPage = 100
	// watchersAtOnce is how many browsers may wait for new lines at a time.
	watchersAtOnce = 20
	// watchFor is how long one waits until it asks again, and together is how long lines that come
	// one after another are gathered.
	watchFor = 20 * time.Second
	together = 200 * time.Millisecond
	// tailFor is how long lines are looked for.
	tailFor = time.Second
)

// levels of the log, as they are chosen on the page.
var levels = []string{"debug", "info", "warn", "error"}

// Kinds of line, as they are chosen on the page.
const (
	aboutLogins  = "logins"
	aboutChanges = "changes"
)

// kinds are those with their names on the page; without one all lines are shown.
var kinds = []struct{ Name, Text string }{{"", "everything"}, {aboutLogins, "logins"}, {aboutChanges, "changes by page"}}

// loginEvents are the lines that are about logins whatever their facts are.
var loginEvents = []string{
	"login failed", "logged in to the pages", "logged out of the pages", "a code was right at another time", "a login to the pages could not be checked",
	"too many failed logins: no more are checked", "logins are checked again",
}

// isOf reports whether a line is of a kind. A login to fetch or send mail that was right is in the line that its session ends with.
func isOf(l *trace.Line, kind string) bool {
	switch kind {
	case aboutLogins:
		session := strings.HasSuffix(l.Event, " session") && l.Facts["user"] != "" && l.Facts["remote"] != "local"
		return session || slices.Contains(loginEvents, l.Event) || l.Event == "refused" && l.Facts["command"] == "AUTH"
	case aboutChanges:
		return l.Event == "changed by page"
	}
	return true
}

// tail is the newest lines of the log, and those that come.
type tail struct {
	lines    *trace.Ring
	watchers chan struct{}
}

// tailData is what the page shows.
type tailData struct {
	Lines  []entry
	Next   int64 // the number of the line that comes next
	More   string
	Level  string
	Levels []string
	Kind   string
	Kinds  []struct{ Name, Text string }
	Left   *trace.Left
	Live   bool
	Path   string // of this page, and of the one that does the other
}

// entry is a line of the log as it is shown and sent.
type entry struct {
	Time  string `json:"time"`
	Level string `json:"level"`
	Text  string `json:"text"`
	// Of is what the way of a message or session is found by.
	Of string `json:"of,omitempty"`
}

func (s Server) tailPages() []pages.Page {
	t := tail{s.Lines, make(chan struct{}, watchersAtOnce)}
	return []pages.Page{
		{Path: "log", Menu: "Log", Title: "The log as it is written", Template: "log.html", Show: t.show, Watch: true},
		{Path: "log/more", Title: "Log", Send: t.more, Watch: true},
	}
}

// wanted says which lines the address of the page asks for.
func wanted(r *pages.Request) func(*trace.Line) bool {
	least, text, kind := slices.Index(levels, r.Form.Value("level")), strings.ToLower(r.Form.Value("text")), r.Form.Value("what")
	return func(l *trace.Line) bool {
		return isOf(l, kind) && slices.Index(levels, strings.ToLower(l.Facts["level"])) >= least && strings.Contains(strings.ToLower(l.Raw()), text)
	}
}

// take returns the newest lines that are wanted, from a number on, and whether there are more.
func (t tail) take(ctx context.Context, from int64, want func(*trace.Line) bool) (all []entry, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tailFor)
	defer cancel()
	words := budget(wordsOnPage)
	err = t.lines.Lines(ctx, nil, func(l trace.Line) bool {
		switch {
		case l.Event == "":
			return true
		case l.Number() < from:
			return false
		case !want(&l):
			return true
		}
		e := newEntry(&l)
		if more = len(all) == linesOnPage || !words.has(e.Text); more {
			return false
		}
		all = append(all, e)
		return true
	})
	slices.Reverse(all)
	return all, more, err
}

func newEntry(l *trace.Line) entry {
	const longest = 1000
	e := entry{Time: l.Time.Local().Format("15:04:05"), Level: strings.ToLower(l.Facts["level"]), Text: cut(l.Raw(), longest)}
	if e.Of = l.Facts["id"]; e.Of == "" {
		e.Of = l.Facts["session"]
	}
	if e.Of = cut(e.Of, 40); !l.Time.After(time.Now().Add(-12 * time.Hour)) {
		e.Time = l.Time.Local().Format("2006-01-02 15:04:05")
	}
	return e
}

func (t tail) show(r *pages.Request) (any, error) {
	q := url.Values{}
	for _, key := range []string{"level", "text", "what"} {
		if v := r.Form.Value(key); v != "" {
			q.Set(key, v)
		}
	}
	d := tailData{Kinds: kinds, Kind: r.Form.Value("what"), Levels: levels, Level: r.Form.Value("level"), Live: r.Form.Value("live") != "", Next: t.lines.Next()}
	d.More, d.Path = r.Path("log/more?"+q.Encode()), r.Path("log?"+q.Encode())
	if !d.Live {
		q.Set("live", "1")
		d.Path = r.Path("log?" + q.Encode())
	} else {
		r.Refresh = 5
	}
	lines, _, err := t.take(r.Context(), 0, wanted(r))
	d.Lines = lines
	left, _ := err.(*trace.Left)
	if d.Left = left; left == nil && err != nil {
		return nil, err
	}
	if left != nil && len(lines) == linesOnPage {
		d.Left = nil
	}
	return d, nil
}

// more sends what has come since a line, as JSON, once something has.
func (t tail) more(w http.ResponseWriter, r *pages.Request) error {
	select {
	case t.watchers <- struct{}{}:
		defer func() { <-t.watchers }()
	default:
		http.Error(w, "too many are watching", http.StatusServiceUnavailable)
		return nil
	}
	var answer struct {
		Next  int64   `json:"next"`
		More  bool    `json:"more"` // not all of them are here
		Lines []entry `json:"lines"`
	}
	from, _ := strconv.ParseInt(r.Form.Value("next"), 10, 64)
	if now := t.lines.Next(); from <= 0 || from > now { // of another process
		from = now
	}
	ctx, cancel := context.WithTimeout(r.Context(), watchFor)
	defer cancel()
	for want := wanted(r); len(answer.Lines) == 0 && ctx.Err() == nil; {
		if !t.lines.Wait(ctx, from) {
			break
		}
		select {
		case <-time.After(together):
		case <-ctx.Done():
		}
		next := t.lines.Next()
		answer.Lines, answer.More, _ = t.take(r.Context(), from, want)
		from = next
	}
	if answer.Next = from; answer.Lines == nil {
		answer.Lines = []entry{}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}
