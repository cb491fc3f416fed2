package web

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
)

// inboxes is our own API: what tests need and the other APIs cannot say. It is
// strict: a parameter that cannot be read is 400 with its name. The inbox "-" is all
// messages.
func (s *Server) inboxes() []operation {
	waits := []string{"timeout: how long, such as \"10s\"", "count: for so many messages", "query: what they must match", "since: what came from this time on", "tz: the zone of its times"}
	return []operation{
		{pattern: "GET /inboxes", handle: s.inboxList, says: "List the inboxes", out: inboxesShown{}},
		{pattern: "POST /inboxes", handle: s.inboxMake, says: "Make an inbox of one's own", in: inboxNaming{}, out: inboxShown{}, code: http.StatusCreated},
		{pattern: "GET /inboxes/{inbox}", handle: s.inboxShow, says: "One inbox", out: inboxShown{}},
		{pattern: "DELETE /inboxes/{inbox}", handle: s.inboxDiscard, says: "Throw it away, with what only it holds", code: http.StatusNoContent},
		{pattern: "GET /inboxes/{inbox}/wait", handle: s.inboxWait, says: "Wait for messages; 408 says how many came and why they are not enough", params: waits, out: waited{}},
		{pattern: "GET /inboxes/{inbox}/messages", handle: s.inboxMessages, says: "List messages, the oldest first, behind a mark", params: []string{"after: the mark \"next\" of an earlier answer", "limit: at most so many"}, out: entries{}},
		{pattern: "DELETE /inboxes/{inbox}/messages", handle: s.inboxEmpty, says: "Delete all its messages", code: http.StatusNoContent},
		{pattern: "GET /inboxes/{inbox}/messages/{id}", handle: s.inboxMessage, says: "One message, with envelope, links and codes; it is not read by that", out: full{}},
		{pattern: "DELETE /inboxes/{inbox}/messages/{id}", handle: s.inboxRemove, says: "Delete one message", code: http.StatusNoContent},
		{pattern: "GET /inboxes/{inbox}/messages/{id}/sender", handle: s.inboxSender, says: "What SPF, DKIM and DMARC would say of who sent it", params: []string{"dns: yes to ask the DNS, as somebody's real server would", "address: the address that it would be sent from"}, out: sink.Judgement{}},
		{pattern: "GET /inboxes/{inbox}/messages/{id}/raw", handle: s.inboxRaw, says: "The octets that were sent"},
		{pattern: "GET /inboxes/{inbox}/rules", handle: s.rules, says: "The rules by which its mail fails, and how often each struck", out: rulesShown{}},
		{pattern: "PUT /inboxes/{inbox}/rules", handle: s.setRules, says: "Replace them; none lets all pass", in: ruling{}, out: rulesShown{}},
		{pattern: "GET /sessions", handle: s.sessionList, says: "What the last clients and the server said", out: dialogues{}},
		{pattern: "GET /sessions/{id}", handle: s.session, says: "One of them", out: dialogue{}},
	}
}

// inboxShown is an inbox in answers.
type inboxShown struct {
	Name     string     `json:"name"`
	Address  string     `json:"address,omitempty"`
	Login    string     `json:"login,omitempty"`
	Password string     `json:"password,omitempty"`
	URL      string     `json:"url"`
	Made     bool       `json:"made"`
	Messages int        `json:"messages"`
	Unread   int        `json:"unread"`
	Last     *time.Time `json:"last,omitempty"`
}

type inboxesShown struct {
	Inboxes []inboxShown `json:"inboxes"`
}

// inboxNaming is what a new inbox is to be called; "" is any name.
type inboxNaming struct {
	Name string `json:"name"`
}

func (s *Server) shown(in sink.Inbox) inboxShown {
	v := inboxShown{Name: in.Name, Address: in.Address, URL: s.base(in.Name), Made: in.Made, Messages: in.Messages, Unread: in.Unread}
	if !in.Last.IsZero() {
		last := in.Last.UTC()
		v.Last = &last
	}
	return v
}

func (s *Server) inboxList(w http.ResponseWriter, _ *http.Request) {
	list := []inboxShown{}
	for _, in := range s.Box.Inboxes() {
		list = append(list, s.shown(in))
	}
	answer(w, inboxesShown{list})
}

