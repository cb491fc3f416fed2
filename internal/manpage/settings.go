package manpage

import "strings"

// Setting is one setting as the page of a configuration shows it.
type Setting struct {
	// Path is where it stands: "SMTP.max_hops".
	Path string
	// Kind is what is written there, in a user's words: "duration".
	Kind string
	// Default is what holds if it is not written; empty if that is nothing.
	Default string
	// Text explains it.
	Text string
}

// Settings makes the page of a configuration file. intro is about the file as a
// whole. Settings of one object follow each other.
func Settings(name, short, intro string, all []Setting, also ...string) *Page {
	var w writer
	w.heading("DESCRIPTION")
	w.plain(intro, false)
	w.heading("SETTINGS")
	section := ""
	for _, s := range all {
		if top, _, within := strings.Cut(strings.ReplaceAll(s.Path, "[", "."), "."); within && top != section {
			section = top
			w.subheading(top)
		} else if !within && section != "" && s.Path != section {
			section = s.Path
			w.subheading(s.Path)
		}
		tag := bold(s.Path)
		if s.Kind != "" {
			tag += escape(" (" + s.Kind)
			if s.Default != "" {
				tag += escape(", default " + s.Default)
			}
			tag += ")"
		}
		w.item(tag)
		if s.Text == "" {
			w.line(`\&`)
		}
		w.plain(s.Text, true)
	}
	if len(also) > 0 {
		w.heading("SEE ALSO")
		w.line(escape(strings.Join(also, ", ")))
	}
	return &Page{Name: name, Section: 5, Short: short, Text: w.b.String()}
}
