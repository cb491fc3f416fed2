package rfc2822

import (
	"errors"
	"io"
	"slices"
	"strings"
)

// ErrSkip, returned by the function Walk calls, leaves out what is within the part.
var ErrSkip = errors.New("rfc2822: skip this part")

// Walk takes the message apart and calls fn for every node of the tree, each
// before what is within it: the message itself with an empty path, then its
// parts, numbered from 1, and those of messages in it. The path is only valid
// during the call. Octets nobody reads are skipped; nothing is held in memory
// but header sections.
//
// Malformed structure does not end the walk: it is added to m.Defects, with the part
// it concerns, unless it is there already. More parts or octets than l allows do, with a Defect as error; parts
// nested too deep are given whole. Any other error is one of fn or of the source.
func (m *Message) Walk(l Limits, fn func(path []int, p *Part) error) error {
	if m.body.read {
		return ErrBodyRead
	}
	l = l.withDefaults()
	w := &walker{limits: l, fn: fn, work: l.Work}
	t := newTreeReader(m.Body(), &w.work)
	defer t.close()
	root := newPart(&m.Header, nil, 0, "text/plain", w)
	err := w.entity(t, root, 0)
	if err == nil {
		err = t.failed()
	}
	m.keepDefects(w.defects)
	if errors.Is(err, ErrSkip) {
		err = nil
	}
	return err
}

// keepDefects adds the defects of this walk that no earlier one found: a walk reads
// what its caller asks for, and another may have read more.
func (m *Message) keepDefects(found []Defect) {
	for _, d := range found {
		if len(m.Defects) >= 2*maxDefects {
			return
		}
		if !slices.Contains(m.Defects, d) {
			m.Defects = append(m.Defects, d)
		}
	}
}

// walker is what one walk knows.
type walker struct {
	limits  Limits
	fn      func([]int, *Part) error
	work    int64
	count   int // of parts of all levels
	defects []Defect
	path    []int

	scratch  []byte // for preambles
	guessing bool   // within a multipart whose boundary was guessed
}

func (w *walker) note(k DefectKind, p *Part) {
	if len(w.defects) >= maxDefects {
		return
	}
	w.defects = append(w.defects, Defect{Kind: k, Offset: -1, Part: p.Path()})
}

// newPart makes a node of a header section. Without Content-Type it has the
// type that is the default where it stands.
func newPart(h *Section, parent *Part, index int, def string, w *walker) *Part {
	p := &Part{Header: h, Parent: parent, Index: index, MediaType: def, encoding: "7bit", walk: w}
	if f, ok := h.First("Content-Type"); ok {
		kind, params, ok := ParseMediaType(f.Value())
		p.Params = params
		switch {
		case ok && strings.Contains(kind, "/"):
			p.MediaType = kind
		case kind == "text": // before MIME had subtypes
			p.MediaType = "text/plain"
		default:
			p.MediaType = "text/plain" // RFC 2045 §5.2
			w.note(BadContentType, p)
		}
	}
	if f, ok := h.First("Content-Transfer-Encoding"); ok {
		p.setEncoding(f.Value(), w)
	}
	return p
}

func (p *Part) setEncoding(value string, w *walker) {
	value = skipComments(value)
	if i := strings.IndexAny(value, " \t;(\r\n"); i >= 0 {
		value = value[:i]
	}
	value = strings.ToLower(strings.Trim(value, `"'`))
	switch value {
	case "7bit", "8bit", "binary", "base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue":
		p.encoding = value
	case "", "7-bit", "8-bit", "7bits", "8bits", "none", "plain", "us-ascii", "utf-8":
		p.encoding = "8bit"
	case "quotedprintable", "qp", "quoted":
		p.encoding = "quoted-printable"
	default:
		w.note(UnknownEncoding, p)
		p.encoding = "binary"
	}
}

