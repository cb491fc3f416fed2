package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
)

// version1 is the API of Mailpit's version 1.
func (s *Server) version1() []operation {
	page := []string{"start: how many of the newest to leave out", "limit: at most so many", "before: what came before this time"}
	found := append([]string{"query: what to search for", "tz: the zone of its times"}, page...)
	latest := []string{"query: with the id \"latest\", what the newest is taken from", "tz: the zone of its times"}
	return []operation{
		{pattern: "GET /api/v1/messages", handle: s.list, says: "List messages, the newest first", params: page, out: listing{}},
		{pattern: "PUT /api/v1/messages", handle: s.mark, says: "Mark messages as read or not: those with these ids, those that a search finds, or all", in: marking{}},
		{pattern: "DELETE /api/v1/messages", handle: s.remove, says: "Delete messages: those with these ids, or all", in: removal{}},
		{pattern: "GET /api/v1/search", handle: s.search, says: "Search messages", params: found, out: listing{}},
		{pattern: "DELETE /api/v1/search", handle: s.removeFound, says: "Delete what a search finds", params: found[:2]},
		{pattern: "GET /api/v1/message/{id}", handle: s.message, says: "One message, which is read from then on; the id may be \"latest\"", params: latest, out: message{}},
		{pattern: "GET /api/v1/message/{id}/headers", handle: s.headers, says: "The fields of its header, as they were sent", params: latest, out: map[string][]string{}},
		{pattern: "GET /api/v1/message/{id}/raw", handle: s.raw, says: "Its octets, with the lines that a server adds on top", params: append([]string{"dl: 1 for a file"}, latest...)},
		{pattern: "GET /api/v1/message/{id}/part/{part}", handle: s.part, says: "One part, decoded", params: latest},
		{pattern: "GET /api/v1/message/{id}/part/{part}/thumb", handle: s.thumbs(), says: "A picture of 180 by 120 points of a part", params: latest},
		{pattern: "POST /api/v1/message/{id}/release", handle: s.release, says: "Send it to a real server", in: releasing{}},
		{pattern: "GET /api/v1/message/{id}/html-check", handle: s.htmlCheck, says: "What of its HTML some programs do not show", params: latest, out: checked{}},
		{pattern: "GET /api/v1/message/{id}/link-check", handle: s.linkCheck, says: "Try its links", params: append([]string{"follow: true to follow redirects"}, latest...), out: linksTried{}},
		{pattern: "POST /api/v1/send", handle: s.send, says: "Make a message and put it here", in: outgoing{}, out: sent{}},
		{pattern: "GET /api/v1/tags", handle: s.tags, says: "All tags", out: []string{}},
		{pattern: "PUT /api/v1/tags", handle: s.tag, says: "Replace the tags of messages", in: tagging{}},
		{pattern: "PUT /api/v1/tags/{tag}", handle: s.renameTag, says: "Rename a tag", in: naming{}},
		{pattern: "DELETE /api/v1/tags/{tag}", handle: s.removeTag, says: "Take a tag away from every message"},
		{pattern: "GET /api/v1/chaos", handle: s.chaos, says: "What is refused by chance", out: triggers{}},
		{pattern: "PUT /api/v1/chaos", handle: s.setChaos, says: "Refuse by chance; what is left out refuses nothing", in: triggers{}, out: triggers{}},
		{pattern: "GET /api/v1/info", handle: s.info, says: "The server and what it holds", out: infoShown{}},
		{pattern: "GET /api/v1/webui", handle: s.webui, says: "What the pages offer", out: webuiShown{}},
		{pattern: "GET /api/events", handle: s.events, says: "What happens, over a websocket"},
	}
}

// person is an address in answers.
type person struct{ Name, Address string }

func persons(list []sink.Person) []person {
	all := make([]person, len(list))
	for i, p := range list {
		all[i] = person(p)
	}
	return all
}

// summary is a message in lists.
type summary struct {
	ID          string
	MessageID   string
	Read        bool
	From        person
	To          []person
	Cc          []person
	Bcc         []person
	ReplyTo     []person
	Subject     string
	Created     moment
	Username    string
	Tags        []string
	Size        int64
	Attachments int
	Snippet     string
}

func summaryOf(m *sink.Message) summary {
	return summary{
		ID: m.ID, MessageID: m.MessageID, Read: m.Read, From: person(m.Author),
		To: persons(m.To), Cc: persons(m.Cc), Bcc: persons(m.Bcc), ReplyTo: persons(m.ReplyTo),
		Subject: m.Subject, Created: moment(m.Created()), Username: m.User, Tags: append([]string{}, m.Tags...),
		Size: m.Size, Attachments: m.Attachments, Snippet: m.Snippet,
	}
}

// listing is a page of a list.
type listing struct {
	Total          int       `json:"total"`
	Unread         int       `json:"unread"`
	Count          int       `json:"count"`
	MessagesCount  int       `json:"messages_count"`
	MessagesUnread int       `json:"messages_unread"`
	Start          int       `json:"start"`
	Tags           []string  `json:"tags"`
	Messages       []summary `json:"messages"`
}

func (s *Server) answerList(w http.ResponseWriter, q sink.Query) {
	p := s.Box.Find(q)
	l := listing{
		Total: p.Total, Unread: p.Unread, Count: len(p.Messages), MessagesCount: p.Matched, MessagesUnread: p.MatchedUnread,
		Start: q.Start, Tags: p.Tags, Messages: make([]summary, len(p.Messages)),
	}
	for i := range p.Messages {
		l.Messages[i] = summaryOf(&p.Messages[i])
	}
	answer(w, l)
}

// defaultLimit is how many messages a page has.
const defaultLimit = 50

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	q := sink.Query{Inbox: inbox(r), Start: number(r, "start", 0), Limit: number(r, "limit", defaultLimit), Before: before(r)}
	if q.Limit == 0 {
		q.Limit = -1
	}
	s.answerList(w, q)
}

// search answers as Mailpit does where a term cannot be read, as if it were not there;
// and names it in a field of the header.
func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	found, err := query(r)
	if err != nil {
		bad(w, err)
		return
	}
	if len(found.Bad) > 0 {
		w.Header().Set("X-Ignored-Terms", fmt.Sprintf("%q", found.Bad))
	}
	s.answerList(w, sink.Query{Inbox: inbox(r), Search: found, Start: number(r, "start", 0), Limit: number(r, "limit", defaultLimit), Before: before(r)})
}

func before(r *http.Request) time.Time {
	t, _ := sink.ParseTime(r.FormValue("before"), zone(r)) // what is no time bounds nothing
	return t
}

// said is an error in Mailpit's own words, which tests may compare.
type said string

func (s said) Error() string { return string(s) }

const errNoQuery = said("Error: no search query")

// query is what a request searches for.
func query(r *http.Request) (*sink.Search, error) {
	text := r.URL.Query().Get("query")
	if strings.TrimSpace(text) == "" {
		return nil, errNoQuery
	}
	return sink.ParseSearch(text, zone(r)), nil
}

// exact is query for what changes something: every term must be one that can be
// read.
func exact(text string, loc *time.Location) (*sink.Search, error) {
	found := sink.ParseSearch(text, loc)
	if len(found.Bad) > 0 {
		return nil, fmt.Errorf("cannot be read, so nothing was changed: %q", found.Bad)
	}
	if found.Empty() {
		return nil, errNoQuery
	}
	return found, nil
}

// Summary is a message as lists have it, to be written as JSON.
func Summary(m *sink.Message) any { return summaryOf(m) }
