package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/rfc2822"
)

//go:embed templates assets
var files embed.FS

// pagePolicy is what our own pages may do: what they are made of is here. What is framed is a
// message, in a sandbox.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pages serves what people look at.
func (s *Server) pages(mux *http.ServeMux) {
	p := s.viewer()
	same := http.NewCrossOriginProtection() // forms of other pages change nothing
	mux.HandleFunc("GET /{$}", p.list)
	mux.HandleFunc("GET /message/{id}", p.message)
	mux.HandleFunc("GET /boxes", p.boxes)
	mux.Handle("POST /boxes", same.Handler(http.HandlerFunc(p.makeBox)))
	mux.Handle("POST /delete", same.Handler(http.HandlerFunc(p.remove)))
	mux.HandleFunc("GET /dialogue/{id}", p.dialogue)
	mux.HandleFunc("GET /dialogues", p.dialogues)
	mux.HandleFunc("GET /assets/{name}", asset)
}

type viewer struct {
	*Server
	templates *template.Template
}

func (s *Server) viewer() *viewer {
	words := template.FuncMap{"who": who, "cut": cut}
	return &viewer{s, template.Must(template.New("").Funcs(pages.Words()).Funcs(words).ParseFS(files, "templates/*.html"))}
}

// page is what every template gets.
type page struct {
	Title, Base, Root, Inbox, Label string
	Query                           string
	KeepAll, ReadOnly               bool
	Data                            any
}

func (p *viewer) show(w http.ResponseWriter, r *http.Request, name, title string, data any) {
	var b bytes.Buffer
	v := page{Title: title, Base: p.base(inbox(r)), Root: p.root(), Inbox: inbox(r), Label: p.Label, Query: cut(4096, r.URL.Query().Get("query")), KeepAll: p.KeepAll, ReadOnly: p.readOnly, Data: data}
	if err := p.templates.ExecuteTemplate(&b, name, v); err != nil {
		p.Log.Error("page cannot be made", "page", name, "error", err)
		http.Error(w, "this page cannot be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	w.Write(b.Bytes())
}

// asset serves what pages are made of: our own files, and those that all pages of this
// program share.
func asset(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.PathValue("name"))
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		content, err = pages.Asset(name)
	}
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	// Another version's may be different, so a browser asks whether they are what it has.
	sum := sha256.Sum256(content)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:8]))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

// perPage is how many messages the list shows at a time.
const perPage = 50

func (p *viewer) list(w http.ResponseWriter, r *http.Request) {
	q := sink.Query{Inbox: inbox(r), Start: number(r, "start", 0), Limit: perPage}
	var ignored []string
	if text := r.URL.Query().Get("query"); strings.TrimSpace(text) != "" {
		q.Search = sink.ParseSearch(text, zone(r))
		ignored = q.Search.Bad
	}
	found := p.Box.Find(q)
	c, _, _ := p.Box.Counts()
	link := func(start int) string {
		v := url.Values{}
		if text := r.URL.Query().Get("query"); text != "" {
			v.Set("query", text)
		}
		if start > 0 {
			v.Set("start", fmt.Sprint(start))
		}
		return "?" + v.Encode()
	}
	data := struct {
		sink.Page
		From, To     int
		Newer, Older string
		Ignored      []string
		Dropped      uint64
	}{Page: found, From: q.Start + min(1, len(found.Messages)), To: q.Start + len(found.Messages), Ignored: ignored, Dropped: c.ByNumber + c.ByOctets + c.ByAge}
	if q.Start > 0 {
		data.Newer = link(max(0, q.Start-perPage))
	}
	if data.To < found.Matched {
		data.Older = link(q.Start + perPage)
	}
	p.show(w, r, "list.html", "Messages", data)
}

// node is a part in the tree of a message.
type node struct {
	Path, Type, Name string
	Depth            int
}

