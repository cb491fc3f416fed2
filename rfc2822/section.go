package rfc2822

import (
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// Section is a header section (RFC 5322 §2.2): the fields of a message or of
// a MIME part in their order, each with its octets, and the empty line behind
// them. The zero value is an empty section.
type Section struct {
	// As read: the octets, and where in them the fields begin. Marks hold no
	// pointers, so a section costs the collector nothing.
	text  string
	marks []mark

	fields []Field // once something was changed; marks is nil then
	sep    string  // the empty line, "" if the message has none
	cut    bool
	bare   bool // there was no field at all, and a body
	lf     bool // lines end in LF alone
}

// ParseHeader reads the header section at the start of text. It returns the
// section, the number of octets it takes (the empty line included), and what
// is wrong with it.
func ParseHeader(text string) (Section, int, []Defect) {
	h := stringHead(text, maxHeader, nil)
	return h.section, h.used, h.defects
}

// newSection makes the fields the scan has marked in text, whose fields end at
// end, and keeps the marks in room if they fit. A section cut in the middle of
// a line has that line as its last field.
func newSection(text string, end int, marks, room []mark) Section {
	s := Section{text: text, sep: text[end:]}
	if end == 0 {
		return s
	}
	if len(marks) == 0 {
		name, body := splitName([]byte(text[:end]))
		marks = []mark{{0, uint16(name), uint16(body)}}
	}
	if len(marks) <= len(room) {
		s.marks = room[:copy(room, marks):len(marks)]
	} else {
		s.marks = slices.Clone(marks)
	}
	nl := strings.IndexByte(text, '\n')
	s.lf = nl == 0 || nl > 0 && nl < end && text[nl-1] != '\r'
	return s
}

// at returns the field with this index.
func (s *Section) at(i int) Field {
	if s.marks == nil {
		return s.fields[i]
	}
	m, next := s.marks[i], len(s.text)-len(s.sep)
	if i+1 < len(s.marks) {
		next = int(s.marks[i+1].start)
	}
	return Field{raw: s.text[m.start:next], name: uint32(m.name), body: uint32(m.body)}
}

// own makes a list of fields that can be changed; copies of the section keep theirs.
func (s *Section) own() {
	s.fields, s.marks, s.text = s.list(), nil, ""
}

// Len returns the number of fields, junk lines included.
func (s *Section) Len() int {
	if s.marks != nil {
		return len(s.marks)
	}
	return len(s.fields)
}

// Truncated reports whether the header section was cut at the limit, so that
// fields may lie beyond it.
func (s *Section) Truncated() bool { return s.cut }

// leadingLine is the field that a continuation line at the top of a message
// becomes the value of when fields are put above it.
const leadingLine = "X-Leading-Line"

// Seam returns what has to stand between fields put on top of the message and
// the message's first octet: nearly always nothing. A message without header
// needs the empty line that ends the new one. One that begins with a
// continuation line needs a field for it to continue, or a stranger's text would become
// part of the trace field above. Prepend, Add and WriteTo see to it themselves; Seam is for
// those who write on top of a stream (see Peek).
func (s *Section) Seam() string {
	switch {
	case s.bare:
		return s.eol()
	case s.leadingFold():
		return leadingLine + ":" + s.eol()
	}
	return ""
}

func (s *Section) leadingFold() bool {
	if s.Len() == 0 {
		return false
	}
	first := s.at(0)
	return first.name == 0 && first.junkKind(true) == LeadingFold
}

// list returns all fields from top to bottom.
func (s *Section) list() []Field {
	out := make([]Field, s.Len())
	for i := range out {
		out[i] = s.at(i)
	}
	return out
}

// All iterates over the fields from top to bottom.
func (s *Section) All() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for i := range s.Len() {
			if !yield(s.at(i)) {
				return
			}
		}
	}
}

// First returns the topmost field with this name.
func (s *Section) First(name string) (Field, bool) {
	for i := range s.Len() {
		if f := s.at(i); f.Is(name) {
			return f, true
		}
	}
	return Field{}, false
}

// Named returns all fields with this name from top to bottom.
func (s *Section) Named(name string) []Field {
	var out []Field
	for i := range s.Len() {
		if f := s.at(i); f.Is(name) {
			out = append(out, f)
		}
	}
	return out
}

// Get returns the unfolded value of the topmost field with this name, or "".
func (s *Section) Get(name string) string {
	f, ok := s.First(name)
	if !ok {
		return ""
	}
	return f.Value()
}

// Text returns the value of the topmost field with this name as UTF-8 of one line, its
// encoded words decoded, or "".
func (s *Section) Text(name string) string { return DecodeWords(s.Get(name)) }

// Has reports whether a field with this name is there.
func (s *Section) Has(name string) bool {
	_, ok := s.First(name)
	return ok
}

// Missing returns those of the names that no field has. Of a truncated section
// it returns none: what is not seen may still be there.
func (s *Section) Missing(names ...string) []string {
	if s.cut {
		return nil
	}
	var out []string
	for _, name := range names {
		if !s.Has(name) {
			out = append(out, name)
		}
	}
	return out
}

// Prepend puts fields on top, the first argument topmost. A continuation line
// that the message began with becomes a field of its own (see Seam).
func (s *Section) Prepend(fields ...Field) {
	seam := s.leadingFold()
	s.own()
	if seam && len(fields) > 0 {
		s.fields[0] = parseField(leadingLine + ":" + s.eol() + s.fields[0].raw)
	}
	s.fields = slices.Concat(s.local(fields), s.fields)
	s.separate()
}

