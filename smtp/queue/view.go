package queue

import (
	"container/heap"
	"context"
	"slices"
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
	Active     bool            `json:"active,omitempty"` // in memory: being delivered, or in line for it
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
	// Held: only those held.
	Held bool `json:"held,omitempty"`
}

func (f Filter) loads() bool { return f.From != "" || f.To != "" }

func (f Filter) match(e *Entry, st *State) bool {
	if !fits(f.From, e.From) {
		return false
	}
	if f.To == "" {
		return true
	}
	for i, r := range e.To {
		if st.To[i].Status == Pending && fits(f.To, r.Path) {
			return true
		}
	}
	return false
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

// List returns entries, the oldest first. Without From and To it loads no more
// entries than it returns.
func (q *Queue) List(ctx context.Context, f Filter) ([]View, error) {
	q.start()
	if f.Limit <= 0 {
		f.Limit = 100
	}
	most := f.Limit
	if f.loads() {
		most = 0
	}
	var out []View
	for _, id := range q.oldest(most, f.Held) {
		e, st, active, err := q.look(ctx, id)
		if isGone(err) {
			continue // settled meanwhile
		}
		if err != nil {
			return nil, err
		}
		if f.match(e, st) {
			out = append(out, q.view(e, st, active))
		}
		if len(out) == f.Limit {
			break
		}
	}
	return out, nil
}

// oldest returns ids by age, at most n of them unless n is 0.
func (q *Queue) oldest(n int, heldOnly bool) []string {
	q.mu.Lock()
	var found byAge
	for _, it := range q.index {
		switch {
		case heldOnly && it.state != itemHeld:
		case n == 0 || len(found) < n:
			found = append(found, aged{it.queued, it.id})
			if len(found) == n {
				heap.Init(&found)
			}
		case it.queued < found[0].queued:
			found[0] = aged{it.queued, it.id}
			heap.Fix(&found, 0)
		}
	}
	q.mu.Unlock()
	slices.SortFunc(found, func(a, b aged) int {
		if a.queued != b.queued {
			return int(min(max(a.queued-b.queued, -1), 1))
		}
		return strings.Compare(a.id, b.id)
	})
	ids := make([]string, len(found))
	for i, a := range found {
		ids[i] = a.id
	}
	return ids
}

type aged struct {
	queued int64
	id     string
}

// byAge is a heap with the youngest on top.
type byAge []aged

func (h byAge) Len() int           { return len(h) }
func (h byAge) Less(i, j int) bool { return h[i].queued > h[j].queued }
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
	if it == nil {
		q.mu.Unlock()
		return nil, nil, false, ErrNotFound
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
	return q.view(e, st, active), nil
}

func (q *Queue) view(e *Entry, st *State, active bool) View {
	v := View{
		ID: e.ID, Queued: e.Queued, From: e.From.String(), Size: e.Params.Size, Held: st.Held, Active: active, Route: st.Route,
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
