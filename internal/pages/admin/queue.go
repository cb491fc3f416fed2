package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Queue sees and steers mail on its way out.
type Queue interface {
	// Piece is a part of the list.
	Piece(ctx context.Context, f queue.Filter) (queue.Piece, error)
	// Find is the entry that a name stands for: its own id, or what the client was told.
	Find(ctx context.Context, name string) (id string, err error)
	// Explain says why an entry is still there; pages.ErrNotFound if it is not.
	Explain(ctx context.Context, id string) (queue.Explanation, error)
	// Steer does one of "retry", "hold", "release", "expire" and "remove".
	Steer(ctx context.Context, action, id string) error
	// Route sends an entry another way; "" is the usual one.
	Route(ctx context.Context, id, route string) error
	// Routes are the ways there are.
	Routes() []string
}

const (
	entriesOnPage = 50
	// recipientsOnPage are those shown of one entry, the unsettled first.
	recipientsOnPage = 50
	// entriesLooked is how many entries one page looks at for those from or to an address: they are read from
	// the disk.
	entriesLooked = 1000
	// entriesAtOnce is how many one form can change: each is made durable.
	entriesAtOnce = 500
)

// steering is what can be done to entries.
type steering struct {
	Do, Name, Title string
	Ask             string // if it cannot be taken back: what is asked first
	done            string
}

var steerings = []steering{
	{"retry", "Retry now", "Try it again at once", "", "due now"},
	{"hold", "Hold", "Keep it from being tried until it is released", "", "held"},
	{"release", "Release", "Let it go on its way", "", "released"},
	{"expire", "Give up", "Return it: the sender gets a bounce", "Give up %s? The senders get a bounce for each.", "given up"},
	{"remove", "Delete", "Take it out: nobody is told", "Delete %s? Nobody is told, and there is no way back.", "deleted"},
}

func (s Server) queuePages() []pages.Page {
	many, one := make(map[string]pages.Action), make(map[string]pages.Action)
	for _, do := range steerings {
		many[do.Do] = func(r *pages.Request) error { return s.steerMany(r, do) }
		one[do.Do] = func(r *pages.Request) error { return s.steerOne(r, do) }
	}
	one["route"] = s.routeOne
	return []pages.Page{
		{Path: "queue", Menu: "Queue", Title: "Queue", Template: "queue.html", Show: s.queue, Do: many, Octets: 256 << 10},
		{Path: "queue/find", Title: "Find", Send: s.find},
		{Path: "queue/{id}", Title: "Message in the queue", Template: "entry.html", Show: s.entry, Do: one},
	}
}

// queueData is what the list shows.
type queueData struct {
	queue.Piece
	Rows    []row
	Filter  queue.Filter
	Pager   pages.Pager
	Do      []steering
	Asked   *steering // that is to be confirmed
	Chosen  map[string]bool
	AtOnce  int
	Filters bool
}

// row is an entry in the list.
type row struct {
	queue.View
	To        []string // the first of its recipients
	More      int      // how many there are beside
	LastReply string
}

func newRow(v queue.View) row {
	const shown = 2
	at := row{View: v, More: max(0, len(v.Recipients)-shown)}
	var last queue.RecipientView
	for i, r := range v.Recipients {
		if i < shown {
			at.To = append(at.To, r.Address)
		}
		if r.Last.After(last.Last) {
			last = r
		}
	}
	if last.Code != 0 {
		at.LastReply = strconv.Itoa(last.Code) + " "
	}
	at.LastReply += last.Enhanced + " " + last.Text
	return at
}

// olders are the ages that the list can be asked for.
var olders = []struct {
	Name string
	Age  time.Duration
}{{"1 h", time.Hour}, {"4 h", 4 * time.Hour}, {"1 d", 24 * time.Hour}, {"3 d", 72 * time.Hour}}

// older is one of them by its name; 0: any.
func older(name string) time.Duration {
	for _, o := range olders {
		if o.Name == name {
			return o.Age
		}
	}
	return 0
}

// Ages are what a template offers.
func (queueData) Ages() (names []string) {
	for _, o := range olders {
		names = append(names, o.Name)
	}
	return names
}

// filter is what the address of the page asks for.
func filter(r *pages.Request) queue.Filter {
	q := r.URL.Query()
	return queue.Filter{
		Limit: entriesOnPage, Look: entriesLooked, From: q.Get("from"), To: q.Get("to"), Reply: q.Get("reply"), Older: older(q.Get("older")), Held: q.Get("held") != "", After: q.Get("after"),
	}
}

func (s Server) queue(r *pages.Request) (any, error) {
	f := filter(r)
	p, err := s.Queue.Piece(r.Context(), f)
	if err != nil {
		return nil, err
	}
	d := queueData{Piece: p, Filter: f, Do: steerings, Asked: asked(r), AtOnce: entriesAtOnce, Chosen: make(map[string]bool), Filters: f.From != "" || f.To != "" || f.Reply != "" || f.Older > 0 || f.Held}
	for _, v := range p.Entries {
		d.Rows = append(d.Rows, newRow(v))
	}
	note := ""
	if p.After != "" && len(p.Entries) < entriesOnPage {
		note = fmt.Sprintf("%d messages were looked at; there are more to look at.", p.Looked)
	}
	d.Pager = r.Pager(p.After, note)
	for _, id := range r.Form.Values("id") {
		d.Chosen[id] = true
	}
	return d, nil
}

