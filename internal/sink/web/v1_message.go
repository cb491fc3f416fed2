package web

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/rfc2822"
)

// opened is a message with its octets, read.
type opened struct {
	sink.Message
	raw  []byte
	mail *rfc2822.Message
}

// open finds the message that a request's path names; "latest" is the newest, of those
// that the query finds. Where there is none it has answered.
func (s *Server) open(w http.ResponseWriter, r *http.Request) (*opened, bool) {
	id := r.PathValue("id")
	if id == "latest" {
		var found bool
		if id, found = s.latest(w, r); !found {
			return nil, false
		}
	}
	o, err := s.read(inbox(r), id)
	if err != nil {
		wrong(w, err)
		return nil, false
	}
	return o, true
}

// latest is the id of the newest message that the query of a request finds. Where there is none it has answered.
func (s *Server) latest(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	m, err := s.Box.Newest(inbox(r), sink.ParseSearch(r.URL.Query().Get("query"), zone(r)))
	if err != nil {
		http.Error(w, "Message not found", http.StatusNotFound)
	}
	return m.ID, err == nil
}

func (s *Server) read(inbox, id string) (*opened, error) {
	m, err := s.Box.Get(inbox, id)
	if err != nil {
		return nil, err
	}
	raw, err := s.Box.Octets(inbox, id)
	if err != nil {
		return nil, err
	}
	mail, err := rfc2822.ReadString(string(raw))
	if err != nil {
		return nil, err
	}
	return &opened{m, raw, mail}, nil
}

// attachment is a part of a message that is a file.
type attachment struct {
	PartID      string
	FileName    string
	ContentType string
	ContentID   string
	Size        int64
	Checksums   checksums
}

type checksums struct{ MD5, SHA1, SHA256 string }

// message is one with its text.
type message struct {
	ID              string
	MessageID       string
	From            person
	To              []person
	Cc              []person
	Bcc             []person
	ReplyTo         []person
	ReturnPath      string
	Subject         string
	ListUnsubscribe unsubscribe
	Date            time.Time
	Tags            []string
	Username        string
	Text            string
	HTML            string
	Size            int64
	Inline          []attachment
	Attachments     []attachment
}

func (o *opened) message() message {
	m := message{
		ID: o.ID, MessageID: o.MessageID, From: person(o.Author), To: persons(o.To), Cc: persons(o.Cc), Bcc: persons(o.Bcc), ReplyTo: persons(o.ReplyTo),
		ReturnPath: o.Envelope.From, Subject: o.Subject, ListUnsubscribe: unsubscribeOf(&o.mail.Header),
		Date: o.Date, Tags: append([]string{}, o.Tags...), Username: o.User, Size: o.Size, Inline: []attachment{}, Attachments: []attachment{},
	}
	if m.Date.IsZero() {
		m.Date = o.Created()
	}
	c := o.content()
	m.Text, m.HTML = strings.ReplaceAll(c.Text, "\r\n", "\n"), c.HTML
	sums := o.sums(c)
	for _, a := range c.Attachments {
		one := attachment{
			PartID: partID(a.Path), FileName: a.Name, ContentType: a.MediaType, ContentID: strings.Trim(a.ContentID, "<>"), Size: a.Size, Checksums: sums[partID(a.Path)],
		}
		if a.Inline {
			m.Inline = append(m.Inline, one)
		} else {
			m.Attachments = append(m.Attachments, one)
		}
	}
	return m
}

// mostText is how much of a text is given out, in octets.
const mostText = 16 << 20

// content is the message's text and files, as far as they can be read.
func (o *opened) content() *rfc2822.Content {
	c, err := o.mail.Content(rfc2822.Limits{}, mostText)
	if err != nil {
		return &rfc2822.Content{}
	}
	return c
}

