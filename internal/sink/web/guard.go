package web

import (
	"compress/gzip"
	"crypto/subtle"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/pages"
)

// Logins are names with their passwords.
type Logins map[string]string

// has reports whether the request has one of them, by HTTP's Basic.
func (l Logins) has(r *http.Request) bool {
	user, password, _ := r.BasicAuth()
	want, ok := l[user]
	return subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 1 && ok
}

// guard is what every request passes: the host it asks for, the page it comes from, its
// login; and the answer's compression.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if !s.hostAllowed(r) {
			http.Error(w, "403 this host name is not among the allowed ones; see --allowed-hosts", http.StatusForbidden)
			return
		}
		path := strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(s.root(), "/"))
		if path == "/livez" || path == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		if api(path) && !s.cross(w, r) {
			return
		}
		logins := s.Logins
		if s.Send != nil && strings.HasSuffix(path, "/api/v1/send") {
			logins = s.Send
		}
		if logins != nil && r.Method != http.MethodOptions && !logins.has(r) {
			h.Set("WWW-Authenticate", `Basic realm="Login"`)
			http.Error(w, "401 login needed", http.StatusUnauthorized)
			return
		}
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && r.Header.Get("Upgrade") == "" && r.Method != http.MethodHead {
			z := &zipped{ResponseWriter: w}
			defer z.Close()
			w = z
		}
		next.ServeHTTP(w, r)
	})
}

// api reports whether a path is one that pages of other origins must not ask: all but
// our own pages, which can be led to by links.
func api(path string) bool {
	return strings.Contains(path, "/api/") || strings.Contains(path, "/view/") || strings.Contains(path, "/inboxes")
}

// cross answers what pages of other origins ask. Programs send no Origin.
func (s *Server) cross(w http.ResponseWriter, r *http.Request) (pass bool) {
	origin := r.Header.Get("Origin")
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, PUT, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "*")
	if shownInFrame(r) {
		h.Del("Access-Control-Allow-Origin")
		return true
	}
	if origin != "" && !s.originAllowed(origin, r.Host) {
		h.Del("Access-Control-Allow-Origin")
		http.Error(w, "403 CORS: this origin is not among the allowed ones; see --api-cors", http.StatusForbidden)
		return false
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusOK)
		return false
	}
	return true
}

// shownInFrame reports whether a picture is asked for by a message that is shown: the sandbox it is in has the origin
// "null". Without leave to read it, nobody can do more than show it, and that by an id that cannot be guessed.
func shownInFrame(r *http.Request) bool {
	return r.Header.Get("Origin") == "null" && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.Contains(r.URL.Path, "/part/") && !strings.Contains(r.URL.Path, "/latest/")
}

func (s *Server) originAllowed(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return slices.Contains(s.Origins, "*")
	}
	return strings.EqualFold(u.Host, host) || slices.ContainsFunc(s.Origins, func(allowed string) bool {
		return allowed == "*" || strings.EqualFold(allowed, origin) || strings.EqualFold(allowed, u.Host) || strings.EqualFold(allowed, u.Hostname())
	})
}

// hostAllowed reports whether the server may be asked by this name. A page whose name
// was made to lead to the loopback address would otherwise be of the same origin.
func (s *Server) hostAllowed(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(strings.ToLower(host), "[]")
	if s.Hosts != nil {
		return slices.ContainsFunc(s.Hosts, func(h string) bool { return strings.EqualFold(h, host) || strings.EqualFold(h, r.Host) }) || pages.IsLoopback(host)
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return true
	}
	if a, err := netip.ParseAddrPort(local.String()); err != nil || !a.Addr().Unmap().IsLoopback() {
		return true
	}
	return pages.IsLoopback(host)
}

// zipped compresses an answer that is long enough and is text.
type zipped struct {
	http.ResponseWriter
	w    io.WriteCloser
	sent bool
}

// WriteHeader implements http.ResponseWriter.
func (z *zipped) WriteHeader(code int) {
	if z.sent {
		return
	}
	z.sent = true
	h := z.Header()
	kind := h.Get("Content-Type")
	text := strings.HasPrefix(kind, "text/") || strings.HasPrefix(kind, "application/json")
	if text && code == http.StatusOK && h.Get("Content-Encoding") == "" {
		h.Del("Content-Length")
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		z.w = gzip.NewWriter(z.ResponseWriter)
	}
	z.ResponseWriter.WriteHeader(code)
}

// Write implements io.Writer.
func (z *zipped) Write(p []byte) (int, error) {
	if !z.sent {
		if z.Header().Get("Content-Type") == "" {
			z.Header().Set("Content-Type", http.DetectContentType(p))
		}
		z.WriteHeader(http.StatusOK)
	}
	if z.w != nil {
		return z.w.Write(p)
	}
	return z.ResponseWriter.Write(p)
}

// Close ends what was compressed.
func (z *zipped) Close() {
	if z.w != nil {
		z.w.Close()
	}
}

// Unwrap is for http.ResponseController.
func (z *zipped) Unwrap() http.ResponseWriter { return z.ResponseWriter }
