package web

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/postrider-mail/postrider/internal/sink"
)

// Viewer serves the pages that show messages, and nothing that changes any: for a mailbox of a real server. Who asks has logged in
// somewhere else, so what a message's frame shows must not need to be asked for: a sandbox has no origin, and its questions no cookie.
func (s *Server) Viewer() http.Handler {
	s.readOnly, s.Sessions = true, &sink.Sessions{} // nobody's dialogue is remembered
	mux := http.NewServeMux()
	p := s.viewer()
	mux.HandleFunc("GET /{$}", p.list)
	mux.HandleFunc("GET /message/{id}", p.message)
	mux.HandleFunc("GET /assets/{name}", asset)
	mux.HandleFunc("GET /api/v1/message/{id}/part/{part}", s.part)
	mux.HandleFunc("GET /api/v1/message/{id}/raw", s.asSent)
	s.views(mux)
	return s.guard(s.below(mux))
}

// asSent gives out a message as it is.
func (s *Server) asSent(w http.ResponseWriter, r *http.Request) {
	if o, found := s.open(w, r); found {
		sendRaw(w, r, o.ID, o.raw)
	}
}

// mostInlined is how large a picture may be that stands in the page itself.
const mostInlined = 1 << 20

// inlined is a picture as an address that holds it; "" if it is none, or too large.
func (o *opened) inlined(id, kind string, size int64) string {
	if !strings.HasPrefix(kind, "image/") || size > mostInlined {
		return ""
	}
	_, _, data, err := o.part(id)
	if err != nil {
		return ""
	}
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data)
}
