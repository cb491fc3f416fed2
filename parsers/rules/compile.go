package rules

import (
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Standard are rules that every sink of the ancestor of this language began with.
const Standard = `reject from-has bad,route
reject to-has bad,route
reject helo-has none
`

// Source is a text of rules.
type Source struct {
	Name string // of its file, for errors and decisions; files that it names are looked for beside it
	Text string
	// Line and Col, if not 0, are where the text stands in the file, if it is a part of it.
	Line, Col int
}

// Compiler makes Sets.
type Compiler struct {
	// Open opens files that rules name; nil is os.Open of what is a file. What is missing is to be an error that is fs.ErrNotExist.
	Open func(name string) (io.ReadCloser, error)
}

// Compile makes a Set of sources, whose rules stand one after another. The error is a config.Errors of all
// that is wrong.
func (c *Compiler) Compile(sources ...Source) (*Set, error) {
	w := &work{open: c.Open, set: &Set{}, tables: make(map[string]*loaded), operators: operators()}
	if w.open == nil {
		w.open = openFile
	}
	for _, s := range sources {
		w.source(s, nil)
	}
	if err := w.errs.ErrOrNil(); err != nil {
		return nil, err
	}
	w.set.settle()
	return w.set, nil
}

// Parse makes a Set of one text. Name is its file's.
func Parse(name, text string) (*Set, error) {
	return (&Compiler{}).Compile(Source{Name: name, Text: text})
}

// ParseFiles makes a Set of files, of which the rules of the first come first. The error is a
// config.Errors, unless a file cannot be read.
func ParseFiles(names ...string) (*Set, error) {
	sources := make([]Source, len(names))
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sources[i] = Source{Name: filepath.ToSlash(name), Text: string(text)}
	}
	return (&Compiler{}).Compile(sources...)
}

// work is a Set in the making.
type work struct {
	open      func(name string) (io.ReadCloser, error)
	set       *Set
	errs      config.Errors
	tables    map[string]*loaded
	operators []operator
	full      bool // there are too many rules, and it was told
	included  int  // files so far
	rates     int  // and rates
}

// source reads a text, which the files of chain have included, the outermost first.
func (w *work) source(s Source, chain []string) {
	p := &parser{work: w, source: s, chain: append(chain[:len(chain):len(chain)], s.Name), text: config.NewText(s.Name, []byte(s.Text))}
	if len(chain) == 0 && s.Line == 0 {
		w.note(s.Name)
	}
	if len(s.Text) > longestText {
		p.failAt(0, errTooLarge)
		return
	}
	l := &lexer{text: s.Text, where: p.errorAt}
	p.tokens = l.all()
	w.errs = append(w.errs, l.errs...)
	p.rules()
}

func (w *work) note(file string) {
	if !slices.Contains(w.set.files, file) {
		w.set.files = append(w.set.files, file)
	}
}