// entity calls fn for a node whose header was read, and goes on within it. It
// ends with t stopped, at a boundary of an outer multipart or at the end.
func (w *walker) entity(t *treeReader, p *Part, depth int) error {
	if w.count++; w.count > w.limits.Parts {
		return Defect{Kind: TooManyParts, Offset: -1, Part: p.Path()}
	}
	p.raw = t
	w.path = p.path(w.path)
	err := w.fn(w.path, p)
	if errors.Is(err, ErrSkip) {
		p.started, err = true, nil
	}
	if err != nil {
		return err
	}
	if p.check != nil && p.check() {
		w.note(BadEncoding, p)
	}
	if !p.started {
		switch {
		case !p.IsMultipart() && !p.IsMessage():
		case depth >= w.limits.Depth:
			w.note(TooDeep, p)
		case p.IsMessage():
			return w.message(t, p, depth)
		default:
			return w.multipart(t, p, depth)
		}
	}
	t.skip()
	return nil
}

// message goes on within a message/rfc822. Such a part has no transfer encoding
// (RFC 2046 §5.2.1); where a program gave it one, a reader of its own decodes it.
func (w *walker) message(t *treeReader, p *Part, depth int) error {
	inner := t
	if r := p.Decoded(); r != io.Reader(t) {
		inner = newTreeReader(r, &w.work)
		defer inner.close()
	}
	h := inner.header(w.limits.HeaderBytes)
	child := newPart(&h.section, p, 1, "text/plain", w)
	w.keep(h.defects, child)
	if err := w.entity(inner, child, depth+1); err != nil {
		return err
	}
	if p.check != nil && p.check() {
		w.note(BadEncoding, p)
	}
	if inner != t {
		t.skip()
	}
	return nil
}

// keep notes the defects of a part's header section.
func (w *walker) keep(found []Defect, p *Part) {
	for _, d := range found {
		if len(w.defects) < maxDefects {
			d.Part = p.Path()
			w.defects = append(w.defects, d)
		}
	}
}

// multipart goes through the parts of a multipart (RFC 2046 §5.1).
func (w *walker) multipart(t *treeReader, p *Part, depth int) error {
	level := len(t.open)
	if boundary := openBoundary(p.Params["boundary"]); boundary != "--" {
		t.open = append(t.open, boundary)
	}
	defer func() { t.open = t.open[:level] }()
	text := t.preamble(w.scratch[:0])
	w.scratch = text[:0]
	found := t.hit == level && len(t.open) > level
	if found && t.last { // closed before it began: what stands around the line is all there is
		t.open = t.open[:level]
		t.resume()
		text, found = append(append(text, '\n'), t.preamble(nil)...), false
	}
	if !found {
		w.scratch = nil // what is read of it may hold other multiparts
		w.note(MissingBoundary, p)
		if err := w.unparted(t, p, text, depth); err != nil {
			return err
		}
		if t.hit != level || len(t.open) == level {
			return t.failed()
		}
	}
	ended, err := w.parts(t, p, level, depth)
	if err != nil || !ended {
		return err
	}
	t.open = t.open[:level]
	t.resume()
	t.skip() // the epilogue
	return nil
}

// parts goes through the parts that begin at a boundary line of this level, of
// which t has reached the first. It reports whether the closing one came.
func (w *walker) parts(t *treeReader, p *Part, level, depth int) (bool, error) {
	def := "text/plain"
	if p.MediaType == "multipart/digest" {
		def = "message/rfc822" // RFC 2046 §5.1.5
	}
	for t.hit == level && !t.last {
		t.resume()
		h := t.header(w.limits.HeaderBytes)
		child := newPart(&h.section, p, p.nextKid(), def, w)
		w.keep(h.defects, child)
		if err := w.entity(t, child, depth+1); err != nil {
			return false, err
		}
	}
	if err := t.failed(); err != nil {
		return false, err
	}
	if t.hit != level {
		w.note(UnterminatedMultipart, p)
		return false, nil
	}
	return true, nil
}