// Add makes a field and puts it on top.
func (s *Section) Add(name, value string) error {
	f, err := NewField(name, value)
	if err != nil {
		return err
	}
	s.Prepend(f)
	return nil
}

// Remove takes away all fields with one of the names and returns how many there
// were. The last field of a truncated section stays: its rest may lie beyond.
// Lines that are no fields stay, too; two that come to stand together may end
// the header for whoever reads the message next.
func (s *Section) Remove(names ...string) int {
	return s.RemoveFunc(func(f Field) bool { return slices.ContainsFunc(names, f.Is) })
}

// RemoveFunc is Remove for the fields that a function chooses.
func (s *Section) RemoveFunc(chosen func(Field) bool) int {
	s.own()
	before := len(s.fields)
	kept := make([]Field, 0, before)
	for i, f := range s.fields {
		if s.cut && i == before-1 || !chosen(f) {
			kept = append(kept, f)
		}
	}
	s.fields = kept
	return before - len(kept)
}

// local gives new fields the line ends of the section they go into.
func (s *Section) local(fields []Field) []Field {
	if !s.lf {
		return fields
	}
	out := make([]Field, len(fields))
	for i, f := range fields {
		out[i] = parseField(strings.ReplaceAll(f.raw, "\r\n", "\n"))
	}
	return out
}

// separate gives a message that had no header the empty line it now needs.
func (s *Section) separate() {
	if s.bare {
		s.sep, s.bare = s.eol(), false
	}
}

func (s *Section) eol() string {
	if s.lf {
		return "\n"
	}
	return "\r\n"
}

// Size is the number of octets WriteTo writes.
func (s *Section) Size() int {
	if s.marks != nil {
		return len(s.text)
	}
	n := len(s.sep)
	for i := range s.fields {
		n += len(s.fields[i].raw)
	}
	return n
}

// WriteTo writes the fields as they are, and the empty line if there is one.
func (s *Section) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, s.String())
	return int64(n), err
}

// String returns the octets of the section, the empty line included.
func (s *Section) String() string {
	if s.marks != nil {
		return s.text
	}
	var b strings.Builder
	b.Grow(s.Size())
	for i := range s.fields {
		b.WriteString(s.fields[i].raw)
	}
	b.WriteString(s.sep)
	return b.String()
}

// defects looks for what is wrong with a section as read, up to maxDefects and
// two. body reports whether something follows, clean that the fields are in order.
func (s *Section) defects(body, clean bool) []Defect {
	var out []Defect
	if s.bare {
		return []Defect{{Kind: NoHeader}}
	}
	if !clean {
		out = s.lineDefects()
	}
	offset := int64(len(s.text) - len(s.sep))
	if s.sep == "" && body && !s.cut {
		out = append(out, Defect{Kind: MissingSeparator, Offset: offset})
	}
	if s.cut {
		out = append(out, Defect{Kind: HeaderTooLong, Offset: offset})
	}
	return out
}

// lineDefects looks for what is wrong with the fields one by one.
func (s *Section) lineDefects() (out []Defect) {
	offset := int64(0)
	for i := range s.Len() {
		f := s.at(i)
		if f.name == 0 {
			out = append(out, Defect{Kind: f.junkKind(i == 0), Offset: offset})
		}
		out = f.defects(out, offset, s.lf)
		if len(out) >= maxDefects {
			return out[:maxDefects]
		}
		offset += int64(len(f.raw))
	}
	return out
}

// junkKind says what a line is that is no field.
func (f Field) junkKind(first bool) DefectKind {
	switch {
	case first && (strings.HasPrefix(f.raw, "From ") || strings.HasPrefix(f.raw, ">From ")):
		return MboxFrom
	case first && (f.raw[0] == ' ' || f.raw[0] == '\t'):
		return LeadingFold
	}
	return JunkLine
}

// defects appends what is wrong with the lines of one field.
func (f Field) defects(out []Defect, offset int64, lf bool) []Defect {
	add := func(k DefectKind, at int) { out = append(out, Defect{Kind: k, Offset: offset + int64(at)}) }
	if i := strings.IndexByte(f.raw, 0); i >= 0 {
		add(NulOctet, i)
	}
	if i := notUTF8(f.raw); i >= 0 {
		add(NotUTF8, i)
	}
	if i := bareCR(f.raw); i >= 0 {
		add(BareCR, i)
	}
	if !lf || len(f.raw) > hardLine {
		out = f.lineDefects(out, offset, lf)
	}
	return out
}

func (f Field) lineDefects(out []Defect, offset int64, lf bool) []Defect {
	for start := 0; start < len(f.raw) && len(out) < maxDefects; {
		nl := strings.IndexByte(f.raw[start:], '\n')
		if nl < 0 {
			nl = len(f.raw) - start
		} else if !lf && (nl == 0 || f.raw[start+nl-1] != '\r') {
			out = append(out, Defect{Kind: BareLF, Offset: offset + int64(start+nl)})
		}
		if len(strings.TrimSuffix(f.raw[start:start+nl], "\r")) > hardLine {
			out = append(out, Defect{Kind: LongLine, Offset: offset + int64(start)})
		}
		start += nl + 1
	}
	return out
}

// notUTF8 finds the first octet that is not part of UTF-8 text.
func notUTF8(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	i := 0
	for {
		c, n := utf8.DecodeRuneInString(s[i:])
		if c == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
}

// bareCR finds a CR that stands before anything but LF.
func bareCR(s string) int {
	for i := 0; ; i++ {
		j := strings.IndexByte(s[i:], '\r')
		if j < 0 {
			return -1
		}
		i += j
		if i+1 >= len(s) || s[i+1] != '\n' {
			return i
		}
	}
}