func (p *viewer) message(w http.ResponseWriter, r *http.Request) {
	o, found := p.open(w, r)
	if !found {
		return
	}
	if r.URL.Query().Get("dns") != "" && led(w, r) {
		return
	}
	p.Box.Mark(inbox(r), true, nil, o.ID) // the page is shown also where that cannot be kept
	m := p.fullOf(o)
	tab := r.URL.Query().Get("tab")
	if tab == "" {
		tab = "html"
		if m.HTML == "" {
			tab = "text"
		}
	}
	_, remembered := p.Sessions.Get(o.Session)
	data := struct {
		full
		Tab        string
		Narrow     bool
		Remote     bool
		Source     string // or the text
		Fields     []rfc2822.Field
		More       int // fields that are not shown
		Tree       []node
		Check      *checked
		Sender     *senderCheck
		Remembered bool
	}{full: m, Tab: tab, Narrow: r.URL.Query().Get("width") == "phone", Remote: r.URL.Query().Get("remote") == "1", Remembered: remembered}
	switch tab {
	case "text":
		data.Source = shortened(m.Text)
	case "source":
		data.Source = shortened(string(o.raw))
	case "headers":
		for f := range o.mail.Header.All() {
			if len(data.Fields) < mostFields {
				data.Fields = append(data.Fields, f)
			} else {
				data.More++
			}
		}
	case "parts":
		data.Tree = o.tree()
	case "check":
		data.Sender = p.senderCheck(r, o)
		if m.HTML != "" {
			c := checkHTML(m.HTML)
			data.Check = &c
		}
	}
	p.show(w, r, "message.html", cut(mostName, m.Subject), data)
}

// mostSource is how much of a source or a text a page shows, and mostFields how many fields of a header; the file has
// all of it.
const (
	mostSource = 200 << 10
	mostFields = 300
)

func shortened(s string) string {
	if len(s) > mostSource {
		return strings.ToValidUTF8(s[:mostSource], "\uFFFD") + "\n…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func (o *opened) tree() (nodes []node) {
	o.mail.Walk(rfc2822.Limits{}, func(path []int, p *rfc2822.Part) error {
		nodes = append(nodes, node{partID(path), p.MediaType, p.FileName(), len(path)})
		return nil
	})
	return nodes
}

// mostRows is how many inboxes the page lists; the API has all of them.
const mostRows = 500

func (p *viewer) boxes(w http.ResponseWriter, r *http.Request) {
	type row struct {
		sink.Inbox
		URL string
	}
	all := p.Box.Inboxes()
	data := struct {
		Rows []row
		More int
	}{More: max(0, len(all)-mostRows)}
	for _, in := range all[:min(len(all), mostRows)] {
		data.Rows = append(data.Rows, row{in, p.base(in.Name)})
	}
	p.show(w, r, "inboxes.html", "Inboxes", data)
}

func (p *viewer) makeBox(w http.ResponseWriter, r *http.Request) {
	made, err := p.Box.Make(strings.TrimSpace(r.PostFormValue("name")))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		p.show(w, r, "problem.html", "Not made", err.Error())
		return
	}
	p.show(w, r, "made.html", "New inbox", struct {
		sink.Made
		URL string
	}{made, p.base(made.Name)})
}

func (p *viewer) remove(w http.ResponseWriter, r *http.Request) {
	id, query := r.PostFormValue("id"), r.PostFormValue("query")
	var err error
	switch {
	case id != "":
		err = p.Box.Delete(inbox(r), id)
	case strings.TrimSpace(query) != "":
		var found *sink.Search
		if found, err = exact(query, time.Local); err == nil {
			err = p.Box.DeleteAll(inbox(r), found)
		}
	case r.PostFormValue("all") == "yes" && !p.KeepAll:
		err = p.Box.DeleteAll(inbox(r), nil)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		p.show(w, r, "problem.html", "Not deleted", err.Error())
		return
	}
	http.Redirect(w, r, p.base(inbox(r)), http.StatusSeeOther)
}

func (p *viewer) dialogue(w http.ResponseWriter, r *http.Request) {
	d, ok := p.Sessions.Get(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	p.show(w, r, "dialogue.html", "Session "+d.ID, dialogueOf(&d))
}

func (p *viewer) dialogues(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, "dialogues.html", "Sessions", p.Sessions.List())
}

// who is an address as lists show it.
func who(p any) string {
	switch p := p.(type) {
	case person:
		return name(p.Name, p.Address)
	case sink.Person:
		return name(p.Name, p.Address)
	}
	return ""
}

// cut is the beginning of what a stranger wrote, at most so many octets of it.
func cut(most int, s string) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// mostName is how much of an address with its name a page shows.
const mostName = 300

func name(name, address string) string {
	name, address = cut(mostName, name), cut(mostName, address)
	switch {
	case name == "":
		return address
	case address == "":
		return name
	}
	return name + " <" + address + ">"
}
