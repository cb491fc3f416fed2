// Package web gives out over HTTP what a sink's Box holds: an API for tests, in the
// words of Mailpit's version 1 and of MailHog, so that clients of theirs work as
// they are, one of our own for inboxes, waiting and what those cannot say, and pages
// for people.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/sink"
)

// Server is the HTTP side of a sink. Its fields must not change once it serves.
type Server struct {
	Box      *sink.Box
	Chaos    *sink.Chaos    // nil: it is off, and the API says so
	Faults   *sink.Faults   // the rules by which mail fails
	Sessions *sink.Sessions // the dialogues of SMTP
	Relay    *sink.Relay    // nil: nothing is released
	Webhook  *sink.Webhook  // nil: none
	Judge    *sink.Judge    // what SPF, DKIM and DMARC would say; nil: the DNS is never asked

	Root    string   // the path below which all of it stands, "/" or "/mail/"
	Logins  Logins   // for everything but what says whether it lives; nil: none is asked
	Send    Logins   // for what sends, in place of Logins
	Origins []string // other origins whose pages may ask; "*" is any
	Hosts   []string // the names it is asked by; nil: any, but by loopback only loopback's own
	// InnerLinks lets a check of links connect to addresses that only this host and
	// its network have.
	InnerLinks bool

	Hostname    string
	Version     string
	Label       string
	MessageSize int64
	KeepAll     bool // the page has no button that deletes everything
	Log         *slog.Logger

	readOnly bool // pages have nothing that changes anything
}

// Handler serves all of it.
func (s *Server) Handler() http.Handler {
	scoped, mux := http.NewServeMux(), http.NewServeMux()
	for _, o := range slices.Concat(s.version1(), s.mailhog()) {
		scoped.HandleFunc(o.pattern, o.handle)
	}
	for _, o := range s.inboxes() {
		mux.HandleFunc(o.pattern, o.handle)
	}
	s.views(scoped)
	s.pages(scoped)
	mux.HandleFunc("GET /livez", alive)
	mux.HandleFunc("GET /readyz", alive)
	mux.HandleFunc("GET /api/v1/openapi.json", s.describe)
	mux.HandleFunc("GET /api/v1/swagger.json", s.describe)
	mux.Handle("/inboxes/{inbox}/{rest...}", s.within(scoped))
	mux.Handle("/", scoped)
	return s.guard(s.below(mux))
}

func alive(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

type inboxKey struct{}

// inbox is which inbox a request is about; "" is all of them.
func inbox(r *http.Request) string {
	name, _ := r.Context().Value(inboxKey{}).(string)
	return name
}

// all is the name of what holds every message, in paths.
const all = "-"

// within serves below /inboxes/NAME/ what is served at the top, for that inbox alone.
func (s *Server) within(scoped http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("inbox")
		if name == all {
			name = ""
		}
		in := r.Clone(context.WithValue(r.Context(), inboxKey{}, s.Box.Name(name)))
		in.URL.Path, in.URL.RawPath = "/"+r.PathValue("rest"), ""
		scoped.ServeHTTP(w, in)
	})
}

// below takes the root off the path. Who asks for the root without its slash is led to it; two
// slashes, as some clients write them, are one.
func (s *Server) below(next http.Handler) http.Handler {
	root := s.root()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, strings.TrimSuffix(root, "/"))
		switch {
		case !ok || path != "" && path[0] != '/':
			http.NotFound(w, r)
			return
		case path == "" && root != "/":
			http.Redirect(w, r, root, http.StatusMovedPermanently)
			return
		}
		for strings.HasPrefix(path, "//") {
			path = path[1:]
		}
		in := r.Clone(r.Context())
		in.URL.Path = path
		in.URL.RawPath = ""
		if escaped := r.URL.EscapedPath(); strings.Contains(escaped, "%2F") || strings.Contains(escaped, "%2f") {
			in.URL.RawPath = "/" + strings.TrimLeft(strings.TrimPrefix(escaped, strings.TrimSuffix(root, "/")), "/")
		}
		next.ServeHTTP(w, in)
	})
}

func (s *Server) root() string {
	return "/" + strings.Trim(s.Root, "/") + strings.Repeat("/", min(1, len(strings.Trim(s.Root, "/"))))
}

// base is the path that links of a page or an answer about an inbox begin with.
func (s *Server) base(inbox string) string {
	if inbox == "" {
		return s.root()
	}
	return s.root() + "inboxes/" + url.PathEscape(inbox) + "/"
}