// sums are the checksums of the attachments by their parts' names, all in one walk. A part that
// cannot be read has none.
func (o *opened) sums(c *rfc2822.Content) map[string]checksums {
	sums := make(map[string]checksums, len(c.Attachments))
	for _, a := range c.Attachments {
		sums[partID(a.Path)] = checksums{}
	}
	if len(sums) == 0 {
		return sums
	}
	o.mail.Walk(rfc2822.Limits{}, func(path []int, p *rfc2822.Part) error {
		id := partID(path)
		if _, wanted := sums[id]; !wanted {
			return nil
		}
		md, sha, sha2 := md5.New(), sha1.New(), sha256.New()
		_, err := io.Copy(io.MultiWriter(md, sha, sha2), p.Decoded())
		sum := func(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
		sums[id] = checksums{sum(md), sum(sha), sum(sha2)}
		return err
	})
	return sums
}

// partID is a part's name in paths: "2", "1.3"; the message itself is "0".
func partID(path []int) string {
	if len(path) == 0 {
		return "0"
	}
	names := make([]string, len(path))
	for i, n := range path {
		names[i] = strconv.Itoa(n)
	}
	return strings.Join(names, ".")
}

func partPath(id string) (path []int, ok bool) {
	if id == "0" {
		return nil, true
	}
	for name := range strings.SplitSeq(id, ".") {
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || len(path) > 100 {
			return nil, false
		}
		path = append(path, n)
	}
	return path, true
}

// unsubscribe is what the List-Unsubscribe field says (RFC 2369, RFC 8058).
type unsubscribe struct {
	Header     string
	Links      []string
	Errors     string
	HeaderPost string
}

func unsubscribeOf(h *rfc2822.Section) unsubscribe {
	u := unsubscribe{Header: h.Get("List-Unsubscribe"), Links: []string{}, HeaderPost: h.Get("List-Unsubscribe-Post")}
	for rest := u.Header; ; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			break
		}
		link, after, ok := strings.Cut(after, ">")
		if !ok {
			u.Errors = "a link has no end"
			break
		}
		u.Links = append(u.Links, strings.Join(strings.Fields(link), ""))
		rest = after
	}
	if u.Header != "" && len(u.Links) == 0 && u.Errors == "" {
		u.Errors = "there is no link in angle brackets"
	}
	return u
}

// message answers one message, which is read from then on.
func (s *Server) message(w http.ResponseWriter, r *http.Request) {
	o, found := s.open(w, r)
	if !found {
		return
	}
	if err := s.Box.Mark(inbox(r), true, nil, o.ID); err != nil {
		wrong(w, err)
		return
	}
	answer(w, o.message())
}

func (s *Server) headers(w http.ResponseWriter, r *http.Request) {
	o, found := s.open(w, r)
	if !found {
		return
	}
	fields := make(map[string][]string)
	mail, err := rfc2822.ReadString(string(o.Traced(o.raw)))
	if err != nil {
		wrong(w, err)
		return
	}
	for f := range mail.Header.All() {
		name := textproto.CanonicalMIMEHeaderKey(f.Name())
		fields[name] = append(fields[name], f.Value())
	}
	answer(w, fields)
}

func (s *Server) raw(w http.ResponseWriter, r *http.Request) {
	o, found := s.open(w, r)
	if !found {
		return
	}
	sendRaw(w, r, o.ID, o.Traced(o.raw))
}

func sendRaw(w http.ResponseWriter, r *http.Request, id string, raw []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if r.URL.Query().Get("dl") == "1" {
		h.Set("Content-Disposition", `attachment; filename="`+id+`.eml"`)
	}
	w.Write(raw)
}

// active are types whose content a browser would run: they are given as files.
var active = []string{"html", "xhtml", "xml", "svg", "xsl", "javascript"}

func (s *Server) part(w http.ResponseWriter, r *http.Request) {
	o, found := s.open(w, r)
	if !found {
		return
	}
	kind, name, data, err := o.part(r.PathValue("part"))
	if err != nil {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	h := w.Header()
	how := "inline"
	for _, word := range active {
		if strings.Contains(kind, word) {
			kind, how = "application/octet-stream", "attachment"
		}
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if disposition := mime.FormatMediaType(how, map[string]string{"filename": name}); disposition != "" {
		h.Set("Content-Disposition", disposition)
	}
	w.Write(data)
}

// part is one part, decoded.
func (o *opened) part(id string) (kind, name string, data []byte, err error) {
	path, ok := partPath(id)
	if !ok {
		return "", "", nil, rfc2822.ErrNotFound
	}
	kind, name = "application/octet-stream", "unnamed"
	for _, a := range o.content().Attachments {
		if partID(a.Path) == id {
			kind, name = a.MediaType, a.Name
		}
	}
	if name == "unnamed" {
		kind, name = o.plainPart(id)
	}
	var b bytes.Buffer
	_, err = o.mail.WritePart(&b, rfc2822.Limits{}, path)
	return kind, name, b.Bytes(), err
}

// plainPart is the type of a part that is no attachment, and a name for it.
func (o *opened) plainPart(id string) (kind, name string) {
	kind, name = "application/octet-stream", "part-"+id
	o.mail.Walk(rfc2822.Limits{}, func(path []int, p *rfc2822.Part) error {
		if partID(path) == id {
			kind = p.MediaType
			if charset := p.Charset(); strings.HasPrefix(kind, "text/") && charset != "" {
				if with := mime.FormatMediaType(kind, map[string]string{"charset": charset}); with != "" {
					kind = with
				}
			}
			if p.FileName() != "" {
				name = p.FileName()
			}
		}
		return nil
	})
	return kind, name
}
