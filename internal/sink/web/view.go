package web

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

// views serves a message's text as a document of its own, below view/.
func (s *Server) views(mux *http.ServeMux) {
	mux.HandleFunc("GET /view/{name}", s.view)
}

func (s *Server) view(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	id, kind := strings.TrimSuffix(name, ".html"), "html"
	if trimmed, ok := strings.CutSuffix(name, ".txt"); ok {
		id, kind = trimmed, "txt"
	}
	if name == "latest" {
		s.viewLatest(w, r)
		return
	}
	r.SetPathValue("id", id)
	o, found := s.open(w, r)
	if !found {
		return
	}
	if kind == "txt" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
		text := o.content().Text
		w.Write([]byte(strings.ReplaceAll(text, "\r\n", "\n")))
		return
	}
	c := o.content()
	if c.HTML == "" {
		http.NotFound(w, r)
		return
	}
	parts := make(map[string]string)
	for _, a := range c.Attachments {
		switch id := strings.Trim(a.ContentID, "<>"); {
		case id == "":
		case s.readOnly:
			parts[id] = o.inlined(partID(a.Path), a.MediaType, a.Size)
		default:
			parts[id] = s.base(inbox(r)) + "api/v1/message/" + o.ID + "/part/" + partID(a.Path)
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", viewPolicy(r.URL.Query().Get("remote") == "1"))
	w.Write([]byte(presentable(c.HTML, parts, r.URL.Query().Has("embed"))))
}

// viewLatest leads to the page of the newest message, of those that the query finds.
func (s *Server) viewLatest(w http.ResponseWriter, r *http.Request) {
	if id, found := s.latest(w, r); found {
		http.Redirect(w, r, s.base(inbox(r))+"message/"+id, http.StatusFound)
	}
}

// viewPolicy keeps what a stranger wrote where it is: nothing runs, nothing is sent, it has
// no origin, and it asks nobody; its images from elsewhere only where a person wishes so.
func viewPolicy(remote bool) string {
	images := "img-src 'self' data:; font-src data:; media-src 'self' data:"
	if remote {
		images = "img-src 'self' data: http: https:; font-src data: http: https:; media-src 'self' data: http: https:"
	}
	return "default-src 'none'; " + images + "; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
}

// presentable is the HTML with cid: links leading to the message's parts, and without what
// would lead a reader elsewhere: scripts, base, refresh, frames.
func presentable(source string, parts map[string]string, embed bool) string {
	var b strings.Builder
	skip := ""
	for z := html.NewTokenizer(strings.NewReader(source)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			return b.String()
		}
		raw := string(z.Raw())
		t := z.Token()
		switch {
		case skip != "":
			if kind == html.EndTagToken && t.Data == skip {
				skip = ""
			}
		case kind == html.StartTagToken && (t.Data == "script" || t.Data == "iframe" || t.Data == "object" || t.Data == "frameset"):
			skip = t.Data
		case misleading(&t):
		case kind == html.StartTagToken || kind == html.SelfClosingTagToken:
			b.WriteString(rewritten(t, raw, parts, embed))
		case kind == html.TextToken:
			b.WriteString(linked(raw, parts))
		default:
			b.WriteString(raw)
		}
	}
}

// misleading are elements that change where links lead, or lead away by themselves.
func misleading(t *html.Token) bool {
	switch t.Data {
	case "base", "embed", "frame":
		return true
	case "meta":
		for _, a := range t.Attr {
			if a.Key == "http-equiv" && !strings.EqualFold(strings.TrimSpace(a.Val), "content-type") {
				return true
			}
		}
	}
	return false
}

// rewritten is a tag, changed only where it has to be.
func rewritten(t html.Token, raw string, parts map[string]string, embed bool) string {
	changed := false
	attrs := t.Attr[:0:0]
	for _, a := range t.Attr {
		if strings.HasPrefix(a.Key, "on") {
			changed = true
			continue
		}
		if to := linked(a.Val, parts); to != a.Val {
			a.Val, changed = to, true
		}
		if embed && a.Key == "target" {
			changed = true
			continue
		}
		attrs = append(attrs, a)
	}
	t.Attr = attrs
	if embed && t.Data == "a" {
		t.Attr, changed = append(t.Attr, html.Attribute{Key: "target", Val: "_blank"}, html.Attribute{Key: "rel", Val: "noopener noreferrer"}), true
	}
	if !changed {
		return raw
	}
	return t.String()
}

// cidPattern finds links to parts; what ends one cannot stand in a Content-ID that a URL holds (RFC 2392 §2).
var cidPattern = regexp.MustCompile(`(?i)\bcid:[^\s"'<>(),;\\]+`)

// linked is a text in which cid: links lead to parts of the message.
func linked(text string, parts map[string]string) string {
	if len(parts) == 0 || len(text) < len("cid:") {
		return text
	}
	return cidPattern.ReplaceAllStringFunc(text, func(link string) string {
		id := link[len("cid:"):]
		if address, ok := parts[id]; ok {
			return address
		}
		if plain, err := url.PathUnescape(id); err == nil && parts[plain] != "" {
			return parts[plain]
		}
		return link
	})
}
