package queue

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// View is an entry as an operator sees it.
type View struct {
	ID         string          `json:"id"`
	Queued     time.Time       `json:"queued"`
	From       string          `json:"from"` // "" is the null sender
	Size       int64           `json:"size"`
	Held       bool            `json:"held,omitempty"`
	Cause      string          `json:"cause,omitempty"`  // why it is held, where nobody said so by hand
	Active     bool            `json:"active,omitempty"` // in memory: being delivered, or in line for it
	Node       string          `json:"node,omitempty"`   // which other server of the same queue is at work on it
	Route      string          `json:"route,omitempty"`
	Next       time.Time       `json:"next,omitzero"` // when something is due; zero while held
	Session    string          `json:"session,omitempty"`
	User       string          `json:"user,omitempty"`
	EnvID      string          `json:"envid,omitempty"`
	Ret        smtp.Ret        `json:"ret,omitempty"`
	Body       smtp.Body       `json:"body,omitempty"`
	SMTPUTF8   bool            `json:"smtputf8,omitempty"`
	RequireTLS bool            `json:"requiretls,omitempty"`
	HoldUntil  time.Time       `json:"hold_until,omitzero"`
	By         string          `json:"by,omitempty"` // as smtp.DeliverBy writes it
	Priority   int             `json:"priority,omitempty"`
	Recipients []RecipientView `json:"recipients"`
}

// RecipientView is one recipient as an operator sees it.
type RecipientView struct {
	Address     string    `json:"address"`
	Destination string    `json:"destination"`
	Status      Status    `json:"status"`
	Attempts    int       `json:"attempts"`
	Next        time.Time `json:"next,omitzero"`
	GiveUp      time.Time `json:"give_up"`
	Warned      bool      `json:"warned,omitempty"`
	Reported    bool      `json:"reported,omitempty"` // the sender was told how it ended, or need not be
	// Of the last attempt:
	Last     time.Time `json:"last,omitzero"`
	Host     string    `json:"host,omitempty"`
	TLS      string    `json:"tls,omitempty"`
	Code     int       `json:"code,omitempty"`
	Enhanced string    `json:"enhanced,omitempty"`
	Text     string    `json:"text,omitempty"`
}

// Filter chooses entries. Its zero value is all of them.
type Filter struct {
	// Limit is the most entries to return, the oldest; 100 where zero.
	Limit int `json:"limit,omitempty"`
	// From and To are addresses, or domains where they have no "@". An entry
	// is chosen if its sender, or one of its unsettled recipients, fits.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Reply is what the last reply to one of its unsettled recipients has in it, in whatever case: a code, or a word.
	Reply string `json:"reply,omitempty"`
	// Older: only those that have waited for so long.
	Older time.Duration `json:"older,omitempty"`
	// User is who was logged in when the entry came.
	User string `json:"user,omitempty"`
	// Held: only those held.
	Held bool `json:"held,omitempty"`
	// After is the mark of a Piece that was had before: only what follows it is chosen.
	After string `json:"after,omitempty"`
	// Look is how many entries a Piece with From, To, Reply or User looks at before it ends; 0 is
	// all.
	Look int `json:"look,omitempty"`
}

// Piece is a part of a list of entries.
type Piece struct {
	Entries []View `json:"entries"`
	// After is the mark that the next piece begins after; empty at the end of the list. It stays
	// good whatever comes and goes in between.
	After string `json:"after,omitempty"`
	// Looked is how many entries were looked at.
	Looked int `json:"looked"`
}

func (f Filter) loads() bool { return f.From != "" || f.To != "" || f.Reply != "" || f.User != "" }

func (f Filter) match(e *Entry, st *State) bool {
	if !fits(f.From, e.From) || f.User != "" && f.User != e.User {
		return false
	}
	if f.To == "" && f.Reply == "" {
		return true
	}
	for i, r := range e.To {
		if st.To[i].Status == Pending && fits(f.To, r.Path) && f.replied(&st.To[i]) {
			return true
		}
	}
	return false
}

// replied reports whether the last reply to a recipient is one that is looked for.
func (f Filter) replied(to *RcptState) bool {
	if f.Reply == "" {
		return true
	}
	reply := fmt.Sprintf("%d %s %s", to.Last.Code, to.Last.Enhanced, to.Last.Text)
	return strings.Contains(strings.ToLower(reply), strings.ToLower(f.Reply))
}

func fits(want string, address smtp.Path) bool {
	switch {
	case want == "":
		return true
	case strings.Contains(want, "@"):
		return strings.EqualFold(want, address.String())
	}
	return domains.Canonical(want) == address.DomainName()
}

// List returns entries, the oldest first. Without From, To, Reply and User it loads no more
// entries than it returns.
func (q *Queue) List(ctx context.Context, f Filter) ([]View, error) {
	f.Look = 0
	p, err := q.Piece(ctx, f)
	return p.Entries, err
}

