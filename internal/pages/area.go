package pages

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// bodyOctets is what may be posted by a form.
const bodyOctets = 64 << 10

// ErrNotFound: there is no such thing to show or change.
var ErrNotFound = errors.New("there is no such thing")

// ErrForbidden: the settings do not let anybody see or do this.
var ErrForbidden = errors.New("the administrator of this server has switched this off")

// Config is what an area is made of.
type Config struct {
	Name   string // its path is /Name/
	Title  string // above every page
	Logins Logins
	// Codes: the form for logging in asks for a code as well, of those who have a second factor.
	Codes bool
	// Nobody, if not nil, says what to do where nobody can log in; empty: somebody can.
	Nobody func() string
	Log    *slog.Logger
}

// Area is the pages of one kind of people. It is an http.Handler that may be used concurrently, once all
// pages are added. Requests carry their Visitor.
type Area struct {
	Config
	sessions  sessions
	mux       *http.ServeMux
	templates map[string]*template.Template
	menu      []item
	cross     *http.CrossOriginProtection
	warned    struct { // of a form of another site
		sync.Mutex
		at time.Time
	}
}

// Action does what a form asks for.
type Action func(r *Request) error

// Page is one page, or what is sent in place of one.
type Page struct {
	// Path is below the area, as http.ServeMux has it, without a method: "", "queue", "queue/{id}".
	Path string
	// Menu is what the navigation calls it; empty: it is not there.
	Menu     string
	Title    string
	Template string // its file in templates
	// Show returns what the template shows. An error is shown in place of it; ErrNotFound is 404.
	Show func(r *Request) (any, error)
	// Do is what forms of the page can ask for, by the value of their button "do".
	Do map[string]Action
	// Send answers by itself, in place of Show and Template.
	Send func(w http.ResponseWriter, r *Request) error
	// Open: nobody has to log in for what Send sends; whatever opens it is in the address. There is no Who.
	Open bool
	// Octets is what may be posted; 0 is 64 KiB.
	Octets int64
	// Watch: a browser asks for it by itself, again and again, so that it does not count as use of the session.
	Watch bool
}

type item struct{ Path, Name string }

// Request is a request by somebody who has logged in.
type Request struct {
	*http.Request
	Who     string
	Visitor Visitor
	// Form has the query's values in Show, and what was posted in an Action.
	Form *Form
	// Next is the path below the area to go to after an Action; empty: the same page again.
	Next string
	// Refresh has the browser ask for the page again after so many seconds; 0: it does not.
	Refresh int

	area    *Area
	session *Session
	page    *Page
	action  string
	done    bool
}

// New makes an area without pages.
func New(c Config) *Area {
	a := &Area{Config: c, mux: http.NewServeMux(), templates: make(map[string]*template.Template), cross: http.NewCrossOriginProtection()}
	a.templates["login.html"] = template.Must(base().ParseFS(own, "templates/login.html"))
	a.templates["problem.html"] = template.Must(base().ParseFS(own, "templates/problem.html"))
	a.mux.HandleFunc(a.root()+"login", a.login)
	a.mux.HandleFunc(a.root()+"logout", a.logout)
	a.mux.HandleFunc(a.root()+"assets/", assets)
	a.mux.HandleFunc(a.root(), func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, &Page{Title: "Not found"}) })
	return a
}

//go:embed templates
var own embed.FS

func base() *template.Template {
	return template.Must(template.New("layout.html").Funcs(funcs()).ParseFS(own, "templates/layout.html", "templates/parts.html"))
}

// Add adds pages, whose templates are in the folder templates of files; what several of them use stands in shared.html there. It panics
// on a template that is wrong, as regexp.MustCompile does.
func (a *Area) Add(files fs.FS, pages ...Page) {
	with := base()
	if _, err := fs.Stat(files, "templates/shared.html"); err == nil {
		template.Must(with.ParseFS(files, "templates/shared.html"))
	}
	for _, p := range pages {
		if p.Template != "" {
			one := template.Must(with.Clone())
			a.templates[p.Template] = template.Must(one.ParseFS(files, "templates/"+p.Template))
		}
		pattern := a.root() + p.Path
		if p.Path == "" || strings.HasSuffix(p.Path, "/") {
			pattern += "{$}"
		}
		a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, &p) })
		if p.Menu != "" {
			a.menu = append(a.menu, item{a.root() + p.Path, p.Menu})
		}
	}
}

func (a *Area) root() string { return "/" + a.Name + "/" }

// policy is what a page may load and do: nothing inline, and nothing from elsewhere.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// ServeHTTP implements http.Handler.
func (a *Area) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	v := VisitorOf(r.Context())
	switch {
	case r.URL.Path+"/" == a.root():
		http.Redirect(w, r, a.root(), http.StatusPermanentRedirect)
	case !v.mayLogIn():
		needsTLS(w, v)
	case a.cross.Check(r) != nil:
		a.warnOfSite(v, r.Header.Get("Origin"))
		http.Error(w, "this was posted by a page of another site; nothing was changed", http.StatusForbidden)
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		h.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "pages are read, and forms are posted", http.StatusMethodNotAllowed)
	default:
		a.mux.ServeHTTP(w, r)
	}
}

