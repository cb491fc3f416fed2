package manpage

import (
	"fmt"
	"strings"
)

// Page is one page of the manual.
type Page struct {
	// Name is what man(1) is asked for: "postrider-user-add".
	Name string
	// Section is the part of the manual: 1 for commands, 5 for formats of files, 8
	// for programs of the administrator.
	Section int
	// Short says in less than a line what it is about.
	Short string
	// Text is all below the line with the name, in roff.
	Text string
}

// File is where the page is to be, below a folder of man pages.
func (p *Page) File() string { return fmt.Sprintf("man%d/%s.%[1]d", p.Section, p.Name) }

// Roff is the whole file. date ("2006-01-02") and version stand in its foot;
// both may be empty.
func (p *Page) Roff(date, version string) []byte {
	var w writer
	fmt.Fprintf(&w.b, ".TH %s %d %s %s \"Postrider\"\n", strings.ToUpper(escape(p.Name)), p.Section, quote(date), quote(version))
	w.b.WriteString(".nh\n.ad l\n") // names of options and settings are not to be taken apart
	w.heading("NAME")
	w.line(escape(p.Name) + ` \- ` + escape(p.Short))
	w.b.WriteString(p.Text)
	return []byte(w.b.String())
}

// writer collects a page's text.
type writer struct{ b strings.Builder }

// line writes one line of roff that is not a request, whatever it begins with.
func (w *writer) line(roff string) {
	if roff = strings.TrimLeft(roff, " "); strings.HasPrefix(roff, ".") || strings.HasPrefix(roff, "'") {
		w.b.WriteString(`\&`)
	}
	w.b.WriteString(roff + "\n")
}

func (w *writer) heading(title string) { fmt.Fprintf(&w.b, ".SH %s\n", quote(title)) }

func (w *writer) subheading(title string) { fmt.Fprintf(&w.b, ".SS %s\n", quote(title)) }

// item begins a paragraph below a word of its own: a flag, a setting.
func (w *writer) item(roff string) {
	w.b.WriteString(".TP\n")
	w.line(roff)
}

// verbatim writes lines as they are.
func (w *writer) verbatim(lines []string) {
	if !w.headed() {
		w.b.WriteString(".sp\n")
	}
	w.b.WriteString(".RS\n.nf\n")
	for _, line := range lines {
		// An empty line would be one of the source to some, a request to others.
		if strings.TrimSpace(line) == "" {
			w.b.WriteString(".sp\n")
			continue
		}
		w.b.WriteString(`\&` + escape(strings.ReplaceAll(line, "\t", "    ")) + "\n")
	}
	w.b.WriteString(".fi\n.RE\n")
}

// plain writes text as it stands in help and comments: paragraphs parted by empty
// lines; lines that are indented are kept as they are. With inside, it goes on
// below an item.
func (w *writer) plain(text string, inside bool) {
	var filled, kept []string
	flush := func() {
		if len(filled) > 0 {
			if !inside {
				w.pp()
			} else if w.last(2) != ".TP" { // the first one below an item follows it at once
				w.b.WriteString(".IP\n")
			}
			for _, line := range filled {
				w.line(escape(line))
			}
		}
		if len(kept) > 0 {
			w.verbatim(unindent(kept))
		}
		filled, kept = nil, nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		switch {
		case line == "":
			flush()
		case strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "\t"):
			if len(filled) > 0 {
				flush()
			}
			kept = append(kept, line)
		default:
			if len(kept) > 0 {
				flush()
			}
			filled = append(filled, line)
		}
	}
	flush()
}

// headed reports whether a heading was written last, which makes its own space.
func (w *writer) headed() bool {
	return strings.HasPrefix(w.last(1), ".SH") || strings.HasPrefix(w.last(1), ".SS")
}

// pp begins a paragraph.
func (w *writer) pp() {
	if !w.headed() {
		w.b.WriteString(".PP\n")
	}
}

// last is the n-th line from the end of what was written.
func (w *writer) last(n int) string {
	lines := strings.Split(strings.TrimSuffix(w.b.String(), "\n"), "\n")
	return lines[max(0, len(lines)-n)]
}

// unindent takes away what all lines are indented by.
func unindent(lines []string) []string {
	least := -1
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, "\t", "    ")
		if n := len(lines[i]) - len(strings.TrimLeft(lines[i], " ")); least < 0 || n < least {
			least = n
		}
	}
	for i := range lines {
		lines[i] = lines[i][least:]
	}
	return lines
}

// escaper keeps roff from taking characters for its own, and keeps those as they
// are that it would make typographic ones of, which nobody could paste.
var escaper = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, `"`, `\(dq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

func escape(text string) string { return escaper.Replace(text) }

// quote makes one argument of a request.
func quote(text string) string { return `"` + escape(text) + `"` }

func bold(text string) string { return `\fB` + escape(text) + `\fR` }