// Piece is List with a mark to go on after. It looks through the whole index, which is in memory, and reads
// from the spool what it returns, or with From, To, Reply or User what it looks at. The error is ErrNotFound for a mark that is none.
func (q *Queue) Piece(ctx context.Context, f Filter) (p Piece, err error) {
	q.start()
	if f.Limit <= 0 {
		f.Limit = 100
	}
	most := f.Limit
	if f.loads() {
		most = f.Look
	}
	after, err := parseMark(f.After)
	if err != nil {
		return p, err
	}
	one := most
	if most > 0 {
		one++ // which tells that there is more
	}
	until := int64(math.MaxInt64)
	if f.Older > 0 {
		until = time.Now().Add(-f.Older).UnixNano()
	}
	var last aged
	for at, err := range q.agedOf(ctx, one, Which{After: Place{after.queued, after.id}, Held: f.Held, User: f.User}) {
		if err != nil {
			return Piece{}, err
		}
		if at.queued > until {
			break // all that follow are younger
		}
		if len(p.Entries) == f.Limit || most > 0 && p.Looked == most {
			p.After = last.mark()
			break
		}
		last = at
		p.Looked++
		e, st, active, err := q.look(ctx, at.id)
		if isGone(err) {
			continue // settled meanwhile
		}
		if err != nil {
			return Piece{}, err
		}
		if f.match(e, st) {
			p.Entries = append(p.Entries, q.view(e, st, active))
		}
	}
	return p, nil
}

// oldest returns what follows after by age, at most n of them unless n is 0.
func (q *Queue) oldest(n int, heldOnly bool, after aged) []aged {
	q.mu.Lock()
	var found byAge
	for _, it := range q.index {
		a := aged{it.queued, it.id}
		switch {
		case heldOnly && it.state != itemHeld || a.compare(after) <= 0:
		case n == 0 || len(found) < n:
			found = append(found, a)
			if len(found) == n {
				heap.Init(&found)
			}
		case a.compare(found[0]) < 0:
			found[0] = a
			heap.Fix(&found, 0)
		}
	}
	q.mu.Unlock()
	slices.SortFunc(found, aged.compare)
	return found
}

// aged is an entry's place in the order of age, which is whole: no two have the same.
type aged struct {
	queued int64
	id     string
}

// beforeAll is a place that all entries follow.
var beforeAll = aged{queued: math.MinInt64}

// whichAll are all entries.
var whichAll = Which{After: Place{Queued: math.MinInt64}}

func (a aged) compare(b aged) int {
	return cmp.Or(cmp.Compare(a.queued, b.queued), strings.Compare(a.id, b.id))
}

// mark is what parseMark reads.
func (a aged) mark() string { return strconv.FormatInt(a.queued, 36) + "." + a.id }

// parseMark reads the mark of a place; the empty one is before all.
func parseMark(text string) (aged, error) {
	if text == "" {
		return beforeAll, nil
	}
	queued, id, ok := strings.Cut(text, ".")
	n, err := strconv.ParseInt(queued, 36, 64)
	if err != nil || !ok {
		return aged{}, fmt.Errorf("%q marks no place in the queue: %w", text, ErrNotFound)
	}
	return aged{n, id}, nil
}

// byAge is a heap with the youngest on top.
type byAge []aged

func (h byAge) Len() int           { return len(h) }
func (h byAge) Less(i, j int) bool { return h[i].compare(h[j]) > 0 }
func (h byAge) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byAge) Push(x any)        { *h = append(*h, x.(aged)) }
func (h *byAge) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// look returns copies of an entry and its state, from memory where it is there.
func (q *Queue) look(ctx context.Context, id string) (e *Entry, st *State, active bool, err error) {
	q.mu.Lock()
	it := q.index[id]
	if it == nil && q.share() == nil {
		q.mu.Unlock()
		return nil, nil, false, ErrNotFound
	}
	if it == nil {
		it = new(item) // perhaps another node's
	}
	a := it.a
	q.mu.Unlock()
	if a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.e, a.st.Clone(), true, nil
	}
	e, st, err = q.Spool.Load(ctx, id)
	return e, st, false, err
}

// Show returns one entry.
func (q *Queue) Show(ctx context.Context, id string) (View, error) {
	q.start()
	e, st, active, err := q.look(ctx, id)
	if err != nil {
		return View{}, err
	}
	return q.elsewhere(ctx, q.view(e, st, active)), nil
}

// elsewhere adds who has an entry that this node has not got.
func (q *Queue) elsewhere(ctx context.Context, v View) View {
	if s := q.share(); s != nil && !v.Active {
		v.Node, _ = s.Holder(ctx, v.ID) // it may have none
	}
	return v
}

func (q *Queue) view(e *Entry, st *State, active bool) View {
	v := View{
		ID: e.ID, Queued: e.Queued, From: e.From.String(), Size: e.Params.Size, Held: st.Held, Cause: st.Cause, Active: active, Route: st.Route,
		Next: st.Next(), Session: e.Session, User: e.User, EnvID: e.Params.EnvID, Ret: e.Params.Ret, Body: e.Params.Body,
		SMTPUTF8: e.Params.SMTPUTF8, RequireTLS: e.Params.RequireTLS, HoldUntil: e.Params.HoldUntil, By: e.Params.By.String(), Priority: e.Params.Priority,
	}
	for i, r := range e.To {
		s := &st.To[i]
		rv := RecipientView{
			Address: r.Path.String(), Destination: q.Transport.Destination(r, st.Route), Status: s.Status, Attempts: s.Attempts,
			GiveUp: q.givesUpAt(e, r), Warned: s.Warned, Reported: s.Reported,
			Last: s.Last.Time, Host: s.Last.Host, TLS: s.Last.TLS, Code: s.Last.Code, Enhanced: s.Last.Enhanced, Text: s.Last.Text,
		}
		if s.Status == Pending && !st.Held {
			rv.Next = s.Next
		}
		v.Recipients = append(v.Recipients, rv)
	}
	return v
}
