package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/rfc2822"
)

// mailhog is what clients of MailHog ask: lists and searches in their form, and the
// removal of one message. GET api/v1/messages, which both have, is Mailpit's.
func (s *Server) mailhog() []operation {
	page := []string{"start: how many of the newest to leave out", "limit: at most so many, and 250"}
	return []operation{
		{pattern: "GET /api/v2/messages", handle: s.hogList, says: "List messages in MailHog's form", params: page, out: hogListing{}},
		{pattern: "GET /api/v2/search", handle: s.hogSearch, says: "Search messages in MailHog's form", params: append([]string{"kind: from, to or containing", "query: the text"}, page...), out: hogListing{}},
		{pattern: "GET /api/v1/messages/{id}", handle: s.hogMessage, says: "One message in MailHog's form", out: hogItem{}},
		{pattern: "DELETE /api/v1/messages/{id}", handle: s.hogRemove, says: "Delete one message"},
		{pattern: "GET /api/v1/messages/{id}/download", handle: s.hogDownload, says: "The octets that were sent, as a file"},
		{pattern: "POST /api/v1/messages/{id}/release", handle: s.hogRelease, says: "Send it to one address, by the server that is set", in: hogReleasing{}},
	}
}

type hogListing struct {
	hogCounted
	Items []hogItem `json:"items"`
}

type hogCounted struct {
	Total int `json:"total"`
	Count int `json:"count"`
	Start int `json:"start"`
}

// hogReleasing is what MailHog's clients send; where mail goes is not theirs to say.
type hogReleasing struct{ Email, Host, Port string }

type hogItem struct {
	ID      string
	From    hogPath
	To      []hogPath
	Content hogContent
	Created time.Time
	MIME    *hogParts
	Raw     hogRaw
}

type hogPath struct {
	Relays                  []string
	Mailbox, Domain, Params string
}

type hogContent struct {
	Headers map[string][]string
	Body    string
	Size    int
	MIME    *hogParts
}

type hogParts struct{ Parts []hogContent }

type hogRaw struct {
	From string
	To   []string
	Data string
	Helo string
}

// mostHog is how many messages one page has at most.
const mostHog = 250

func (s *Server) hogList(w http.ResponseWriter, r *http.Request) {
	s.hogAnswer(w, r, sink.Query{})
}

func (s *Server) hogSearch(w http.ResponseWriter, r *http.Request) {
	kind, text := r.FormValue("kind"), r.FormValue("query")
	prefix, known := map[string]string{"from": "from:", "to": "rcpt:", "containing": ""}[kind]
	if !known || text == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	// The text is one phrase, whatever stands in it.
	s.hogAnswer(w, r, sink.Query{Search: sink.ParseSearch(prefix+`"`+strings.ReplaceAll(text, `"`, " ")+`"`, zone(r))})
}

func (s *Server) hogAnswer(w http.ResponseWriter, r *http.Request, q sink.Query) {
	q.Inbox, q.Start, q.Limit = inbox(r), number(r, "start", 0), min(number(r, "limit", defaultLimit), mostHog)
	p := s.Box.Find(q)
	w.Header().Set("Content-Type", "text/json")
	counted := hogCounted{Total: p.Matched, Start: q.Start}
	answerList(w, "items", func(yield func(any) bool) {
		for i := range p.Messages {
			if o, err := s.read(q.Inbox, p.Messages[i].ID); err == nil {
				if counted.Count++; !yield(o.hog()) {
					return
				}
			}
		}
	}, func() any { return counted })
}

func (o *opened) hog() hogItem {
	item := hogItem{
		ID: o.ID, From: hogAddress(o.Envelope.From), To: []hogPath{}, Created: o.Created(),
		Raw: hogRaw{From: o.Envelope.From, To: o.Envelope.To, Data: string(o.raw), Helo: o.Helo},
	}
	for _, to := range o.Envelope.To {
		item.To = append(item.To, hogAddress(to))
	}
	item.Content, item.MIME = o.hogContent()
	return item
}

func hogAddress(address string) hogPath {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return hogPath{Mailbox: address}
	}
	return hogPath{Mailbox: address[:i], Domain: address[i+1:]}
}

// hogContent is the message taken apart by its first level, bodies as they were
// sent.
func (o *opened) hogContent() (c hogContent, parts *hogParts) {
	c = hogContent{Headers: hogHeaders(&o.mail.Header), Size: len(o.raw)}
	c.Body = string(o.raw[min(len(o.raw), o.mail.Header.Size()):])
	o.mail.Walk(rfc2822.Limits{}, func(path []int, p *rfc2822.Part) error {
		if len(path) != 1 {
			return nil
		}
		if parts == nil {
			parts = &hogParts{}
		}
		body := readSome(p.Raw())
		parts.Parts = append(parts.Parts, hogContent{Headers: hogHeaders(p.Header), Body: body, Size: len(body)})
		return rfc2822.ErrSkip
	})
	return c, parts
}

func hogHeaders(h *rfc2822.Section) map[string][]string {
	fields := make(map[string][]string)
	for f := range h.All() {
		fields[f.Name()] = append(fields[f.Name()], f.Value())
	}
	return fields
}

// hogID is the id of a message in a path; MailHog's have a host behind them.
func hogID(r *http.Request) string {
	id, _, _ := strings.Cut(r.PathValue("id"), "@")
	return id
}

func (s *Server) hogMessage(w http.ResponseWriter, r *http.Request) {
	o, err := s.read(inbox(r), hogID(r))
	if err != nil {
		wrong(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/json")
	answerAs(w, o.hog())
}

func (s *Server) hogDownload(w http.ResponseWriter, r *http.Request) {
	o, err := s.read(inbox(r), hogID(r))
	if err != nil {
		wrong(w, err)
		return
	}
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Disposition", `attachment; filename="`+o.ID+`.eml"`)
	w.Write(o.raw)
}

func (s *Server) hogRemove(w http.ResponseWriter, r *http.Request) {
	if err := s.Box.Delete(inbox(r), hogID(r)); err != nil {
		wrong(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// hogRelease sends to one address, by the server that is set: a client must not say
// where mail goes.
func (s *Server) hogRelease(w http.ResponseWriter, r *http.Request) {
	var in hogReleasing
	err := read(w, r, &in, mostBody)
	o, found := s.read(inbox(r), hogID(r))
	switch {
	case found != nil:
		wrong(w, found)
		return
	case err == nil && s.Relay == nil:
		err = errors.New("no server to release messages to is set; see --relay-to")
	case err == nil:
		err = s.Relay.Release(r.Context(), o.Envelope.From, []string{in.Email}, o.raw)
	}
	if err != nil {
		bad(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}