// asked is what is to be confirmed; nil: nothing.
func asked(r *pages.Request) *steering {
	i := slices.IndexFunc(steerings, func(s steering) bool { return s.Do == r.Form.Value("do") })
	if i < 0 || r.Form.Problem("sure") == "" {
		return nil
	}
	return &steerings[i]
}

// chosen are the entries that were ticked, or all that the address of the page asks for.
func (s Server) chosen(r *pages.Request) ([]string, error) {
	if r.Form.Value("all") == "" {
		ids := r.Form.Values("id")
		return ids[:min(len(ids), entriesAtOnce)], nil
	}
	f := filter(r)
	f.After, f.Look, f.Limit = "", 0, entriesAtOnce
	p, err := s.Queue.Piece(r.Context(), f)
	var ids []string
	for _, e := range p.Entries {
		ids = append(ids, e.ID)
	}
	return ids, err
}

// steerMany does something to the entries that were chosen.
func (s Server) steerMany(r *pages.Request, do steering) error {
	ids, err := s.chosen(r)
	if err != nil {
		return err
	}
	switch {
	case len(ids) == 0:
		r.Form.Wrong("", "No message is ticked.")
		return nil
	case (do.Ask != "" || r.Form.Value("all") != "") && r.Form.Value("sure") == "":
		ask := do.Ask
		if ask == "" {
			ask = do.Name + ": %s?"
		}
		r.Form.Wrong("sure", fmt.Sprintf(ask, pages.Count(len(ids), "message")))
		return nil
	}
	n := 0
	var failed error
	for _, id := range ids {
		if err := s.Queue.Steer(r.Context(), do.Do, id); err != nil {
			failed = err // most often it is gone meanwhile
			continue
		}
		n++
	}
	switch {
	case n == 0 && errors.Is(failed, pages.ErrNotFound): // a form sent twice, above all
		r.Form.Wrong("", "What was ticked is no longer in the queue.")
		return nil
	case n == 0:
		return failed
	}
	text := pages.Count(n, "message") + " " + do.done + "."
	if n < len(ids) {
		text += fmt.Sprintf(" %d could not be: %v.", len(ids)-n, failed)
	}
	r.Done(text, "messages", n)
	return nil
}

// steerOne does something to the entry of the page.
func (s Server) steerOne(r *pages.Request, do steering) error {
	id := r.PathValue("id")
	if do.Ask != "" && r.Form.Value("sure") == "" {
		r.Form.Wrong("sure", fmt.Sprintf(do.Ask, "this message"))
		return nil
	}
	if err := s.Queue.Steer(r.Context(), do.Do, id); err != nil {
		return err
	}
	r.Done("The message is "+do.done+".", "queue", id)
	if do.Ask != "" {
		r.Next = "queue"
	}
	return nil
}

// routeOne sends the entry of the page another way.
func (s Server) routeOne(r *pages.Request) error {
	id, route := r.PathValue("id"), r.Form.Value("route")
	if err := s.Queue.Route(r.Context(), id, route); err != nil {
		r.Form.Wrong("route", err.Error())
		return nil
	}
	text := "The message goes the usual way."
	if route != "" {
		text = "The message goes by " + route + "."
	}
	r.Done(text, "queue", id, "route", route)
	return nil
}

// find leads from a name of a message to its page.
func (s Server) find(w http.ResponseWriter, r *pages.Request) error {
	id, err := s.Queue.Find(r.Context(), r.Form.Value("name"))
	if err != nil {
		return err
	}
	http.Redirect(w, r.Request, r.Path("queue/"+url.PathEscape(id)), http.StatusSeeOther)
	return nil
}

// entryData is what the page of an entry shows.
type entryData struct {
	queue.Explanation
	Do     []steering
	Asked  *steering
	Routes []string
	More   int // recipients that are not shown
}

func (s Server) entry(r *pages.Request) (any, error) {
	x, err := s.Queue.Explain(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	d := entryData{Explanation: x, Do: steerings, Asked: asked(r), Routes: s.Queue.Routes(), More: max(0, len(x.Recipients)-recipientsOnPage)}
	slices.SortStableFunc(d.Recipients, func(a, b queue.RecipientView) int {
		return cmp.Compare(settled(a), settled(b))
	})
	d.Recipients = d.Recipients[:len(d.Recipients)-d.More]
	d.Why = d.Why[:min(len(d.Why), recipientsOnPage)]
	return d, nil
}

// settled is 1 for a recipient that nothing is to be done about any more.
func settled(r queue.RecipientView) int {
	if r.Status == queue.Pending {
		return 0
	}
	return 1
}
