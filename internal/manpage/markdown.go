package manpage

import (
	"fmt"
	"regexp"
	"strings"
)

// Markdown makes a page of a text in the Markdown that the project's pages are
// written in: headings, paragraphs, lists, tables, fenced code; code, bold and
// links within lines. The first heading says what it is about.
func Markdown(name string, section int, text string) *Page {
	p := &Page{Name: name, Section: section}
	m := &markdown{}
	m.heading("DESCRIPTION")
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if title, ok := strings.CutPrefix(line, "# "); ok && !m.fenced && p.Short == "" {
			p.Short = strings.ToLower(title[:1]) + title[1:]
			continue
		}
		m.next(line)
	}
	m.paragraph()
	p.Text = m.b.String()
	return p
}

// markdown reads line by line.
type markdown struct {
	writer
	fenced bool
	code   []string
	open   []string // the lines of a paragraph or an item
	tag    string   // of the item they belong to
	head   []string // of the table this is in
}

var listed = regexp.MustCompile(`^ *(\*|-|[0-9]+\.) +`)

func (m *markdown) next(line string) {
	switch {
	case strings.HasPrefix(strings.TrimSpace(line), "```"):
		m.paragraph()
		if m.fenced {
			m.verbatim(m.code)
			m.code = nil
		}
		m.fenced = !m.fenced
	case m.fenced:
		m.code = append(m.code, line)
	case strings.HasPrefix(line, "|"):
		m.paragraph()
		m.row(line)
		return
	case strings.HasPrefix(line, "#"):
		m.paragraph()
		title := strings.TrimSpace(strings.TrimLeft(line, "#"))
		if strings.HasPrefix(line, "###") {
			m.subheading(strip(title))
		} else {
			m.heading(strip(title))
		}
	case line == "":
		m.paragraph()
	case listed.MatchString(line):
		m.paragraph()
		mark := listed.FindString(line)
		if m.tag = strings.TrimSpace(mark); m.tag == "*" || m.tag == "-" {
			m.tag = `\(bu`
		}
		m.open = []string{line[len(mark):]}
	case !strings.HasPrefix(line, "!["):
		m.open = append(m.open, strings.TrimSpace(line))
	}
	m.head = nil
}

// paragraph ends what is open.
func (m *markdown) paragraph() {
	if len(m.open) == 0 {
		return
	}
	if m.tag != "" {
		fmt.Fprintf(&m.b, ".IP %s 4\n", m.tag)
	} else {
		m.pp()
	}
	for _, line := range strings.Split(inline(strings.Join(m.open, "\n")), "\n") {
		m.line(line)
	}
	m.open, m.tag = nil, ""
}

// row writes a row of a table as a paragraph below its first cell; what its
// columns are called is said in each.
func (m *markdown) row(line string) {
	cells := strings.Split(strings.Trim(strings.ReplaceAll(line, `\|`, "\x00"), "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|"))
	}
	switch {
	case m.head == nil:
		m.head = cells
		return
	case strings.Trim(line, "|-: ") == "":
		return
	}
	m.item(`\fB` + inline(strip(cells[0])) + `\fR`)
	var rest []string
	for i, cell := range cells[1:] {
		if cell == "" {
			continue
		}
		if i+1 < len(m.head) && m.head[i+1] != "" && len(cells) > 2 {
			cell = strip(m.head[i+1]) + ": " + cell
		}
		rest = append(rest, cell)
	}
	m.line(inline(strings.Join(rest, "; ")) + `\&`)
}

var (
	marked = regexp.MustCompile("`([^`]+)`|\\*\\*([^*]+)\\*\\*|\\[([^\\]]+)\\]\\(([^)\\s]+)\\)")
	links  = regexp.MustCompile(`\[([^\]]+)\]\([^)\s]+\)`)
)

// strip is the bare text of a line.
func strip(text string) string {
	return strings.NewReplacer("`", "", "**", "").Replace(links.ReplaceAllString(text, "$1"))
}

// inline makes roff of a paragraph.
func inline(text string) string {
	var b strings.Builder
	for at := 0; ; {
		i := marked.FindStringSubmatchIndex(text[at:])
		if i == nil {
			b.WriteString(escape(text[at:]))
			return b.String()
		}
		group := func(n int) string {
			if i[2*n] < 0 {
				return ""
			}
			return text[at+i[2*n] : at+i[2*n+1]]
		}
		b.WriteString(escape(text[at : at+i[0]]))
		switch code, strong, link := group(1), group(2), group(3); {
		case code != "":
			b.WriteString(bold(code))
		case strong != "":
			b.WriteString(`\fB` + escape(strip(strong)) + `\fR`)
		default:
			b.WriteString(escape(strip(link)))
			if strings.HasPrefix(group(4), "http") && group(4) != link {
				b.WriteString(escape(" (" + group(4) + ")"))
			}
		}
		at += i[1]
	}
}