// warnOfSite tells of a form of another site, once in a while: it needs no login, and strangers
// are not to fill the log.
func (a *Area) warnOfSite(v Visitor, origin string) {
	const between, longest = time.Minute, 200
	now := time.Now()
	a.warned.Lock()
	quiet := now.Sub(a.warned.at) < between
	if !quiet {
		a.warned.at = now
	}
	a.warned.Unlock()
	if !quiet {
		a.Log.Warn("a form of another site was refused", "area", a.Name, "remote", v.Client.String(), "origin", short(origin, longest))
	}
}

// serve answers for a page to somebody who has logged in, or to anybody where it is open.
func (a *Area) serve(w http.ResponseWriter, r *http.Request, p *Page) {
	if p.Open {
		a.sendOpen(w, r, p)
		return
	}
	s, _ := a.session(r)
	if s == nil {
		q := url.Values{"next": {r.URL.RequestURI()}}
		if r.Method == http.MethodPost {
			q.Set("ended", "1")
		}
		http.Redirect(w, r, a.root()+"login?"+q.Encode(), http.StatusSeeOther)
		return
	}
	if !p.Watch {
		a.sessions.use(s)
	}
	req := &Request{
		Request: r, Who: s.Who, Visitor: VisitorOf(r.Context()), Form: &Form{values: r.URL.Query()},
		area: a, session: s, page: p,
	}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		if status = a.act(w, req); status == 0 {
			return
		}
	}
	a.show(w, req, status)
}

// sendOpen sends what needs no login. What goes wrong is said in a sentence: there is no session that a page could be for.
func (a *Area) sendOpen(w http.ResponseWriter, r *http.Request, p *Page) {
	if r.Method == http.MethodPost {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this is only to be read", http.StatusMethodNotAllowed)
		return
	}
	if err := p.Send(w, &Request{Request: r, Visitor: VisitorOf(r.Context()), area: a, page: p}); err != nil {
		a.Log.Warn("a page could not be shown", "area", a.Name, "page", p.Title, "err", err)
		http.Error(w, "that did not work; try again later", http.StatusInternalServerError)
	}
}

// act carries out what was posted. It returns 0 if it has answered, and with what status
// the page is shown otherwise.
func (a *Area) act(w http.ResponseWriter, r *Request) int {
	most := r.page.Octets
	if most == 0 {
		most = bodyOctets
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if err := r.ParseForm(); err != nil {
		http.Error(w, fmt.Sprintf("the form cannot be read, or has more than %d octets", most), http.StatusBadRequest)
		return 0
	}
	r.Form = &Form{values: r.PostForm}
	r.action = r.PostForm.Get("do")
	do := r.page.Do[r.action]
	if do == nil {
		r.Form.Wrong("", "this page does no such thing")
		return http.StatusBadRequest
	}
	switch err := do(r); {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case err != nil:
		r.Form.Wrong("", err.Error())
	}
	if !r.Form.OK() {
		return http.StatusUnprocessableEntity
	}
	if !r.done {
		r.Done("Done.")
	}
	next := r.URL.RequestURI()
	if r.Next != "" {
		next = a.root() + r.Next
	}
	http.Redirect(w, r.Request, next, http.StatusSeeOther)
	return 0
}

// Done says what an Action has done: text to the person who asked, on the page that follows, and a line
// with facts (keys and values, as slog has them) to the log.
func (r *Request) Done(text string, facts ...any) {
	r.done = true
	r.area.sessions.say(r.session, text)
	args := []any{"area", r.area.Name, "user", r.Who, "remote", r.Visitor.Client.String(), "page", r.page.Title, "action", r.action}
	r.area.Log.Info("changed by page", append(args, facts...)...)
}

// KeepSession has the session go on whose own Action has changed the secrets it began with; all others of that name end.
func (r *Request) KeepSession() { r.area.sessions.stamp(r.session, r.area.Logins.Stamp(r.Who)) }

// Path is a path below the area, for links and Next.
func (r *Request) Path(below string) string { return r.area.root() + below }

// show sends the page.
func (a *Area) show(w http.ResponseWriter, r *Request, status int) {
	v := &view{
		Title: r.page.Title, Who: r.Who, Form: r.Form, Menu: a.menu, Here: r.URL.Path, Self: r.URL.RequestURI(),
	}
	var err error
	switch {
	case status == http.StatusNotFound:
		err = ErrNotFound
	case r.page.Send != nil && r.Method != http.MethodPost:
		if err = r.page.Send(w, r); err == nil {
			return
		}
	case r.page.Show != nil:
		v.Data, err = r.page.Show(r)
	case r.page.Template == "":
		err = ErrNotFound
	}
	name := r.page.Template
	if err != nil {
		name, v.Data = "problem.html", err.Error()
		if v.Title = "That did not work"; errors.Is(err, ErrNotFound) {
			status, v.Title, v.Data = http.StatusNotFound, "Not found", "There is no such page, or no longer."
		} else if errors.Is(err, ErrForbidden) {
			status, v.Title = http.StatusForbidden, r.page.Title
		} else if status == http.StatusOK {
			status = http.StatusInternalServerError
			a.Log.Warn("a page could not be shown", "area", a.Name, "page", r.page.Title, "err", err)
		}
	}
	v.Flash, v.Refresh = a.sessions.heard(r.session), r.Refresh
	a.render(w, status, name, v)
}
