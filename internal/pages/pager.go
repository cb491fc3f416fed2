package pages

import "net/url"

// Pager leads from one piece of a list to the next. Pieces are named by a mark, so that what comes and goes in between
// neither repeats nor hides anything.
type Pager struct {
	First string // the address of the first piece; empty: it is this one
	Next  string // that of the next one; empty: this is the last
	Note  string // what to say beside them
}

// Pager makes one for the page of the request: its parameters stay, and "after" is the mark. next is empty at the end.
func (r *Request) Pager(next, note string) Pager {
	p := Pager{Note: note}
	q := r.URL.Query()
	at := func(mark string) string {
		to := url.Values{}
		for k, v := range q {
			if k != "after" {
				to[k] = v
			}
		}
		if mark != "" {
			to.Set("after", mark)
		}
		if len(to) == 0 {
			return r.URL.Path
		}
		return r.URL.Path + "?" + to.Encode()
	}
	if q.Get("after") != "" {
		p.First = at("")
	}
	if next != "" {
		p.Next = at(next)
	}
	return p
}
