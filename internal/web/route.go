package web

import (
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// Handler is all that is served. It may be used by several servers.
type Handler struct {
	// Site says what the settings of the moment say; nil: nothing is served.
	Site func() *Site
	// Healthy is nil while mail can be taken, and says why not otherwise.
	Healthy func() error
	// Metrics are what /metrics shows.
	Metrics http.Handler
	// Admin and Account are the pages below /admin/ and /account/; nil: there are none. Requests to
	// them carry a pages.Visitor.
	Admin, Account http.Handler
	Log            *slog.Logger
}

// ServeHTTP implements http.Handler: by the host that is asked, then by the path. What is not
// named here is not found, on every host.
func (s *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.protect(w)
	site := s.Site()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if site != nil {
		if handle := s.route(site, r); handle != nil {
			handle(w, r)
			return
		}
	}
	http.Error(w, "there is nothing here", http.StatusNotFound)
}

// route finds what answers a request; nil: nothing does.
func (s *Handler) route(site *Site, r *http.Request) http.HandlerFunc {
	q := ask(site, r)
	below := func(label string) (domains.Name, bool) {
		name, ok := strings.CutPrefix(q.host, label+".")
		_, ours := site.Domains[domains.Name(name)]
		return domains.Name(name), ok && ours
	}
	if d, ok := below("mta-sts"); ok {
		return policyAt(site.Domains[d], r)
	}
	for _, label := range []string{"autoconfig", "autodiscover"} {
		if d, ok := below(label); ok {
			return site.clients(r, d, false)
		}
	}
	if site.ownName(q.host) {
		if handle := s.status(site, q, r); handle != nil {
			return handle
		}
		if handle := s.pages(site, q, r); handle != nil {
			return handle
		}
	}
	d := domains.Name(q.host)
	_, ours := site.Domains[d]
	if ours || site.ownName(q.host) {
		return site.clients(r, d, site.ownName(q.host))
	}
	return nil
}

// protect keeps what goes wrong in one request from being silent.
func (s *Handler) protect(w http.ResponseWriter) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		s.Log.Error("panic in a web request", "panic", lineserver.Panic{Value: p}, "stack", string(debug.Stack()))
		http.Error(w, "something went wrong", http.StatusInternalServerError)
	}
}

// reading are the methods of what changes nothing.
func reading(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "this is only to be read", http.StatusMethodNotAllowed)
	return false
}

// answer sends a text of one type.
func answer(w http.ResponseWriter, contentType, text string) {
	w.Header().Set("Content-Type", contentType)
	io.WriteString(w, text)
}

// policyAt serves the MTA-STS policy of a domain (RFC 8461 §3.3).
func policyAt(d Domain, r *http.Request) http.HandlerFunc {
	if r.URL.Path != "/.well-known/mta-sts.txt" || d.Policy == "" {
		return nil
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if reading(w, r) {
			answer(w, "text/plain", d.Policy)
		}
	}
}

// status serves how the server is.
func (s *Handler) status(site *Site, q question, r *http.Request) http.HandlerFunc {
	serve := map[string]http.HandlerFunc{"/healthz": s.alive, "/readyz": s.ready(within(q.client, site.StatusFrom)), "/metrics": s.Metrics.ServeHTTP}[r.URL.Path]
	if r.URL.Path == "/metrics" && !within(q.client, site.StatusFrom) {
		s.Log.Debug("metrics refused", slog.String("client", q.client.String()))
		serve = func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "the metrics are for the hosts in Web.status_from", http.StatusForbidden)
		}
	}
	if serve == nil {
		return nil
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if reading(w, r) {
			serve(w, r)
		}
	}
}

// alive says that the process answers.
func (s *Handler) alive(w http.ResponseWriter, _ *http.Request) {
	answer(w, "text/plain; charset=utf-8", "ok\n")
}

// ready says whether mail can be taken, and to who may see the metrics why not.
func (s *Handler) ready(trusted bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		err := s.Healthy()
		if err == nil {
			answer(w, "text/plain; charset=utf-8", "ok\n")
			return
		}
		why := "mail cannot be taken now"
		if trusted {
			why += ": " + err.Error()
		}
		http.Error(w, why, http.StatusServiceUnavailable)
	}
}