func (s *Server) inboxMake(w http.ResponseWriter, r *http.Request) {
	var in inboxNaming
	if err := read(w, r, &in, mostBody); err != nil {
		bad(w, err)
		return
	}
	made, err := s.Box.Make(in.Name)
	switch {
	case errors.Is(err, sink.ErrTaken):
		http.Error(w, err.Error(), http.StatusConflict)
		return
	case err != nil:
		bad(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Location", s.base(made.Name))
	w.WriteHeader(http.StatusCreated)
	answerAs(w, inboxShown{Name: made.Name, Address: made.Address, Login: made.Name, Password: made.Password, URL: s.base(made.Name), Made: true})
}

// scope is the inbox that a path names.
func (s *Server) scope(r *http.Request) string {
	if name := r.PathValue("inbox"); name != all {
		return s.Box.Name(name)
	}
	return ""
}

func (s *Server) inboxShow(w http.ResponseWriter, r *http.Request) {
	name := s.scope(r)
	list := s.Box.Inboxes()
	i := slices.IndexFunc(list, func(in sink.Inbox) bool { return in.Name == name })
	if i < 0 {
		http.Error(w, "no such inbox, or nothing has come yet", http.StatusNotFound)
		return
	}
	answer(w, s.shown(list[i]))
}

func (s *Server) inboxDiscard(w http.ResponseWriter, r *http.Request) {
	name := s.scope(r)
	if name == "" {
		http.Error(w, "this holds all messages and is no inbox that could go", http.StatusMethodNotAllowed)
		return
	}
	err := s.Box.Discard(name)
	if err == nil {
		err = s.Faults.Set(name, "") // nobody else is to meet them
	}
	if err != nil {
		wrong(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// entry is a message in our own answers.
type entry struct {
	summary
	Mark     uint64
	Envelope envelope
	Inboxes  []string
	Defects  []string
}

type envelope struct {
	From       string
	To         []string
	Helo, User string
	Client     string
	TLS        bool
	Session    string
}

func entryOf(m *sink.Message) entry {
	e := m.Envelope
	return entry{
		summary: summaryOf(m), Mark: m.Mark(), Inboxes: append([]string{}, m.Inboxes...), Defects: append([]string{}, m.Defects...),
		Envelope: envelope{e.From, e.To, e.Helo, e.User, e.Client, e.TLS, e.Session},
	}
}

// full is a message with its text, its files, and what tests look for in it.
type full struct {
	entry
	Date  time.Time
	Text  string
	HTML  string
	Files []attachment
	Links []string
	Codes []string
}

func (s *Server) fullOf(o *opened) full {
	m := o.message()
	f := full{entry: entryOf(&o.Message), Date: m.Date, Text: m.Text, HTML: m.HTML, Files: append(m.Attachments, m.Inline...)}
	f.Links = append([]string{}, linksOf(m.HTML, m.Text)...)
	f.Codes = codesOf(m.Text + "\n" + sink.TextOf(m.HTML))
	return f
}

// codePattern finds what people are asked to type: four to eight digits, alone.
var codePattern = regexp.MustCompile(`\b\d{4,8}\b`)

// mostCodes and mostFound bound what is listed of a message: a stranger's could consist of
// nothing else.
const (
	mostCodes = 100
	mostFound = 1000
)

func codesOf(text string) []string {
	codes := []string{}
	for len(codes) < mostCodes {
		at := codePattern.FindStringIndex(text)
		if at == nil {
			break
		}
		if c := text[at[0]:at[1]]; !slices.Contains(codes, c) {
			codes = append(codes, c)
		}
		text = text[at[1]:]
	}
	return codes
}

// Waits are at most so long.
const (
	defaultWait = 10 * time.Second
	mostWait    = 5 * time.Minute
)

// waited is what came while somebody waited.
type waited struct {
	Messages []full `json:"messages"`
	waitedFor
}

type waitedFor struct {
	Matched int    `json:"matched"`
	Wanted  int    `json:"wanted"`
	Seen    int    `json:"seen"`
	Reason  string `json:"reason,omitempty"`
}

// inboxWait answers once so many messages match, or, when the time is over, 408 with
// those that did and how many came.
func (s *Server) inboxWait(w http.ResponseWriter, r *http.Request) {
	wait, count, since, found, err := waitFor(r)
	if err != nil {
		bad(w, err)
		return
	}
	ctx, end := context.WithTimeout(r.Context(), wait)
	defer end()
	name := s.scope(r)
	messages, seen := s.Box.Wait(ctx, name, found, since, count)
	out := waitedFor{Matched: len(messages), Wanted: count, Seen: seen}
	w.Header().Set("Content-Type", "application/json")
	if len(messages) < count {
		out.Reason = reason(len(messages), count, seen, wait)
		w.WriteHeader(http.StatusRequestTimeout)
	}
	answerList(w, "messages", func(yield func(any) bool) {
		for i := range messages {
			if o, err := s.read(name, messages[i].ID); err == nil && !yield(s.fullOf(o)) {
				return
			}
		}
	}, func() any { return out })
}

func reason(matched, wanted, seen int, wait time.Duration) string {
	switch {
	case seen == 0:
		return "nothing came within " + wait.String()
	case matched == 0:
		return strconv.Itoa(seen) + " came within " + wait.String() + ", and none matched"
	}
	return strconv.Itoa(matched) + " of " + strconv.Itoa(wanted) + " came within " + wait.String()
}

func waitFor(r *http.Request) (wait time.Duration, count int, since time.Time, found *sink.Search, err error) {
	v := r.URL.Query()
	wait, count = defaultWait, 1
	if text := v.Get("timeout"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > mostWait {
			return 0, 0, since, nil, errors.New(`timeout: a time such as "10s", at most ` + mostWait.String())
		}
	}
	if text := v.Get("count"); text != "" {
		if count, err = strconv.Atoi(text); err != nil || count < 1 {
			return 0, 0, since, nil, errors.New("count: a number from 1 on")
		}
	}
	if text := v.Get("since"); text != "" {
		if since, err = sink.ParseTime(text, zone(r)); err != nil {
			return 0, 0, since, nil, errors.New("since: " + err.Error())
		}
	}
	if text := v.Get("query"); strings.TrimSpace(text) != "" {
		if found, err = exact(text, zone(r)); err != nil {
			return 0, 0, since, nil, errors.New("query: " + err.Error())
		}
	}
	return wait, count, since, found, nil
}

// mostPage is how many messages one page of our own lists has.
const mostPage = 500

type entries struct {
	Messages []entry `json:"messages"`
	Next     uint64  `json:"next"`
}

// inboxMessages lists the oldest first, behind a mark: that of an earlier answer.
func (s *Server) inboxMessages(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	var mark uint64
	var err error
	if text := v.Get("after"); text != "" {
		if mark, err = strconv.ParseUint(text, 10, 64); err != nil {
			bad(w, errors.New("after: the mark of an earlier answer"))
			return
		}
	}
	limit := defaultLimit
	if text := v.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > mostPage {
			bad(w, errors.New("limit: a number from 1 to "+strconv.Itoa(mostPage)))
			return
		}
	}
	page, next := s.Box.After(s.scope(r), mark, limit)
	list := []entry{}
	for i := range page {
		list = append(list, entryOf(&page[i]))
	}
	answer(w, entries{list, next})
}

func (s *Server) inboxEmpty(w http.ResponseWriter, r *http.Request) {
	if err := s.Box.DeleteAll(s.scope(r), nil); err != nil {
		wrong(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// inboxMessage answers one message. It is not read by that.
func (s *Server) inboxMessage(w http.ResponseWriter, r *http.Request) {
	o, err := s.read(s.scope(r), r.PathValue("id"))
	if err != nil {
		wrong(w, err)
		return
	}
	answer(w, s.fullOf(o))
}

func (s *Server) inboxRemove(w http.ResponseWriter, r *http.Request) {
	name := s.scope(r)
	if _, err := s.Box.Get(name, r.PathValue("id")); err != nil {
		wrong(w, err)
		return
	}
	if err := s.Box.Delete(name, r.PathValue("id")); err != nil {
		wrong(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// inboxRaw gives out the octets that were sent.
func (s *Server) inboxRaw(w http.ResponseWriter, r *http.Request) {
	raw, err := s.Box.Octets(s.scope(r), r.PathValue("id"))
	if err != nil {
		wrong(w, err)
		return
	}
	sendRaw(w, r, r.PathValue("id"), raw)
}

// dialogue is an SMTP session in answers.
type dialogue struct {
	ID     string   `json:"id"`
	Client string   `json:"client"`
	Begun  moment   `json:"begun"`
	Lines  []string `json:"lines"`
}

type dialogues struct {
	Sessions []dialogue `json:"sessions"`
}

func dialogueOf(d *sink.Dialogue) dialogue {
	v := dialogue{d.ID, d.Client, moment(d.Begun), []string{}}
	for _, l := range d.Lines {
		v.Lines = append(v.Lines, l.String())
	}
	return v
}

func (s *Server) sessionList(w http.ResponseWriter, _ *http.Request) {
	list := []dialogue{}
	for _, d := range s.Sessions.List() {
		list = append(list, dialogueOf(&d))
	}
	answer(w, dialogues{list})
}

func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	d, ok := s.Sessions.Get(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	answer(w, dialogueOf(&d))
}

// ruling is what the rules are to be: lines of the rules language.
type ruling struct {
	Rules string `json:"rules"`
}

type rulesShown struct {
	Rules  string   `json:"rules"`
	Struck []struck `json:"struck"`
}

type struck struct {
	Rule  string `json:"rule"` // where it stands: "team:3"
	Times uint64 `json:"times"`
}

func (s *Server) rules(w http.ResponseWriter, r *http.Request) {
	text, all := s.Faults.Get(s.scope(r))
	v := rulesShown{text, []struck{}}
	for _, one := range all {
		v.Struck = append(v.Struck, struck(one))
	}
	answer(w, v)
}

func (s *Server) setRules(w http.ResponseWriter, r *http.Request) {
	var in ruling
	err := read(w, r, &in, mostBody)
	if err == nil {
		err = s.Faults.Set(s.scope(r), in.Rules)
	}
	if err != nil {
		bad(w, err)
		return
	}
	s.rules(w, r)
}
